"""What a plan makes of a network's weights: codes and scales, in the full shapes."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxcompress.compress.check import check_plan
from jaxcompress.network import Network
from jaxcompress.space import Plan
from jaxcompress.transforms import Quantized, quantize, straight_through


def code(network: Network, plan: Plan, params: Any = None) -> dict[str, Quantized]:
    """Quantizes every weight that the plan names; all statistics are of survivors.

    Args:
        params: the parameters to code; the network's own if None.

    Returns:
        By parameter path the codes, in the parameter's full shape.
    """
    check_plan(network, plan)
    leaves = network.leaves(params)
    alive = network.alive(plan.channels, plan.blocks)
    out_axes = {layer.weight: layer.out_axes for layer in network.layers}
    return {
        path: quantize(
            leaves[path],
            jnp.asarray(bits),
            kept_entries(network, path, alive),
            out_axes[path] if plan.granularity == "channel" else (),
        )
        for path, bits in plan.weight_bits.items()
    }


def kept_entries(
    network: Network, path: str, alive: Bool[Array, " units"]
) -> Bool[Array, "..."]:
    """Returns which entries of a parameter survive, bool in its shape."""
    columns = network.columns(path)
    shape = tuple(column.size for column in columns)
    kept = jnp.ones(shape, bool)
    for dim, column in enumerate(columns):
        if column.units:
            line = network.layout.mask(column, alive)
            kept = kept & line.reshape([-1 if d == dim else 1 for d in range(len(shape))])
    return kept


def compress(network: Network, plan: Plan, params: Any = None) -> Any:
    """Returns parameters of the same shapes with the values that the plan leaves.

    Args:
        plan: out of `Space.decode`, or made by hand.
        params: the parameters to compress; the network's own if None.

    Returns:
        The parameter pytree; entries of removed channels hold values of no meaning. The
        gradient passes straight through to `params`.
    """
    leaves = network.leaves(params)
    coded = {
        path: straight_through(leaves[path], quantized.values)
        for path, quantized in code(network, plan, params).items()
    }
    return network.unflatten(leaves | coded)
