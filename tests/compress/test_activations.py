"""Ranges of layers' inputs, and networks whose activations are on grids."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network.exact import close, random_inputs, random_plan
from network.zoo import ZOO

import jaxcompress as jc
from jaxcompress.compress import verify
from jaxcompress.transforms import quantize_activations

RNG = np.random.default_rng(0)
P = {
    "a": jnp.asarray(RNG.normal(size=(4, 6)), jnp.float32),
    "b": jnp.asarray(RNG.normal(size=(6, 3)), jnp.float32),
}
X = jnp.asarray(RNG.normal(size=(50, 4)), jnp.float32)


def apply(p: Any, x: Any) -> Any:
    return jax.nn.relu(x @ p["a"]) @ p["b"]


def test_ranges_are_those_of_the_data() -> None:
    network = jc.trace(apply, P, X[:2])
    x = np.asarray(X, np.float64)
    hidden = np.maximum(x @ np.asarray(P["a"], np.float64), 0)
    ranges = jc.calibrate(network, X, batch_size=25)
    np.testing.assert_allclose(ranges["a"], [x.min(), x.max()], rtol=1e-6)
    np.testing.assert_allclose(ranges["b"], [0, hidden.max()], rtol=1e-5)
    clipped = jc.calibrate(network, X, batch_size=25, percentile=90.0)
    parts = np.split(x, 2)
    lower = min(np.percentile(part, 10) for part in parts)
    upper = max(np.percentile(part, 90) for part in parts)
    np.testing.assert_allclose(clipped["a"], [lower, upper], rtol=1e-5)


def test_forward_rounds_the_inputs_of_layers() -> None:
    network = jc.trace(apply, P, X[:2])
    spans = jc.calibrate(network, X)
    plan = jc.Plan(
        activation_bits={"a": np.asarray(3), "b": np.asarray(2)}, activation_ranges=spans
    )
    x = quantize_activations(X, jnp.asarray(3), jnp.asarray(spans["a"]))
    hidden = jax.nn.relu(x @ P["a"])
    hidden = quantize_activations(hidden, jnp.asarray(2), jnp.asarray(spans["b"]))
    assert len(np.unique(hidden)) <= 4
    close(jc.forward(network, plan, X), hidden @ P["b"])


@pytest.mark.parametrize(
    "name",
    [
        "resnet_padded",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("squeeze_excite", "vit")),
    ],
)
def test_joint_plans_are_exact(name: str) -> None:
    """Channels, blocks, weight bits and activation bits in one plan."""
    make, params, example, _ = ZOO[name](jax.random.key(1))
    network = jc.trace(make, params, example)
    x: Any = random_inputs(network.example, batch=4)
    spans = jc.calibrate(network, x)
    assert set(spans) == {layer.name for layer in network.layers}
    forward = jax.jit(lambda plan, x: jc.forward(network, plan, x))
    rng = np.random.default_rng(0)
    for seed in range(2):
        drawn = {layer.name: rng.choice([1, 2, 4, 8, 32]) for layer in network.layers}
        plan = random_plan(network, seed).replace(
            blocks={b.name: np.asarray(seed == 1) for b in network.blocks[:1]},
            activation_bits={n: np.asarray(b, np.int32) for n, b in drawn.items()},
            activation_ranges=spans,
            weight_bits={la.weight: np.asarray(8, np.int32) for la in network.layers},
        )
        small = jc.compact(network, plan)
        wide, thin = forward(plan, x), jax.jit(small.apply)(small.params, x)
        # A value halfway between two of a grid may fall to either side.
        far = np.abs(np.asarray(wide) - np.asarray(thin)) > 1e-4 * np.abs(wide).max()
        assert far.mean() < 0.02


def test_layers_of_a_scan_have_no_range() -> None:
    make, params, example, _ = ZOO["gru"](jax.random.key(1))
    network = jc.trace(make, params, example)
    x = random_inputs(network.example, batch=4)
    inside = {s.index for s in network.program.walk()} - {
        s.index for s in network.program.steps
    }
    ranges = jc.calibrate(network, x)
    assert set(ranges) == {la.name for la in network.layers if la.step not in inside}


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (jc.Plan(activation_bits={"x": np.asarray(4)}), "no layer 'x'; there are"),
        (jc.Plan(activation_bits={"a": np.asarray(9)}), "'a' has 9 bits; allowed"),
        (jc.Plan(activation_bits={"a": np.asarray(4)}), "its range is None; give"),
        (
            jc.Plan(
                activation_bits={"a": np.asarray(4)},
                activation_ranges={"a": np.asarray([0.0, np.nan])},
            ),
            "finite, as from `calibrate`",
        ),
    ],
)
def test_bad_plans_are_refused(plan: jc.Plan, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        jc.forward(jc.trace(apply, P, X[:2]), plan, X)


@pytest.mark.parametrize(
    ("inputs", "percentile", "words"),
    [(X, 40.0, "percentile is 40.0; allowed"), (X[:0], 100.0, "inputs are empty")],
)
def test_bad_calibration_is_refused(inputs: Any, percentile: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        jc.calibrate(jc.trace(apply, P, X[:2]), inputs, percentile=percentile)


def test_grids_excuse_a_rounded_last_bit_and_no_other_channels() -> None:
    network = jc.trace(*ZOO["resnet_padded"](jax.random.key(0))[:3])
    x = random_inputs(network.example, 6)
    bits = {layer.name: np.asarray(8, np.int32) for layer in network.layers}
    ranges = jc.calibrate(network, x)
    plan, other = (
        random_plan(network, seed).replace(activation_bits=bits, activation_ranges=ranges)
        for seed in (1, 2)
    )
    assert verify(network, plan, jc.compact(network, plan), x) <= 0.5**8
    # A last bit on every weight: what was rounded down may now be rounded up.
    nudged = jax.tree.map(lambda w: w * (1 + 3e-6), network.params)
    assert verify(network, plan, jc.compact(network, plan, nudged), x) <= 0.5**8
    with pytest.raises(ValueError, match="differs from the masked one"):
        verify(network, plan, jc.compact(network, other), x)
