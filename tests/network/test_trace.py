"""What tracing refuses, reports and pins."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from network.zoo import ZOO

import jaxcompress as jc

W = {"a": jnp.ones((6, 8)), "b": jnp.ones((8, 3))}
X = jnp.ones((2, 6))


def branching(p: Any, x: Any) -> Any:
    return x @ p["a"] if x.sum() > 0 else x


def printing(p: Any, x: Any) -> Any:
    jax.debug.print("{}", x.sum())
    return x @ p["a"]


def convolving(p: Any, x: Any) -> Any:
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, p["k"], (1, 1), "SAME", dimension_numbers=numbers)


@pytest.mark.parametrize(
    ("apply", "params", "example", "words"),
    [
        (lambda p, x: x @ p["a"], {"a": "text"}, X, "'a' is a str, not an array"),
        (lambda p, x: x @ p["a"], {}, X, "params holds no array"),
        (
            lambda p, x: x,
            {"a/b": X, "a": {"b": X}},
            X,
            "two parameters have the path 'a/b'",
        ),
        (lambda p, x: x @ p["a"], {"a": W["a"] * jnp.nan}, X, "'a' holds NaN"),
        (lambda p, x: x @ p["b"], W, X, "failed on inputs float32.2, 6. with TypeError"),
        (lambda p, x: x @ p["a"], W, jnp.float32(1.0), "rank 0"),
        (lambda p, x: x @ p["a"], W, [], "holds no array"),
        (lambda p, x: x[0] @ p["a"], W, [X, jnp.ones((3, 6))], "disagree on the batch"),
        (
            convolving,
            {"k": jnp.ones((3, 3, 3, 4))},
            jnp.ones((8, 8, 3)),
            "float32.8, 8, 3. ",
        ),
        (lambda p, x: x @ p["a"], W | {"n": 3}, X, "'n' is a int, not an array"),
        (branching, W, X, "data-dependent Python control flow"),
        (printing, W, X, "side effects"),
    ],
)
def test_bad_networks_are_refused(
    apply: Callable[..., Any], params: Any, example: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        jc.trace(apply, params, example)
    assert "\n" not in str(caught.value)


def test_unused_parameters_are_reported_and_kept() -> None:
    network = jc.trace(lambda p, x: x @ p["a"], W, X)
    assert network.unused == ("b",) and "nothing uses: b" in str(network)
    assert not network.prunable


def test_unknown_primitives_freeze_with_their_name() -> None:
    network = jc.trace(lambda p, x: jnp.fft.fft(x @ p["a"]).real @ p["b"], W, X)
    reasons = {group.reason for group in network.frozen}
    assert "primitive fft is not known" in reasons


@pytest.mark.parametrize(
    ("control", "words"),
    [
        (lambda x: lax.cond(jnp.bool_(True), jnp.sin, jnp.cos, x), "flow (cond)"),
        (lambda x: lax.while_loop(lambda x: x.sum() > 9, jnp.sin, x), "flow (while)"),
    ],
)
def test_activations_through_control_flow_are_frozen(
    control: Callable[[Any], Any], words: str
) -> None:
    network = jc.trace(lambda p, x: control(x @ p["a"]) @ p["b"], W, X)
    assert not network.prunable and network.batch_reason is not None
    assert words in network.batch_reason
    assert any(words in (group.reason or "") for group in network.frozen)


def test_the_user_can_freeze_by_pattern() -> None:
    assert jc.trace(lambda p, x: x @ p["a"] @ p["b"], W, X).prunable
    frozen = jc.trace(lambda p, x: x @ p["a"] @ p["b"], W, X, freeze=("b*",))
    assert not frozen.prunable and "frozen by the user" in str(frozen)


@pytest.mark.parametrize(
    ("apply", "words"),
    [
        (lambda p, x: (x @ p["a"])[-1:] + x @ p["a"], "slice"),
        (lambda p, x: x @ p["a"] * x.shape[0], "mul computes with the batch size"),
        (lambda p, x: jnp.zeros((x.shape[0], 3)) + 0 * p["a"][0, 0], "batch size"),
        (lambda p, x: (x @ p["a"]).reshape(2, -1), "batch size"),
        (lambda p, x: x @ p["a"] - (x @ p["a"]).mean(0), "reduce_sum over this axis"),
        (lambda p, x: x @ p["a"] * np.full(8, 1 / x.shape[0], np.float32), "a constant"),
        (lambda p, x: lax.integer_pow(x @ p["a"], x.shape[0] + 1), "integer_pow computes"),
        (
            lambda p, x: x @ p["a"] - (x @ p["a"])[x.shape[0] // 2 - 1 : x.shape[0] // 2],
            "slice computes with the batch size",
        ),
        (
            lambda p, x: lax.fori_loop(0, x.shape[0], lambda i, h: h * 0.9, x @ p["a"]),
            "scan computes with the batch size",
        ),
        (lambda p, x: (x + x[::-1]) @ p["a"], "a reversal along the batch axis"),
    ],
)
def test_a_batch_size_in_the_function_is_noticed(
    apply: Callable[..., Any], words: str
) -> None:
    network = jc.trace(apply, W, X)
    assert network.batch_reason is not None and words in network.batch_reason
    with pytest.raises(ValueError, match="traced at batch size 2 and cannot run at 5"):
        network.interpret(W, jnp.ones((5, 6)))
    assert np.asarray(network.interpret(W, X)).shape == apply(W, X).shape


def test_macs_do_not_count_the_batch_wherever_it_is() -> None:
    q = {"a": jnp.ones((6, 8)), "q": jnp.ones((1, 4))}
    network = jc.trace(lambda p, x: (x @ p["a"]).T.reshape(-1, 1) @ p["q"], q, X)
    assert network.macs == 6 * 8 + 8 * 4
    group = network.groups[1]
    assert not group.prunable  # the channels are merged with the batch
    for group in network.prunable:
        alive = network.alive({group.name: jnp.arange(8) < 5})
        assert float(network.count_macs(alive)) == 6 * 5 + 5 * 4


def test_batch_statistics_are_found_to_be_positive() -> None:
    from jaxcompress.training.member import non_trainable

    network = jc.trace(*ZOO["vgg"](jax.random.key(0))[:3])
    assert non_trainable(network) == {"u1/n/var", "u2/n/var", "u3/n/var"}


def test_results_that_nobody_reads_cost_nothing() -> None:
    """Also those of an inner function."""

    def apply(p: Any, x: Any) -> Any:
        used, _ = jax.jit(lambda x: (x @ p["a"], x @ p["c"]))(x)
        return jnp.tanh(used) @ p["b"]

    network = jc.trace(apply, {**W, "c": jnp.ones((6, 8))}, X)
    assert network.unused == ("c",) and network.macs == 6 * 8 + 8 * 3
    assert [layer.name for layer in network.layers] == ["a", "b"]
    assert float(network.count_macs(network.alive({}))) == network.macs
