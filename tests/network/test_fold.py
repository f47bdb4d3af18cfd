"""Averages of batch normalisations are not stored where scale and shift do their part."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network.exact import close, compiled, random_inputs
from network.zoo import ZOO

import jaxcompress as jc
from jaxcompress.artifact import parameter_bytes
from jaxcompress.compress import coded_parameters
from jaxcompress.data import Task
from jaxcompress.models import as_function, create
from jaxcompress.network import fold, foldable, normalisations

pytestmark = pytest.mark.usefixtures("compiled_quickly")
EPSILON = 1e-3
NORMALISED = (
    "vgg densenet squeeze_excite flax_nnx flax_linen haiku mobilenet shufflenet resnext "
    "resnet_padded resnet_projection preactivation"
).split()


@pytest.mark.parametrize("name", NORMALISED)
def test_fewer_parameters_compute_the_same(name: str) -> None:
    network = jc.trace(*ZOO[name](jax.random.key(0))[:3])
    places = normalisations(network).values()
    small = fold(network)
    averages = [path for place in places for path in (place.mean, place.var)]
    assert places and {*small.paths} == {*network.paths} - {*averages}
    gone = sum(int(np.size(network.leaves()[path])) for path in averages)
    assert small.size == network.size - gone and small.macs == network.macs
    sizes = [[group.size for group in each.groups] for each in (network, small)]
    assert sizes[0] == sizes[1]
    x = random_inputs(network.example, 4)
    close(
        compiled(small.apply)(small.params, x), compiled(network.apply)(network.params, x)
    )
    assert not normalisations(small) and fold(small) is small


def norm(x: Any, p: Any) -> Any:
    return (x - p["m"]) * jax.lax.rsqrt(p["v"] + EPSILON) * p["s"] + p["b"]


def drawn(size: int = 3) -> dict[str, jax.Array]:
    rng = np.random.default_rng(0)
    draws = {name: rng.normal(size=size) for name in "msb"}
    draws |= {"v": rng.uniform(0.1, 4.0, size), "w": rng.normal(size=(size, size))}
    return {name: jnp.asarray(value, jnp.float32) for name, value in draws.items()}


def traced(apply: Callable[[Any, Any], Any]) -> jc.Network:
    return jc.trace(apply, drawn(), jnp.ones((2, 3)))


FORMS: dict[str, Callable[[Any, Any], Any]] = {
    "one factor": lambda p, x: (
        (x @ p["w"] - p["m"]) * (jax.lax.rsqrt(p["v"] + EPSILON) * p["s"]) + p["b"]
    ),
    "divided by a root": lambda p, x: (
        p["b"] + p["s"] * ((x @ p["w"] - p["m"]) / jnp.sqrt(EPSILON + p["v"]))
    ),
    "one after the other": lambda p, x: norm(x @ p["w"], p),
}


@pytest.mark.parametrize("form", FORMS)
def test_numbers_are_those_of_float64(form: str) -> None:
    network = traced(FORMS[form])
    small = fold(network)
    p = {name: np.asarray(leaf, np.float64) for name, leaf in network.params.items()}
    assert small.params["m"] is None and small.params["v"] is None
    ratio = np.sqrt((1 + EPSILON) / (p["v"] + EPSILON))
    np.testing.assert_allclose(small.params["s"], p["s"] * ratio, rtol=1e-6)
    shift = p["b"] - p["m"] * p["s"] / np.sqrt(p["v"] + EPSILON)
    np.testing.assert_allclose(small.params["b"], shift, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(small.params["w"], network.params["w"])
    x = np.random.default_rng(1).normal(size=(5, 3))
    wanted = (x @ p["w"] - p["m"]) / np.sqrt(p["v"] + EPSILON) * p["s"] + p["b"]
    found = small.apply(small.params, jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


KEPT: dict[str, Callable[[Any, Any], Any]] = {
    "no shift": lambda p, x: (
        (x @ p["w"] + p["b"] - p["m"]) * jax.lax.rsqrt(p["v"] + EPSILON) * p["s"]
    ),
    "no scale": lambda p, x: (
        (x @ p["w"] * p["s"] - p["m"]) * jax.lax.rsqrt(p["v"] + EPSILON) + p["b"]
    ),
    "the wrong way up": lambda p, x: (
        (x @ p["w"] - p["m"]) * jnp.sqrt(p["v"] + EPSILON) * p["s"] + p["b"]
    ),
    "divided by the scale": lambda p, x: (
        (x @ p["w"] - p["m"]) * jax.lax.rsqrt(p["v"] + EPSILON) / p["s"] + p["b"]
    ),
    "a nonlinear step between": lambda p, x: (
        jax.nn.relu((x @ p["w"] - p["m"]) * jax.lax.rsqrt(p["v"] + EPSILON)) * p["s"]
        + p["b"]
    ),
    "a scale under a root": lambda p, x: (
        (x @ p["w"] - p["m"]) * jax.lax.rsqrt(p["v"] + EPSILON) * jax.lax.rsqrt(p["s"] + 9)
        + p["b"]
    ),
    "whole numbers between": lambda p, x: (
        ((x @ p["w"] - p["m"]) * jax.lax.rsqrt(p["v"] + EPSILON))
        .astype(jnp.int8)
        .astype(jnp.float32)
        * p["s"]
        + p["b"]
    ),
    "a scale of whole numbers": lambda p, x: norm(
        x @ p["w"], p | {"s": p["s"].astype(jnp.int32).astype(jnp.float32)}
    ),
    "a shift that is or is not": lambda p, x: norm(
        x @ p["w"], p | {"b": p["b"].astype(bool).astype(jnp.float32)}
    ),
    "the same parameters twice": lambda p, x: norm(norm(x @ p["w"], p) @ p["w"], p),
    "the mean is read elsewhere": lambda p, x: norm(x @ p["w"], p) + p["m"],
    "the variance is read elsewhere": lambda p, x: norm(x @ p["w"], p) * p["v"].sum(),
    "the mean is told": lambda p, x: (norm(x @ p["w"], p), 2 * p["m"]),
    "the variance is told": lambda p, x: (norm(x @ p["w"], p), p["v"]),
    "the difference is told": lambda p, x: (norm(x @ p["w"], p), x @ p["w"] - p["m"]),
    "other axes": lambda p, x: (
        ((x @ p["w"])[:, None, :] - p["m"])
        * jax.lax.rsqrt(p["v"] + EPSILON)
        * p["s"][:, None]
        + p["b"]
    ),
}


@pytest.mark.parametrize("form", KEPT)
def test_what_has_another_part_is_kept(form: str) -> None:
    network = traced(jax.jit(KEPT[form]))
    assert not foldable(network)
    assert fold(network) is network


def test_a_root_of_a_number_is_none_of_a_variance() -> None:
    for divisor in (64.0, jnp.float32(3)):

        def apply(p: Any, x: Any, divisor: Any = divisor) -> Any:
            return (x @ p["w"] - p["m"]) / jnp.sqrt(divisor) + p["b"]

        assert not normalisations(traced(apply))


def test_a_transposed_scale_is_kept() -> None:
    square = {name: jnp.ones((3, 3)) for name in "msvb"} | {"w": jnp.ones((3, 9))}

    def apply(p: Any, x: Any) -> Any:
        turned = jax.lax.reshape(p["s"], (3, 3), dimensions=(1, 0))
        return norm((x @ p["w"]).reshape(-1, 3, 3), p | {"s": turned})

    def straight(p: Any, x: Any) -> Any:
        return norm((x @ p["w"]).reshape(-1, 3, 3), p)

    assert len(foldable(jc.trace(straight, square, jnp.ones((2, 3))))) == 1
    assert not foldable(jc.trace(apply, square, jnp.ones((2, 3))))


def test_a_shared_difference_is_kept() -> None:
    def apply(p: Any, x: Any) -> Any:
        moved = x @ p["w"] - p["m"]
        return moved * jax.lax.rsqrt(p["v"] + EPSILON) * p["s"] + p["b"], moved.sum()

    assert not foldable(traced(apply))


def test_what_two_branches_share_folds_where_one_is_gone(tmp_path: Path) -> None:
    params: Any = {"stem": jnp.eye(3), "n": drawn()}
    params |= {name: jnp.full((3, 3), 0.1 * i) for i, name in enumerate("abcd")}

    def apply(p: Any, x: Any) -> Any:
        x = x @ p["stem"]
        for first, second in ("ab", "cd"):
            x = x + jax.nn.relu(norm(x @ p[first], p["n"])) @ p[second]
        return x.sum(1, keepdims=True)

    network = jc.trace(apply, params, jnp.ones((2, 3)))
    assert len(network.blocks) == 2 and not foldable(network)
    plan = jc.Plan(blocks={network.blocks[0].name: np.asarray(False)})
    sizes = jc.save(tmp_path / "model.jcz", jc.compact(network, plan))
    values, coding = coded_parameters(network, plan)
    assert "n/m" not in values and "n/s" in values
    loaded = jc.load(tmp_path / "model.jcz")
    assert {*loaded.coding} == {*values}
    assert abs(sizes.parameters - parameter_bytes(values, coding)) <= 8


@pytest.mark.parametrize("execution", ["float32", "packed", "integer"])
def test_files_do_without_them(execution: str, tmp_path: Path) -> None:
    """Under pruned channels and bits of weights and inputs."""
    module = create("digits_cnn", 0, Task((8, 8, 1), 10))
    apply, params = as_function(module)
    x = jax.random.normal(jax.random.key(1), (16, 8, 8, 1))
    network = jc.trace(apply, params, x[:2])
    params = jc.reestimate(network, jc.Plan(), x)
    groups = {group.name: np.arange(group.size) % 3 > 0 for group in network.prunable}
    names = [layer.weight for layer in network.layers]
    plan = jc.Plan(
        channels=groups, weight_bits=dict.fromkeys(names, np.asarray(8, np.int32))
    )
    if execution == "integer":  # with what the grids of inputs need
        kind = jc.genes.ActivationBits(jc.calibrate(network, x), (8,))
        space = jc.Space(network, (kind,))
        inputs = space.decode(space.dense)
        plan = plan.replace(
            activation_bits=inputs.activation_bits,
            activation_ranges=inputs.activation_ranges,
        )
    small = jc.compact(network, plan, params)
    averages = [p for p in small.paths if p.endswith(("mean", "var"))]
    assert len(averages) == 8
    values, _ = coded_parameters(network, plan, params)
    assert {*values} == {*small.paths} - {*averages}
    path = tmp_path / "model.jcz"
    jc.save(path, small, execution=execution)
    loaded = jc.load(path)
    assert execution != "integer" or "int8" in {each.executed for each in loaded.layers}
    wanted = np.asarray(compiled(small.apply)(small.params, x))
    if execution == "integer":  # a rounding in the last bit may be a step of a grid
        assert np.abs(loaded(x) - wanted).mean() < np.abs(wanted).max() / 256
    else:
        close(loaded(x), wanted)
    assert {*loaded.coding} == {*values}
    for name, leaf in zip(loaded.coding, loaded.leaves, strict=True):
        np.testing.assert_array_equal(leaf, values[name])
