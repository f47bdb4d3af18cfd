"""Masked equals compact, for every structure in the zoo."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network.zoo import ZOO

import jaxcompress as jc
from jaxcompress.network import Network


def random_plan(network: Network, seed: int, fewest: bool = False) -> jc.Plan:
    """Keeps at least one random channel of each group; exactly one if `fewest`."""
    rng = np.random.default_rng(seed)
    channels = {}
    for group in network.prunable:
        kept = 1 if fewest else int(rng.integers(1, group.size + 1))
        mask = np.zeros(group.size, bool)
        mask[rng.choice(group.size, kept, replace=False)] = True
        channels[group.name] = jnp.asarray(mask)
    return jc.Plan(channels=channels)


def random_inputs(example: object, batch: int) -> object:
    rng = np.random.default_rng(0)

    def draw(x: jax.ShapeDtypeStruct) -> jax.Array:
        shape = (batch, *x.shape[1:])
        if jnp.issubdtype(x.dtype, jnp.integer):
            return jnp.asarray(rng.integers(0, 5, shape), x.dtype)
        return jnp.asarray(rng.normal(size=shape), x.dtype)

    return jax.tree.map(draw, example)


def close(a: object, b: object) -> None:
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.shape == y.shape
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        assert np.isfinite(x).all()
        np.testing.assert_allclose(x, y, atol=1e-5 * max(np.abs(x).max(), 1.0), rtol=0)


@pytest.mark.parametrize("name", list(ZOO))
def test_masked_equals_compact(name: str) -> None:
    apply, params, example, prunable = ZOO[name](jax.random.key(1))
    network = jc.trace(apply, params, example)
    assert sum(group.size for group in network.prunable) == prunable, str(network)
    assert network.batch_reason is None
    x = random_inputs(network.example, batch=3)
    close(jax.jit(network.interpret)(params, x), apply(params, x))
    forward = jax.jit(lambda plan, x: jc.forward(network, plan, x))
    for seed in range(3):
        plan = random_plan(network, seed, fewest=seed == 0)
        small = jc.compact(network, plan)
        close(forward(plan, x), jax.jit(small.apply)(small.params, x))
        assert float(network.count_macs(network.alive(plan.channels))) == small.macs
        kept = sum(int(m.sum()) for m in plan.channels.values())
        assert small.size <= network.size
        if kept < prunable:
            assert small.size < network.size
