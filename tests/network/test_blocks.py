"""Residual blocks: which there are, and that a network goes on exactly without them."""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network.exact import close, random_inputs, random_plan
from network.zoo import ZOO

import jaxcompress as jc
from jaxcompress.artifact import parameter_bytes
from jaxcompress.compress import coded_parameters
from jaxcompress.network import blocks as module

# Compiling takes longer than running.
quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
X = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), jnp.float32)


def weights(*names: str, width: int = 4) -> dict[str, jax.Array]:
    keys = jax.random.split(jax.random.key(0), len(names))
    return {
        n: jax.random.normal(k, (width, width)) for n, k in zip(names, keys, strict=True)
    }


def chain(p: Any, x: Any) -> Any:
    """Pre-activation: every sum is the stem of the next."""
    x = x @ p["in"]
    x = x + jnp.tanh(x @ p["a"])
    x = x + jnp.tanh(jax.nn.relu(x) @ p["b"]) @ p["c"]
    return x @ p["out"]


def parallel(p: Any, x: Any) -> Any:
    """Two branches of one stem in one sum, and a bias that is none."""
    x = x @ p["in"]
    return ((x + jnp.tanh(x) @ p["a"] + p["c"][0]) + jnp.sin(x) @ p["b"]) @ p["out"]


def nested(p: Any, x: Any) -> Any:
    """A residual inside a branch of another one."""
    x = x @ p["in"]
    y = jnp.tanh(x @ p["a"])
    y = y + jnp.sin(y @ p["b"])
    return (y @ p["c"] + x) @ p["out"]


def conditioned(p: Any, x: Any) -> Any:
    """Something that only the branches read falls when both of them do."""
    seen = jnp.tanh(x @ p["c"])
    x = x @ p["in"]
    x = x + jnp.tanh(x + seen) @ p["a"]
    x = x + (x * seen) @ p["b"]
    return x @ p["out"]


def scaled(p: Any, x: Any) -> Any:
    """A branch times a number, in lower precision, and one that is read elsewhere."""
    x = x @ p["in"]
    y = jnp.tanh(x.astype(jnp.bfloat16) @ p["a"].astype(jnp.bfloat16))
    x = x + 0.5 * y.astype(jnp.float32)
    z = x @ p["b"]
    return {"out": (x + z) @ p["out"], "z": z @ p["c"]}


def none(p: Any, x: Any) -> Any:
    """Sums that are no residuals: of projections, of gates, of what has no layer."""
    x = x @ p["in"]
    x = x @ p["a"] + x @ p["b"]
    gate = jax.nn.sigmoid(x @ p["c"])
    return (gate * x + (1.0 - gate) * jnp.tanh(x) + jnp.cos(x)) @ p["out"]


CASES: list[tuple[Callable[[Any, Any], Any], dict[str, tuple[str, ...]]]] = [
    (chain, {"a": ("a",), "b": ("b", "c")}),
    (parallel, {"a": ("a",), "b": ("b",)}),
    (nested, {"a": ("a", "b", "c"), "b": ("b",)}),
    (conditioned, {"a": ("a",), "b": ("b",)}),
    (scaled, {"a": ("a",)}),
    (none, {}),
]


@pytest.mark.parametrize(
    ("apply", "wanted"), CASES, ids=lambda x: getattr(x, "__name__", "")
)
def test_every_choice_of_blocks_is_exact(apply: Any, wanted: dict[str, Any]) -> None:
    params = weights("in", "a", "b", "c", "out")
    network = jc.trace(apply, params, X)
    assert {block.name: block.layers for block in network.blocks} == wanted
    forward = quick(lambda plan, x: jc.forward(network, plan, x))
    cost = quick(lambda plan: jc.objectives.Macs()(network, plan))
    for kept in product([True, False], repeat=len(wanted)):
        blocks = dict(zip(wanted, map(np.asarray, kept), strict=True))
        plan = random_plan(network, 0).replace(blocks=blocks)
        small = jc.compact(network, plan)
        close(forward(plan, X), quick(small.apply)(small.params, X))
        assert float(cost(plan)) == small.macs
        assert not small.unused
        if all(kept):
            continue
        assert small.macs < network.macs and small.size < network.size
        gone = {n for b in network.blocks if not blocks[b.name] for n in b.parameters}
        assert gone.isdisjoint(small.paths)


def test_what_only_removed_blocks_read_is_gone() -> None:
    network = jc.trace(conditioned, weights("in", "a", "b", "c", "out"), X)
    for a, b in product([True, False], repeat=2):
        plan = jc.Plan(blocks={"a": np.asarray(a), "b": np.asarray(b)})
        assert ("c" in jc.compact(network, plan).paths) == (a or b)


def test_a_removed_block_adds_nothing() -> None:
    """Against the function written without the branch."""
    params = weights("in", "a", "b", "c", "out")
    network = jc.trace(chain, params, X)
    plan = jc.Plan(blocks={"b": np.asarray(False)})
    h = np.asarray(X, np.float64) @ np.asarray(params["in"], np.float64)
    h = h + np.tanh(h @ np.asarray(params["a"], np.float64))
    wanted = h @ np.asarray(params["out"], np.float64)
    np.testing.assert_allclose(jc.forward(network, plan, X), wanted, rtol=1e-5, atol=1e-5)


def test_a_removed_block_may_hold_nan() -> None:
    def apply(p: Any, x: Any) -> Any:
        x = x @ p["in"]
        return (x + jnp.log(-1.0 - jnp.square(x)) @ p["a"]) @ p["out"]

    network = jc.trace(apply, weights("in", "a", "out"), X)
    assert not np.isfinite(np.asarray(jc.forward(network, jc.Plan(), X))).any()
    plan = jc.Plan(blocks={"a": np.asarray(False)})
    small = jc.compact(network, plan)
    close(jc.forward(network, plan, X), small.apply(small.params, X))


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("resnet_padded", 1),
        ("preactivation", 1),
        ("mobilenet", 1),
        ("vit", 2),
        ("causal_language_model", 2),
        ("input_shortcut", 0),
        ("resnet_projection", 0),
        ("densenet", 0),
        ("gru", 0),
    ],
)
def test_blocks_of_the_zoo(name: str, count: int) -> None:
    apply, params, example, _ = ZOO[name](jax.random.key(1))
    network = jc.trace(apply, params, example)
    assert len(network.blocks) == count
    x = random_inputs(network.example, batch=3)
    for block in network.blocks:
        plan = random_plan(network, 1).replace(blocks={block.name: np.asarray(False)})
        small = jc.compact(network, plan)
        wide = quick(lambda p, x: jc.forward(network, p, x))(plan, x)
        close(wide, quick(small.apply)(small.params, x))
        assert len(small.blocks) == count - 1
        size = float(jc.objectives.Size()(network, plan))
        real = parameter_bytes(*coded_parameters(network, plan))
        # The header of the whole network is charged; it is a few bytes a tensor too long.
        assert 0 <= size - real <= 30 * len(network.paths)


def test_a_compact_network_without_a_block_is_a_network() -> None:
    """It is differentiated, mapped over, exported at any batch size, compacted again."""
    network = jc.trace(chain, weights("in", "a", "b", "c", "out"), X)
    small = jc.compact(network, jc.Plan(blocks={"b": np.asarray(False)}))
    assert small.params["b"] is None and small.params["c"] is None
    gradient = jax.grad(lambda p: small.apply(p, X).sum())(small.params)
    assert gradient["b"] is None and np.isfinite(gradient["a"]).all()
    each = jax.vmap(lambda x: small.apply(small.params, x[None])[0])(X)
    close(each, small.apply(small.params, X))
    (batch,) = jax.export.symbolic_shape("batch")
    shape = jax.ShapeDtypeStruct((batch, 4), jnp.float32)
    exported = jax.export.export(jax.jit(lambda x: small.apply(small.params, x)))(shape)
    close(exported.call(X[:2]), small.apply(small.params, X[:2]))
    assert [block.name for block in small.blocks] == ["a"]
    smaller = jc.compact(small, jc.Plan(blocks={"a": np.asarray(False)}))
    assert smaller.paths == ("in", "out")


def test_some_layer_is_always_left() -> None:
    def apply(p: Any, x: Any) -> Any:
        x = x + jnp.tanh(x) @ p["a"]
        return x + jnp.sin(x) @ p["b"]

    network = jc.trace(apply, weights("a", "b"), X)
    assert [block.name for block in network.blocks] == ["b"]
    small = jc.compact(network, jc.Plan(blocks={"b": np.asarray(False)}))
    assert small.paths == ("a",) and not small.blocks


def test_frozen_parameters_keep_their_block() -> None:
    network = jc.trace(chain, weights("in", "a", "b", "c", "out"), X, freeze=("c",))
    assert [block.name for block in network.blocks] == ["a"]


def test_the_table_lists_blocks() -> None:
    text = str(jc.trace(chain, weights("in", "a", "b", "c", "out"), X))
    assert "block  layers" in text and "b, c" in text


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ({"x": np.asarray(True)}, "no block 'x'; there are .'a', 'b'."),
        (
            {"a": np.ones(2, bool)},
            "block 'a' is kept or not, one bool; got bool of shape .2,.",
        ),
    ],
)
def test_bad_blocks_are_refused(blocks: dict[str, Any], words: str) -> None:
    network = jc.trace(chain, weights("in", "a", "b", "c", "out"), X)
    with pytest.raises(ValueError, match=words):
        jc.compact(network, jc.Plan(blocks=blocks))


def test_too_many_ways_keep_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAYS", 1)
    network = jc.trace(conditioned, weights("in", "a", "b", "c", "out"), X)
    none = {block.name: np.asarray(False) for block in network.blocks}
    small = jc.compact(network, jc.Plan(blocks=none))
    close(jc.forward(network, jc.Plan(blocks=none), X), small.apply(small.params, X))
