"""Channels and bits together: masked and compact agree, plans are checked."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network.exact import close, random_inputs, random_plan
from network.zoo import ZOO

import jaxcompress as jc
from jaxcompress.compress import verify


@pytest.mark.parametrize(
    ("granularity", "name"),
    [
        ("tensor", "lenet"),
        ("channel", "mobilenet"),
        ("channel", "fused_attention"),
        pytest.param("channel", "lenet", marks=pytest.mark.slow),
        pytest.param("tensor", "mobilenet", marks=pytest.mark.slow),
        pytest.param("tensor", "fused_attention", marks=pytest.mark.slow),
    ],
)
def test_masked_equals_compact_under_bits(granularity: str, name: str) -> None:
    apply, params, example, _ = ZOO[name](jax.random.key(2))
    network = jc.trace(apply, params, example)
    weights = dict.fromkeys(layer.weight for layer in network.layers)
    rng = np.random.default_rng(0)
    plan = jc.Plan(
        channels=random_plan(network, 1).channels,
        weight_bits={p: jnp.asarray(rng.choice([1, 2, 4, 32]), jnp.int32) for p in weights},
        granularity=granularity,
    )
    x = random_inputs(network.example, 3)
    small = jc.compact(network, plan)
    close(
        jax.jit(lambda p, x: jc.forward(network, p, x))(plan, x),
        small.apply(small.params, x),
    )
    assert verify(network, plan, small, x) <= 1e-5
    for path, coding in small.coding.items():
        bits = int(plan.weight_bits.get(path, 32))
        assert coding.bits == bits
        values = np.asarray(small.leaves()[path])
        if bits < 32:
            assert (values == coding.codes.astype(np.float32) * coding.scale).all()


def test_gradient_passes_straight_through() -> None:
    apply, params, example, _ = ZOO["mlp"](jax.random.key(0))
    network = jc.trace(apply, params, example)
    plan = jc.Plan(weight_bits={"a": jnp.asarray(2)})
    gradient = jax.grad(lambda p: (jc.compress(network, plan, p)["a"] * 3.0).sum())(params)
    assert (gradient["a"] == 3.0).all() and (gradient["b"] == 0.0).all()


def test_a_removed_channel_may_hold_anything() -> None:
    """An infinite producer behind a mask leaves the outputs finite and right."""
    apply, params, example, _ = ZOO["mlp"](jax.random.key(0))
    network = jc.trace(apply, params, example)
    kept = {g.name: jnp.arange(g.size) > 0 for g in network.prunable}
    x = random_inputs(network.example, 2)
    wild = {**params, "a": params["a"].at[:, 0].set(jnp.inf)}
    plan = jc.Plan(channels=kept)
    close(jc.forward(network, plan, x), jc.forward(network, plan, x, wild))


def test_compact_can_be_compacted_again_and_exported() -> None:
    apply, params, example, _ = ZOO["resnet_projection"](jax.random.key(0))
    network = jc.trace(apply, params, example)
    small = jc.compact(network, random_plan(network, 5))
    tiny = jc.compact(small, random_plan(small, 6, fewest=True))
    assert tiny.macs < small.macs < network.macs
    (batch,) = jax.export.symbolic_shape("batch")
    shape = jax.ShapeDtypeStruct((batch, *network.example.shape[1:]), jnp.float32)
    exported = jax.export.export(jax.jit(lambda x: tiny.apply(tiny.params, x)))(shape)
    x = random_inputs(network.example, 5)
    close(exported.call(x), tiny.apply(tiny.params, x))
    gradient = jax.jit(jax.grad(lambda p: jnp.square(tiny.apply(p, x)).sum()))(tiny.params)
    assert all(bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(gradient))


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (jc.Plan(channels={"nobody": jnp.ones(3, bool)}), "no channel group 'nobody'"),
        (jc.Plan(channels={"a": jnp.ones(3, bool)}), "has 6 channels"),
        (jc.Plan(channels={"a": jnp.zeros(6, bool)}), "keep one"),
        (jc.Plan(channels={"c": jnp.arange(3) > 0}), "frozen: network output"),
        (jc.Plan(weight_bits={"z": jnp.asarray(4)}), "no layer's weight"),
        (jc.Plan(weight_bits={"a": jnp.asarray(40)}), "40 bits; allowed"),
        (jc.Plan(weight_bits={"a": jnp.asarray(0)}), "0 bits; allowed"),
    ],
)
def test_bad_plans_are_refused(plan: jc.Plan, words: str) -> None:
    network = jc.trace(*ZOO["mlp"](jax.random.key(0))[:3])
    with pytest.raises(ValueError, match=words):
        jc.compact(network, plan)
    with pytest.raises(ValueError, match=words):
        jc.forward(network, plan, example_inputs(network))


def example_inputs(network: jc.Network) -> jax.Array:
    return jnp.ones(network.example.shape)


def test_verify_refuses_nan() -> None:
    network = jc.trace(*ZOO["mlp"](jax.random.key(0))[:3])
    plan = jc.Plan(channels=random_plan(network, 0).channels)
    small = jc.compact(network, plan)
    broken = replace(small, params={**small.params, "c": small.params["c"] * jnp.nan})
    with pytest.raises(ValueError, match="differs from the masked one by nan"):
        verify(network, plan, broken, example_inputs(network))


def test_removed_channels_leave_no_nan_in_gradients() -> None:
    """A weight that is divided by its norm: a row of zeros would give 0 / 0."""
    rng = np.random.default_rng(0)
    shapes = {"a": (4, 6), "b": (6, 3)}
    params = {n: jnp.asarray(rng.normal(size=s), jnp.float32) for n, s in shapes.items()}
    x = jnp.asarray(rng.normal(size=(5, 4)), jnp.float32)

    def apply(p, x):
        norm = jnp.sqrt(jnp.square(p["a"]).sum(0, keepdims=True))
        return jnp.tanh(x @ (p["a"] / norm)) @ p["b"]

    network = jc.trace(apply, params, x)
    kept = {network.prunable[0].name: jnp.arange(6) < 4}
    plan = jc.Plan(channels=kept, weight_bits={"a": jnp.asarray(2), "b": jnp.asarray(2)})
    loss, gradient = jax.value_and_grad(
        lambda p: jnp.square(jc.forward(network, plan, x, p)).sum()
    )(params)
    assert np.isfinite(loss) and all(np.isfinite(g).all() for g in gradient.values())
