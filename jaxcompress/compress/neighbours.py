"""Convolutions of few channels, neighbouring outputs in one, where a CPU is faster.

XLA hands a convolution on a CPU to its fast library (YNNPACK) only where one side has more
than 16 channels; the fewer there are, the slower its other kernel is. Two or four
neighbours along the last spatial axis, taken as channels of one output, are as many times
more. The window is longer, so of three places one product in four is with a zero, or one in
two, and yet most shapes take less time (measured: docs/results/performance.md).
"""

from functools import partial
from typing import Any

import jax.numpy as jnp

from jaxcompress.network import Around, Run, Step

FEW = 16  # channels, of which a convolution has no more on either side
COLOURS = 3  # channels, with which the library is slow up to some 40 outputs


def by_neighbours(around: Around | None) -> Around:
    """Returns how each step of a network is run, small convolutions by neighbours.

    Of finite values nothing changes but the order of sums; what is beside an infinite one
    may become NaN, which a product with zero makes of it.

    Args:
        around: how steps are run otherwise, as for `Network.interpret`; None: as they are.
    """

    def joined(step: Step, operands: list[Any], run: Run) -> list[Any]:
        if step.primitive.name == "conv_general_dilated":
            run = partial(_joined, run=run)
        return run(step, operands) if around is None else around(step, operands, run)

    return joined


def _joined(step: Step, operands: list[Any], run: Run) -> list[Any]:
    count = _neighbours(step, operands)
    if count == 1:
        return run(step, operands)
    x, kernel = operands
    spec = step.params["dimension_numbers"]
    out, length = spec.rhs_spec[0], spec.rhs_spec[-1]

    def shifted(before: int) -> Any:
        padding = [(0, 0)] * kernel.ndim
        padding[length] = (before, count - 1 - before)
        return jnp.pad(kernel, padding)

    wide = jnp.concatenate([shifted(before) for before in range(count)], axis=out)
    strides = (*step.params["window_strides"][:-1], count)
    (result,) = run(step.with_params(window_strides=strides), [x, wide])
    *others, part, _ = result.shape
    return [result.reshape(*others, count * part, kernel.shape[out])]


def _neighbours(step: Step, operands: list[Any]) -> int:
    """Returns how many outputs run as one; 1: many channels, or another layout."""
    x, kernel = operands
    params, spec = step.params, step.params["dimension_numbers"]
    outputs, inputs = (kernel.shape[axis] for axis in spec.rhs_spec[:2])
    spatial = spec.rhs_spec[2:]
    # Of a shorter window too many products would be with zeros.
    if max(outputs, inputs) > FEW or len(spatial) != 2 or kernel.shape[spatial[-1]] < 3:
        return 1
    last = spec.out_spec[1] == x.ndim - 1 and spec.out_spec[-1] == x.ndim - 2
    plain = params["feature_group_count"] == params["batch_group_count"] == 1
    plain &= set(params["lhs_dilation"]) | set(params["rhs_dilation"]) == {1}
    if not (last and plain and params["window_strides"][-1] == 1):
        return 1
    before, after = params["padding"][-1]
    length = x.shape[spec.lhs_spec[-1]] + before + after - kernel.shape[spatial[-1]] + 1
    few = 2 * outputs <= FEW
    # Of colours more than 16 outputs are worse than fewer, until they are very many.
    if inputs == COLOURS and 4 * outputs > FEW:
        few = not few
    return next((n for n in ((4, 2) if few else (2,)) if length % n == 0), 1)
