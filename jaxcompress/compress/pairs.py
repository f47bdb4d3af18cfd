"""Convolutions of few channels, two neighbouring outputs in one, where a CPU is faster.

XLA hands a convolution on a CPU to its fast library (YNNPACK) only where one side has more
than 16 channels; the fewer there are, the slower its other kernel is. Two neighbours along
the last spatial axis, taken as channels of one output, are twice as many. The window is one
longer, so of three places one product in four is with a zero, and yet most shapes take less
time (measured: docs/results/performance.md).
"""

from functools import partial
from typing import Any

import jax.numpy as jnp

from jaxcompress.network import Around, Run, Step

FEW = 16  # channels, of which a convolution has no more on either side


def in_pairs(around: Around | None) -> Around:
    """Returns how each step of a network is run, small convolutions by pairs of outputs.

    Of finite values nothing changes but the order of sums; what is beside an infinite one
    may become NaN, which a product with zero makes of it.

    Args:
        around: how steps are run otherwise, as for `Network.interpret`; None: as they are.
    """

    def paired(step: Step, operands: list[Any], run: Run) -> list[Any]:
        if step.primitive.name == "conv_general_dilated":
            run = partial(_in_pairs, run=run)
        return run(step, operands) if around is None else around(step, operands, run)

    return paired


def _in_pairs(step: Step, operands: list[Any], run: Run) -> list[Any]:
    if not _gains(step, operands):
        return run(step, operands)
    x, kernel = operands
    spec = step.params["dimension_numbers"]
    out, length = spec.rhs_spec[0], spec.rhs_spec[-1]

    def shifted(before: int) -> Any:
        padding = [(0, 0)] * kernel.ndim
        padding[length] = (before, 1 - before)
        return jnp.pad(kernel, padding)

    both = jnp.concatenate([shifted(0), shifted(1)], axis=out)
    strides = (*step.params["window_strides"][:-1], 2)
    (result,) = run(step.with_params(window_strides=strides), [x, both])
    *others, half, _ = result.shape
    return [result.reshape(*others, 2 * half, kernel.shape[out])]


def _gains(step: Step, operands: list[Any]) -> bool:
    """Returns whether a convolution has few channels, laid out as pairs must be."""
    x, kernel = operands
    params, spec = step.params, step.params["dimension_numbers"]
    out, inner, *spatial = spec.rhs_spec
    channels = kernel.shape[out], kernel.shape[inner]
    # At sixteen on both sides nothing is gained.
    few = max(channels) <= FEW and min(channels) < FEW
    # Of a shorter window too many products would be with zeros.
    if not few or len(spatial) != 2 or kernel.shape[spatial[-1]] < 3:
        return False
    last = spec.out_spec[1] == x.ndim - 1 and spec.out_spec[-1] == x.ndim - 2
    plain = params["feature_group_count"] == params["batch_group_count"] == 1
    plain &= set(params["lhs_dilation"]) | set(params["rhs_dilation"]) == {1}
    before, after = params["padding"][-1]
    length = x.shape[spec.lhs_spec[-1]] + before + after - kernel.shape[spatial[-1]] + 1
    return last and plain and params["window_strides"][-1] == 1 and length % 2 == 0
