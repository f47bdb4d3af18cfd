"""Costs in closed form against counts on the physically smaller network."""

from math import ceil, prod

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network.exact import random_plan
from network.zoo import ZOO
from objectives.counted import costs

import jaxcompress as jc
from jaxcompress import objectives
from jaxcompress.objectives.size import overhead


def joint(network: jc.Network, seed: int, granularity: str) -> jc.Plan:
    rng = np.random.default_rng(seed)
    paths = dict.fromkeys(layer.weight for layer in network.layers)
    return jc.Plan(
        channels=random_plan(network, seed).channels,
        weight_bits={p: jnp.asarray(rng.choice([1, 3, 8, 32]), jnp.int32) for p in paths},
        granularity=granularity,
    )


@pytest.mark.parametrize("name", ["resnet_padded", "mobilenet", "gru", "vit", "resnext"])
def test_macs_and_size_are_those_of_the_compact_network(name: str) -> None:
    network = jc.trace(*ZOO[name](jax.random.key(0))[:3])
    kinds = (objectives.Macs(), objectives.Size("dense"))
    for seed, granularity in enumerate(("tensor", "channel")):
        plan = joint(network, seed, granularity)
        small = jc.compact(network, plan)
        macs, size = map(float, costs(network, kinds)(plan))
        assert macs == small.macs
        expected = 0
        for path, leaf in small.leaves().items():
            if path.endswith(("/mean", "/var")):
                continue  # of batch normalisations: no file holds them
            bits = int(plan.weight_bits.get(path, 32))
            expected += ceil(leaf.size * bits / 8)
            if bits < 32:
                expected += 4 * prod(small.coding[path].scale.shape)
        assert size - overhead(network, plan, "dense") == expected


def test_macs_of_a_convolution_by_hand() -> None:
    """3x3, 3 to 4 channels, on 4x4 positions, and 4 to 3 dense."""
    network = jc.trace(*ZOO["layernorm_cnn"](jax.random.key(0))[:3])
    assert network.macs == 16 * 9 * 3 * 6 + 16 * 9 * 6 * 5 + 5 * 3
    assert [layer.macs for layer in network.layers] == [16 * 27 * 6, 16 * 54 * 5, 15]


def test_xla_counts_the_same_multiplications() -> None:
    """Dots alone, where XLA's own count has no padding to leave out."""
    _, params, example, _ = ZOO["mlp"](jax.random.key(0))
    network = jc.trace(lambda p, x: x @ p["a"] @ p["b"] @ p["c"], params, example)
    small = jc.compact(network, random_plan(network, 3))
    for net in (network, small):
        cost = (
            jax.jit(net.apply).lower(net.params, jnp.ones((1, 5))).compile().cost_analysis()
        )
        assert cost is not None and cost["flops"] == 2 * net.macs


def test_error_counts_and_refuses_nan() -> None:
    outputs = jnp.asarray([[2.0, 1.0], [0.0, 3.0], [5.0, 1.0]])
    targets = jnp.asarray([0, 0, 0])
    assert float(objectives.Error()(outputs, targets)) == pytest.approx(1 / 3)
    probabilities = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    entropy = -np.log(np.asarray(probabilities, np.float64)[np.arange(3), 0]).mean()
    found = float(objectives.Error("cross_entropy")(outputs, targets))
    assert found == pytest.approx(entropy, rel=1e-5)
    several = jnp.stack([outputs, outputs])  # a label for each of three positions
    both = objectives.Error()(several, jnp.stack([targets, targets]))
    assert float(both) == pytest.approx(1 / 3)
    with pytest.raises(
        ValueError, match=r"outputs have shape \(3, 1\) and targets \(3, 1\)"
    ):
        objectives.Error()(jnp.ones((3, 1)), jnp.ones((3, 1)))
    assert np.isnan(float(objectives.Error()(outputs.at[0, 0].set(jnp.nan), targets)))
    own = objectives.Error(lambda y, t: jnp.square(y[:, 0] - t).mean())
    assert float(own(outputs, targets)) == pytest.approx(29 / 3)


def test_an_error_at_its_bound_keeps_it_and_one_more_does_not() -> None:
    """Of 10 labels k are wrong: in float32 k / 10 is no exact number."""
    targets = jnp.zeros(10, jnp.int32)
    outputs = jnp.eye(2)[np.tri(11, 10, -1, dtype=int)]

    @jax.jit
    def violations(outputs: jax.Array) -> jax.Array:
        bounds = [objectives.Error() <= k / 10 for k in range(1, 10)]
        return jnp.stack(
            [jnp.stack([b.violation(y, targets) for b in bounds]) for y in outputs]
        )

    found, allowed = np.asarray(violations(outputs)), np.arange(1, 10) / 10
    expected = np.arange(11)[:, None] / 10 / allowed - 1
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert ((found <= 0) == (np.arange(11)[:, None] <= np.arange(1, 10))).all()


def test_constraints_and_refusals() -> None:
    network = jc.trace(*ZOO["mlp"](jax.random.key(0))[:3])
    bound = objectives.Macs() <= network.macs / 2
    assert float(bound.violation(network, jc.Plan())) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="must be positive"):
        _ = objectives.Macs() <= 0.0
    with pytest.raises(ValueError, match=r"error <= 0\.0: the limit must be positive"):
        _ = objectives.Error() <= 0.0
    with pytest.raises(ValueError, match="'zip'; allowed"):
        objectives.Size("zip")
    with pytest.raises(ValueError, match="'top5'; allowed"):
        objectives.Error("top5")
