"""What "exact" means: the masked network computes what the compact one does."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcompress as jc
from jaxcompress.network import Network

# Networks are compiled once and run on a few numbers: optimising them costs more.
QUICKLY = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(function, compiler_options=QUICKLY)


def random_plan(network: Network, seed: int, fewest: bool = False) -> jc.Plan:
    """Keeps at least one random channel of each group; exactly one if `fewest`.

    Of the blocks most are kept; all of them if `fewest`.
    """
    rng = np.random.default_rng(seed)
    channels = {}
    for group in network.prunable:
        kept = 1 if fewest else int(rng.integers(1, group.size + 1))
        mask = np.zeros(group.size, bool)
        mask[rng.choice(group.size, kept, replace=False)] = True
        channels[group.name] = jnp.asarray(mask)
    blocks = {b.name: np.asarray(fewest or rng.random() < 0.7) for b in network.blocks}
    return jc.Plan(channels=channels, blocks=blocks)


def random_inputs(example: Any, batch: int) -> Any:
    rng = np.random.default_rng(0)

    def draw(x: jax.ShapeDtypeStruct) -> jax.Array:
        shape = (batch, *x.shape[1:])
        if jnp.issubdtype(x.dtype, jnp.integer):
            return jnp.asarray(rng.integers(0, 5, shape), x.dtype)
        return jnp.asarray(rng.normal(size=shape), x.dtype)

    return jax.tree.map(draw, example)


def close(a: Any, b: Any, tolerance: float = 1e-5) -> None:
    """All outputs agree within `tolerance` of the largest."""
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.shape == y.shape and x.dtype == y.dtype
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        assert np.isfinite(x).all()
        atol = tolerance * max(np.abs(x).max(initial=0.0), 1e-3)
        np.testing.assert_allclose(x, y, atol=atol, rtol=0)


def check_exact(network: Network, x: Any, plans: int, tolerance: float = 1e-5) -> None:
    """Masked equals compact, in outputs, MACs and size; the first plan is the smallest.

    The traced program computes what the function does, and what is frozen has a reason.
    """

    @compiled
    def everything(plan: jc.Plan, params: Any, x: Any) -> Any:
        masked = jc.forward(network, plan, x, params)
        macs = network.count_macs(network.alive(plan.channels, plan.blocks))
        return masked, macs, network.interpret(params, x), network.apply(params, x)

    assert all(group.prunable != bool(group.reason) for group in network.groups)
    assert float(network.count_macs(network.alive({}))) == pytest.approx(
        network.macs, rel=1e-6
    )
    channels = sum(group.size for group in network.prunable)
    for seed in range(plans):
        plan = random_plan(network, seed, fewest=seed == 0)
        masked, macs, interpreted, applied = everything(plan, network.params, x)
        close(interpreted, applied, tolerance)
        small = jc.compact(network, plan)
        close(masked, compiled(small.apply)(small.params, x), tolerance)
        assert float(macs) == pytest.approx(small.macs, rel=1e-6)  # a float32 sum
        kept = sum(int(mask.sum()) for mask in plan.channels.values())
        whole = kept == channels and all(plan.blocks.values())
        assert small.size == network.size if whole else small.size < network.size
