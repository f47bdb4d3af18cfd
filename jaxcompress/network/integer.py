"""Convolutions and dots of small integers, exact in int32, and scaled at the end."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcompress.annotations import Array, Float
from jaxcompress.network.coded import Codes, whole
from jaxcompress.network.primitives.contraction import dot_axes
from jaxcompress.network.primitives.rule import Use

_LARGEST = 127  # int8
_SHIFT = 128  # what brings codes 0..255 into int8


@dataclass(frozen=True, eq=False)
class Activations:
    """The input of a layer on a grid.

    Attributes:
        codes: whole numbers, float32; NaN where the input was.
        scale: float32 scalar, what they are multiplied by.
        steps: the largest code, 1..255; where it is above 127, none is below 0.
    """

    codes: Float[Array, "..."]
    scale: Float[Array, ""]
    steps: int


def is_exact(site: Use, weight: Codes, place: int, steps: int) -> bool:
    """Returns whether a layer may multiply codes, and all sums fit in int32.

    Args:
        place: which operand the weight is.
        steps: of the other operand, see `Activations`.
    """
    if not (weight.integer and weight.grid):
        return False
    if site.params["preferred_element_type"] not in (None, np.float32):
        return False
    outer = _outer(site, place, len(weight.shape))
    if outer is None:
        return False
    # A scale along an axis that is summed over cannot wait for the sum.
    if any(n > 1 for d, n in enumerate(weight.table.shape) if d not in outer):
        return False
    summed = prod(n for d, n in enumerate(weight.shape) if d not in outer)
    return summed * max(1, 2 ** (weight.bits - 1) - 1) * steps < 2**31


def multiply(
    site: Use, operands: list[Any], run: Callable[[dict[str, Any], list[Any]], Any]
) -> Float[Array, "..."]:
    """Runs a convolution or dot of `Activations` and `Codes` as int8 x int8 -> int32.

    Codes 0..255 are moved to -128..127, zeros of a convolution's padding with them; what
    that takes from the sums is 128 times the sum of an output's weights.

    Args:
        run: runs the step with other parameters on other operands.

    Returns:
        float32; NaN for the examples (of a dot: the rows) of the input that hold NaN.
    """
    place = int(isinstance(operands[1], Codes))
    weight, x = operands[place], operands[1 - place]
    moved = 0 if x.steps <= _LARGEST else _SHIFT
    params = site.params | {"preferred_element_type": np.dtype(np.int32), "precision": None}
    small, codes = whole(weight), (x.codes - moved).astype(jnp.int8)
    if moved and site.primitive.name == "conv_general_dilated":
        codes, params = _padded(codes, params, -moved)
    total = run(params, [codes, small] if place else [small, codes])

    def outward(array: Array, operand: int) -> Array:
        """Lays what is left of an operand's axes along those of the result."""
        shape = [1] * total.ndim
        for axis, there in (_outer(site, operand, array.ndim) or {}).items():
            shape[there] = array.shape[axis]
        return array.reshape(shape)

    def summed(operand: int, rank: int) -> list[int]:
        return [d for d in range(rank) if d not in (_outer(site, operand, rank) or {})]

    if moved:
        sums = small.sum(summed(place, small.ndim), dtype=jnp.int32, keepdims=True)
        total = total + moved * outward(sums, place)
    nan = jnp.isnan(x.codes).any(summed(1 - place, codes.ndim), keepdims=True)
    scale = jnp.where(outward(nan, 1 - place), jnp.nan, x.scale)
    return total.astype(jnp.float32) * (scale * outward(weight.table, place))


def _outer(site: Use, place: int, rank: int) -> dict[int, int] | None:
    """Returns which axis of the result each axis of an operand is that is not summed over.

    A convolution sums over all of its input but the batch. None: there are axes that both
    operands share.
    """
    if site.primitive.name == "dot_general":
        contracted, batch = dot_axes(site.params)
        if batch[0]:
            return None
        axes = [d for d in range(rank) if d not in contracted[place]]
        return {d: i - len(axes) * place for i, d in enumerate(axes)}
    if site.params["batch_group_count"] != 1:
        return None
    spec = site.params["dimension_numbers"]
    batch, features, *_ = spec.out_spec
    return {spec.rhs_spec[0]: features} if place else {spec.lhs_spec[0]: batch}


def _padded(
    codes: Array, params: dict[str, Any], zero: int
) -> tuple[Array, dict[str, Any]]:
    """Pads a convolution's input with a number, for it would itself pad with 0."""
    config = [(0, 0, 0)] * codes.ndim
    space = params["dimension_numbers"].lhs_spec[2:]
    for axis, ends, step in zip(
        space, params["padding"], params["lhs_dilation"], strict=True
    ):
        config[axis] = (*ends, step - 1)
    plain = {"padding": ((0, 0),) * len(space), "lhs_dilation": (1,) * len(space)}
    return lax.pad(codes, jnp.int8(zero), config), params | plain
