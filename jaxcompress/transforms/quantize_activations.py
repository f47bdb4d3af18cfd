"""Uniform quantization of activations on a grid that was fixed beforehand."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxcompress.transforms.on_grid import on_grid

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
        float32 in the shape of `x`; the gradient passes through inside the span, and the
        span gets its own (see `on_grid`).

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.asarray([0.1, 0.4, 3.0])
        >>> quantize_activations(x, jnp.asarray(2), jnp.asarray([0.0, 3.0]))
        Array([0., 0., 3.], dtype=float32)
    """
    codes, scale, clipped = activation_codes(x, bits, span)
    return jnp.where(bits >= 32, x, on_grid(x, scale, codes, x == clipped))


def activation_codes(
    x: Float[Array, "..."], bits: Int[Array, ""], span: Float[Array, "2"]
) -> tuple[Float[Array, "..."], Float[Array, ""], Float[Array, "..."]]:
    """Returns the codes of activations on the grid of `quantize_activations`.

    Args:
        bits: int32 scalar, 1..16; x, span: as there.

    Returns:
        Codes, whole numbers in float32, up to `grid_steps`; NaN stays NaN. Their
        scale, and what was rounded: `x` inside of the span.
    """
    signed = span[0] < 0.0
    top = jnp.maximum(-span[0], span[1])
    top = jnp.where(top > 1e-30, top, 0.0)  # the scale must not underflow
    place = jnp.minimum(bits, 16)
    steps = jnp.where(signed, jnp.asarray(_SIGNED)[place], jnp.asarray(_UNSIGNED)[place])
    clipped = jnp.clip(x, jnp.where(signed, -top, 0.0), top)
    scale = jnp.where(top > 0.0, top, 1.0) / steps
    binary = signed & (bits == 1)
    signs = jnp.where(x < 0.0, -1.0, 1.0)
    codes = jnp.where(binary & ~jnp.isnan(x), signs, jnp.round(clipped / scale))
    return codes, jnp.where(binary, 0.5 * top, scale), clipped


def grid_steps(bits: int, signed: bool) -> int:
    """Returns the largest code of activations."""
    return int((_SIGNED if signed else _UNSIGNED)[bits])
