"""Low-rank weights: a contraction with a product of small weights instead of one."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax

from jaxcompress.annotations import Array, Float
from jaxcompress.network.primitives.contraction import dot_axes
from jaxcompress.network.primitives.rule import Use

# A weight is made of its factors, and its factors of it, in full float32 on every device:
# it is what is stored, and what is run at a lower precision begins with it.
EXACT = lax.Precision.HIGHEST


class Matrix(NamedTuple):
    """A weight as left times right.

    Attributes:
        left: the weight's axes but those of outputs, then the rank.
        right: the rank, then the weight's axes of outputs.
    """

    left: Float[Array, "..."]
    right: Float[Array, "..."]


class Tucker(NamedTuple):
    """A convolution's weight as a smaller one between two products of channels.

    Attributes:
        inputs: [input channels, input rank].
        core: as the weight, with the ranks in the place of the channels.
        outputs: [output rank, output channels].
    """

    inputs: Float[Array, "i r"]
    core: Float[Array, "..."]
    outputs: Float[Array, "q o"]


Factors = Matrix | Tucker


def is_factors(value: Any) -> bool:
    """Returns whether a node of a parameter pytree stands for one weight."""
    return isinstance(value, Matrix | Tucker)


def contract(site: Use, operands: list[Any]) -> Array:
    """Runs a convolution or dot one of whose operands is a product of weights."""
    if site.primitive.name == "dot_general":
        return _dot(site, operands)
    x, factors = operands
    if isinstance(factors, Tucker):
        spec = site.params["dimension_numbers"]
        x = _mixed(x, factors.inputs, spec.lhs_spec[1])
        y = site.primitive.bind(x, factors.core, **site.params)
        return _mixed(y, factors.outputs, spec.out_spec[1])
    return _convolution(site, x, factors)


def _mixed(x: Array, matrix: Array, axis: int) -> Array:
    """Multiplies the channels of an image by a matrix [old, new]."""
    y = lax.dot_general(x, matrix, (((axis,), (0,)), ((), ())))
    return jnp.moveaxis(y, -1, axis)


def _convolution(site: Use, x: Array, factors: Matrix) -> Array:
    spec = site.params["dimension_numbers"]
    out = spec.rhs_spec[0]
    y = site.primitive.bind(x, jnp.moveaxis(factors.left, -1, out), **site.params)
    return _mixed(y, factors.right, spec.out_spec[1])


def _dot(site: Use, operands: list[Any]) -> Array:
    place = next(i for i, operand in enumerate(operands) if is_factors(operand))
    x, (left, right) = operands[1 - place], operands[place]
    contracted, _ = dot_axes(site.params)
    # `left` has lost the weight's axes of outputs: the contracted ones move together.
    order = sorted(contracted[place])
    along = tuple(order.index(d) for d in contracted[place])
    y = lax.dot_general(x, left, ((tuple(contracted[1 - place]), along), ((), ())))
    last = (y.ndim - 1,)
    if place == 1:
        return lax.dot_general(y, right, ((last, (0,)), ((), ())))
    return lax.dot_general(right, y, (((0,), last), ((), ())))


def multiplied(
    factors: Factors, in_axes: tuple[int, ...], out_axes: tuple[int, ...]
) -> Float[Array, "..."]:
    """Returns the weight that factors stand for, in its own order of axes.

    Args:
        in_axes, out_axes: the weight's axes of input and of output channels.
    """
    if isinstance(factors, Tucker):
        (into,), (out,) = in_axes, out_axes
        half = jnp.tensordot(factors.core, factors.inputs, ((into,), (1,)), precision=EXACT)
        half = jnp.moveaxis(half, -1, into)
        whole = jnp.tensordot(half, factors.outputs, ((out,), (0,)), precision=EXACT)
        return jnp.moveaxis(whole, -1, out)
    whole = jnp.tensordot(factors.left, factors.right, 1, precision=EXACT)
    others = [d for d in range(whole.ndim) if d not in out_axes]
    return jnp.moveaxis(whole, range(whole.ndim), [*others, *out_axes])
