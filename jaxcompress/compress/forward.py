"""The network under a plan, in its full shapes: what the search evaluates."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxcompress.compress.code import compress
from jaxcompress.network import Network, Step
from jaxcompress.space import Plan


def forward(network: Network, plan: Plan, x: Any, params: Any = None) -> Any:
    """Runs the network as the plan leaves it: masked channels, coded weights.

    A removed channel counts as zero at the input of every layer that consumes it, which
    is exact for any activation function; what produces it is never touched.

    Args:
        plan: what to do; may be traced, so a population of plans can be mapped over.
        x: inputs, a batch of any size.
        params: uncoded parameters; the network's own if None.

    Returns:
        The outputs of the compact network, up to rounding.
    """
    return masked(network, plan, x, compress(network, plan, params))


@lru_cache(maxsize=8)
def compiled_forward(network: Network) -> Callable[[Plan, Any, Any], Any]:
    """Returns (plan, x, params) -> outputs, compiled once for all plans of a network."""
    return jax.jit(lambda plan, x, params: forward(network, plan, x, params))


def masked(network: Network, plan: Plan, x: Any, params: Any) -> Any:
    """Runs the network with masked channels on parameters that are coded already."""
    alive = network.alive(plan.channels)

    def mask(step: Step, operands: list[Array]) -> list[Array]:
        for position, dim, column in network.consumed(step):
            operand = operands[position]
            shape = [-1 if d == dim else 1 for d in range(operand.ndim)]
            line = network.layout.mask(column, alive).reshape(shape)
            # Not a product: a removed channel may hold NaN, and NaN * 0 stays NaN.
            operands[position] = jnp.where(line, operand, jnp.zeros((), operand.dtype))
        return operands

    return network.interpret(params, x, before=mask)
