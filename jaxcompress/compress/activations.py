"""The inputs of layers: their ranges on real data, and their grids under a plan."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxcompress.network import Activations, Codes, Network, Step, is_exact
from jaxcompress.space import Plan
from jaxcompress.transforms import activation_codes, grid_steps, quantize_activations


def calibrate(
    network: Network,
    inputs: Any,
    *,
    percentile: float = 100.0,
    batch_size: int = 128,
    params: Any = None,
) -> dict[str, np.ndarray]:
    """Returns the range of every layer's input on real data.

    Args:
        network: its layers inside a scan have no range of their own and are left out.
        inputs: training inputs [N, ...], never the test split.
        percentile: in (50, 100]; of the values of a batch, how many lie below the upper
            end, and above the lower one. 100 is the largest and the least value.
        batch_size: inputs a step; what does not fill a batch is left out unless it is
            all there is.
        params: the parameters to run with; the network's own if None.

    Returns:
        By layer name the least and the largest value, float32 [2]: the widest of all
        batches.

    Raises:
        ValueError: the percentile is not in (50, 100], or there are no inputs.
    """
    if not 50.0 < percentile <= 100.0:
        raise ValueError(f"calibrate: percentile is {percentile}; allowed: (50, 100]")
    count = min((len(x) for x in jax.tree.leaves(inputs)), default=0)
    if batch_size < 1:
        raise ValueError(f"calibrate: batch_size is {batch_size}; allowed: 1 or more")
    if not count:
        raise ValueError("calibrate: inputs are empty; give some training inputs")
    params = network.params if params is None else params
    outside = {step.index for step in network.program.steps}

    @jax.jit
    def ranges(params: Any, x: Any) -> dict[str, Array]:
        found: dict[str, Array] = {}

        def note(step: Step, operands: list[Array]) -> list[Array]:
            layer = network.layer_at.get(step.index)
            if layer is not None and step.index in outside:
                values = operands[layer.operand].astype(jnp.float32)
                ends = jnp.asarray([100.0 - percentile, percentile], jnp.float32)
                found[layer.name] = jnp.percentile(values, ends)
            return operands

        network.interpret(params, x, before=note)
        return found

    size = min(batch_size, count)
    if network.batch_reason is not None:
        size = jax.tree.leaves(network.example)[0].shape[0]
    batches = [
        ranges(params, jax.tree.map(lambda x, i=i: x[i : i + size], inputs))
        for i in range(0, count - size + 1, size)
    ]
    seen = {n: np.stack([np.asarray(b[n]) for b in batches]) for n in batches[0]}
    return {n: np.stack([x[:, 0].min(), x[:, 1].max()]) for n, x in seen.items()}


def quantized_input(
    network: Network, plan: Plan, step: Step, operands: list[Any]
) -> list[Any]:
    """Returns a step's operands with the input of a layer on the plan's grid.

    Where the weight is codes that may be multiplied, the input is, too; of a plan with
    concrete arrays.
    """
    layer = network.layer_at.get(step.index)
    if layer is None or layer.name not in plan.activation_bits:
        return operands
    bits, span = plan.activation_bits[layer.name], plan.activation_ranges[layer.name]
    operands = list(operands)
    x, weight = operands[layer.operand], operands[1 - layer.operand]
    if isinstance(weight, Codes) and x.dtype == jnp.float32 and int(bits) <= 8:
        steps = grid_steps(int(bits), signed=bool(np.asarray(span)[0] < 0.0))
        if is_exact(step, weight, 1 - layer.operand, steps):
            codes, scale, _ = activation_codes(x, jnp.asarray(bits), jnp.asarray(span))
            operands[layer.operand] = Activations(codes, scale, steps)
            return operands
    operands[layer.operand] = quantize_activations(
        x.astype(jnp.float32), jnp.asarray(bits), jnp.asarray(span)
    ).astype(x.dtype)
    return operands
