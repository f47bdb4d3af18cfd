"""Symmetric uniform quantization of a weight tensor, with the number of bits as data.

A tensor becomes integer codes times a scale. The scale is the one of least squared error
over the surviving entries, found among shrunken ranges and then fitted to the codes.
"""

from collections.abc import Sequence
from typing import no_type_check

import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jaxtyping import Array, Bool, Float, Int

ALLOWED_BITS = (1, 2, 3, 4, 5, 6, 7, 8, 16, 32)
GRANULARITIES = ("tensor", "channel")

# Half the number of steps of a grid, by bits; exp2 is inexact on CPU, a table is not.
_STEPS = np.asarray([0, 1] + [2 ** (b - 1) - 1 for b in range(2, 17)], np.float32)
_SHRINKS = np.linspace(0.2, 1.0, 33, dtype=np.float32)


@no_type_check  # as a pytree it holds whatever it is mapped to
class Quantized(struct.PyTreeNode):
    """A tensor on a symmetric uniform grid.

    Attributes:
        codes: int32, in the tensor's shape: -(2^(b-1) - 1) .. 2^(b-1) - 1 for b >= 2
            bits, -1 or 1 for 1 bit, 0 throughout for 32 bits.
        scale: float32, one for the tensor or one a channel (other axes have size 1).
        values: float32, the tensor after coding: codes * scale; unchanged for 32 bits,
            and where an entry is removed: a row of zeros might be divided by its norm.
    """

    codes: Int[Array, "..."]
    scale: Float[Array, "..."]
    values: Float[Array, "..."]


def quantize(
    weights: Float[Array, "..."],
    bits: Int[Array, ""],
    kept: Bool[Array, "..."],
    channel_axes: Sequence[int] = (),
) -> Quantized:
    """Quantizes a weight tensor; jit- and vmap-able in `bits` and `kept`.

    1 bit is binary, sign times mean magnitude (Rastegari et al. 2016, XNOR-Net); 2 bits
    are ternary (Li et al. 2016); 32 bits change nothing.

    Args:
        weights: float32, any shape.
        bits: int32 scalar out of `ALLOWED_BITS`.
        kept: bool in the tensor's shape: entries that count for the scale.
        channel_axes: axes that each have a scale of their own; () for one scale.

    Returns:
        Codes, scale and values; removed entries are coded like the others.

    Example:
        >>> import jax.numpy as jnp
        >>> w = jnp.asarray([-1.0, 0.1, 0.9])
        >>> quantize(w, jnp.asarray(2), jnp.ones(3, bool)).codes
        Array([-1,  0,  1], dtype=int32)
    """
    axes = tuple(d for d in range(weights.ndim) if d not in channel_axes)
    magnitude = jnp.where(kept, jnp.abs(weights), 0.0)
    steps = jnp.asarray(_STEPS)[jnp.minimum(bits, 16)]
    top = jnp.max(magnitude, axis=axes, keepdims=True)
    top = jnp.where(top > 0.0, top, 1.0)

    def codes_at(scale: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.clip(jnp.round(weights / scale), -steps, steps)

    def loss_at(shrink: Float[Array, ""]) -> Float[Array, "..."]:
        scale = top * shrink / steps
        error = jnp.where(kept, codes_at(scale) * scale - weights, 0.0)
        return jnp.sum(jnp.square(error), axis=axes, keepdims=True)

    # A loop, not a batch: the candidates never stand in memory side by side.
    losses = lax.map(loss_at, jnp.asarray(_SHRINKS))
    shrink = jnp.asarray(_SHRINKS)[jnp.argmin(losses, axis=0)]
    rough = codes_at(top * shrink / steps)
    binary = jnp.where(weights < 0.0, -1.0, 1.0)
    codes = jnp.where(bits == 1, binary, rough)
    # For given codes the best scale is a projection; for 1 bit it is the mean magnitude.
    product = jnp.where(kept, weights * codes, 0.0).sum(axis=axes, keepdims=True)
    square = jnp.where(kept, jnp.square(codes), 0.0).sum(axis=axes, keepdims=True)
    scale = jnp.where(square > 0.0, product / jnp.maximum(square, 1.0), 0.0)
    exact = bits >= 32
    return Quantized(
        codes=jnp.where(exact, 0.0, codes).astype(jnp.int32),
        scale=scale,
        values=jnp.where(exact | ~kept, weights, codes * scale),
    )
