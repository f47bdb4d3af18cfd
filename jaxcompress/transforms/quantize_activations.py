"""Uniform quantization of activations on a grid that was fixed beforehand."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxcompress.transforms.straight_through import straight_through

# The number of steps from 0 to the end of a grid, by bits, without and with a sign.
_UNSIGNED = np.asarray([1] + [2**b - 1 for b in range(1, 17)], np.float32)
_SIGNED = np.asarray([1, 1] + [2 ** (b - 1) - 1 for b in range(2, 17)], np.float32)


def quantize_activations(
    x: Float[Array, "..."], bits: Int[Array, ""], span: Float[Array, "2"]
) -> Float[Array, "..."]:
    """Rounds activations to a uniform grid; jit- and vmap-able in bits and span.

    Where nothing is negative (after a ReLU) the grid has 2^b values from 0 to the
    largest; else 2^b - 1 values, the same on both sides of 0. So 0 stays 0, but for 1
    bit with a sign: there the values are the middles of both halves.

    Args:
        x: float32, any shape.
        bits: int32 scalar, 1..16, or 32: unchanged.
        span: float32 [2], the least and the largest value; what lies outside is clipped.

    Returns:
        float32 in the shape of `x`; the gradient passes through inside the span.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.asarray([0.1, 0.4, 3.0])
        >>> quantize_activations(x, jnp.asarray(2), jnp.asarray([0.0, 3.0]))
        Array([0., 0., 3.], dtype=float32)
    """
    signed = span[0] < 0.0
    top = jnp.maximum(-span[0], span[1])
    top = jnp.where(top > 1e-30, top, 0.0)  # the scale must not underflow
    place = jnp.minimum(bits, 16)
    steps = jnp.where(signed, jnp.asarray(_SIGNED)[place], jnp.asarray(_UNSIGNED)[place])
    clipped = jnp.clip(x, jnp.where(signed, -top, 0.0), top)
    scale = jnp.where(top > 0.0, top, 1.0) / steps
    grid = jnp.round(clipped / scale) * scale
    binary = jnp.where(x < 0.0, -0.5, 0.5) * top
    values = jnp.where(signed & (bits == 1) & ~jnp.isnan(x), binary, grid)
    return jnp.where(bits >= 32, x, straight_through(clipped, values))
