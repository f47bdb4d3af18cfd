"""The network under a plan, in its full shapes: what the search evaluates."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from jaxcompress.compress.activations import quantized_input
from jaxcompress.compress.code import compress
from jaxcompress.compress.products import Products
from jaxcompress.network import Network, Step
from jaxcompress.space import Plan

AS_TRACED = Products()


def forward(network: Network, plan: Plan, x: Any, params: Any = None) -> Any:
    """Runs the network as the plan leaves it: masked channels, blocks, coded values.

    A removed channel counts as zero at the input of every layer that consumes it, which
    is exact for any activation function; what produces it is never touched. A removed
    block adds zero. The input of a layer with activation bits is rounded to its grid.

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


def masked(
    network: Network,
    plan: Plan,
    x: Any,
    params: Any,
    watch: Callable[[Step, list[Any]], list[Any]] | None = None,
    products: Products = AS_TRACED,
) -> Any:
    """Runs the network under a plan on parameters that are coded already.

    Args:
        watch: called with (step, operands) ahead of each step, before the plan changes
            them; returns the operands to use.
        products: how they are run.
    """
    alive = network.alive(plan.channels, plan.blocks)

    def before(step: Step, operands: list[Array]) -> list[Array]:
        operands = operands if watch is None else watch(step, operands)
        operands = quantized_input(network, plan, step, operands)
        block = network.branches.get(step.index)
        if block is not None and block.name in plan.blocks:
            branch = operands[block.operand]
            operands[block.operand] = _only(plan.blocks[block.name], branch)
        for position, dim, column in network.consumed(step):
            operand = operands[position]
            shape = [-1 if d == dim else 1 for d in range(operand.ndim)]
            line = network.layout.mask(column, alive).reshape(shape)
            operands[position] = _only(line, operand)
        return operands

    around = products.around(network, plan)
    return network.interpret(params, x, before=before, around=around)


def _only(kept: Bool[Array | np.ndarray, "..."], x: Array) -> Array:
    # Not a product: what is removed may hold NaN, and NaN * 0 stays NaN.
    return jnp.where(kept, x, jnp.zeros((), x.dtype))
