"""The smaller network: channels physically gone, weights coded."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxcompress.compress.activations import quantized_input
from jaxcompress.compress.check import check_plan
from jaxcompress.compress.code import code
from jaxcompress.compress.forward import compiled_forward
from jaxcompress.network import Network, Step, trace
from jaxcompress.space import Plan
from jaxcompress.transforms import Quantized


@dataclass(frozen=True, eq=False)
class Coding:
    """How one parameter of a compact network is coded; host arrays.

    Attributes:
        bits: of a code; 32: the values are plain float32.
        codes: int32 in the parameter's (narrow) shape; None for 32 bits.
        scale: float32, broadcasts against the codes; None for 32 bits.
    """

    bits: int
    codes: np.ndarray | None = None
    scale: np.ndarray | None = None


def compact(network: Network, plan: Plan, params: Any = None) -> Network:
    """Returns a smaller network: what the plan removes is gone, the rest is coded.

    Args:
        plan: one plan with concrete arrays.
        params: uncoded parameters (fine-tuned ones, say); the network's own if None.

    Returns:
        A traced network with narrower parameters (None where a removed block left none),
        which can be compacted again; its `coding` tells how each parameter is coded.

    Raises:
        ValueError: the plan removes every channel of a group, or names what is not there.
    """
    check_plan(network, plan)
    alive = network.alive_on_host(plan.channels, plan.blocks)
    narrow = network.narrowed(params, alive)
    coding = {path: Coding(32) for path in narrow}
    quantized = _coder(network)(plan, network.params if params is None else params)
    for path, q in quantized.items():
        bits = int(plan.weight_bits[path])
        if bits == 32 or path not in narrow:
            continue
        codes = np.asarray(network.narrow(path, q.codes, alive))
        scale = np.asarray(network.narrow(path, q.scale, alive))
        coding[path] = Coding(bits, codes, scale)
        narrow[path] = codes.astype(np.float32) * scale

    def before(step: Step, operands: list[Array]) -> list[Array]:
        return quantized_input(network, plan, step, operands)

    def apply(params: Any, x: Any) -> Any:
        return network.interpret(params, x, alive, before)

    tree = network.unflatten({path: jnp.asarray(leaf) for path, leaf in narrow.items()})
    return replace(trace(apply, tree, network.example), coding=coding)


@lru_cache(maxsize=4)
def _coder(network: Network) -> Callable[[Plan, Any], dict[str, Quantized]]:
    """One compiled coder for all plans of a network."""
    return jax.jit(lambda plan, params: code(network, plan, params))


def verify(
    network: Network, plan: Plan, small: Network, inputs: Any, params: Any = None
) -> float:
    """Checks on real inputs that the compact network computes what was evaluated.

    Returns:
        The largest difference of an output, relative to the largest output.

    Raises:
        ValueError: they differ by more than 1e-4 of the largest output.
    """
    given = network.params if params is None else params
    wide = compiled_forward(network)(plan, inputs, given)
    thin = jax.jit(small.apply)(small.params, inputs)
    worst = 0.0
    for a, b in zip(jax.tree.leaves(wide), jax.tree.leaves(thin), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        difference = float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-30))
        worst = difference if not difference <= worst else worst  # NaN stays
    if not worst <= 1e-4:
        raise ValueError(
            f"the compact network differs from the masked one by {worst:.2e} of the "
            "largest output; this is a defect of the channel graph, please report it"
        )
    return worst
