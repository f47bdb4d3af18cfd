"""Symmetric uniform quantization of a weight tensor, with the number of bits as data.

A tensor becomes integer codes times a scale. The scale is that of the largest surviving
entry, of a percentile of them, or the one of least squared error over them, found among
shrunken ranges and then fitted to the codes.
"""

from collections.abc import Sequence
from typing import no_type_check

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxcompress.transforms.on_grid import on_grid

ALLOWED_BITS = (1, 2, 3, 4, 5, 6, 7, 8, 16, 32)
GRANULARITIES = ("tensor", "channel")
SCALES = ("least_squares", "max", "percentile")
PERCENTILE = 99.0  # of magnitudes, of the scale of that name

# Half the number of steps of a grid, by bits; exp2 is inexact on CPU, a table is not.
STEPS = np.asarray([0, 1] + [2 ** (b - 1) - 1 for b in range(2, 17)], np.float32)
AT_ONCE = 1 << 24  # entries of all candidates that an accelerator looks at together
SHRINKS = np.linspace(0.2, 1.0, 33, dtype=np.float32)  # ranges tried, of the largest


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
    scale_by: str = "least_squares",
    scale: Float[Array, "..."] | None = None,
) -> Quantized:
    """Quantizes a weight tensor; jit- and vmap-able in `bits` and `kept`.

    1 bit is binary, sign times mean magnitude (Rastegari et al. 2016, XNOR-Net); 2 bits
    are ternary (Li et al. 2016); 32 bits change nothing.

    Args:
        weights: float32, any shape.
        bits: int32 scalar out of `ALLOWED_BITS`.
        kept: bool in the tensor's shape: entries that count for the scale.
        channel_axes: axes that each have a scale of their own; () for one scale.
        scale_by: out of `SCALES`: the end of the grid is the largest magnitude, or the
            99th percentile of them; or the squared error is least. 1 bit is always that.
        scale: one that is given, broadcasting against the weights; found if None. The
            values are differentiable in it (see `on_grid`).

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
    steps = jnp.asarray(STEPS)[jnp.minimum(bits, 16)]
    binary = jnp.where(weights < 0.0, -1.0, 1.0)
    if scale is not None:
        divided = weights / jnp.where(scale > 0.0, scale, 1.0)
        codes = jnp.where(bits == 1, binary, jnp.clip(jnp.round(divided), -steps, steps))
        values = on_grid(weights, scale, codes, jnp.abs(divided) <= steps)
        return _quantized(weights, bits, kept, codes, scale, values)
    if scale_by == "percentile":
        found = jnp.where(kept, magnitude, jnp.nan)
        top = jnp.nanpercentile(found, PERCENTILE, axis=axes, keepdims=True)
    else:
        top = jnp.max(magnitude, axis=axes, keepdims=True)
    top = jnp.where(top > 0.0, top, 1.0)
    if scale_by == "least_squares":
        shrink = _best_shrink(weights, kept, top, steps, axes)
        codes = jnp.where(bits == 1, binary, _codes(weights, top * shrink / steps, steps))
        scale = _fitted(weights, codes, kept, axes)
    else:
        grid = top / jnp.maximum(steps, 1.0)
        codes = jnp.where(bits == 1, binary, _codes(weights, grid, steps))
        scale = jnp.where(bits == 1, _fitted(weights, binary, kept, axes), grid)
    return _quantized(weights, bits, kept, codes, scale, codes * scale)


def _quantized(
    weights: Array, bits: Array, kept: Array, codes: Array, scale: Array, values: Array
) -> Quantized:
    exact = bits >= 32
    return Quantized(
        codes=jnp.where(exact, 0.0, codes).astype(jnp.int32),
        scale=scale,
        values=jnp.where(exact | ~kept, weights, values),
    )


def _codes(weights: Array, scale: Array, steps: Array) -> Float[Array, "..."]:
    return jnp.clip(jnp.round(weights / scale), -steps, steps)


def _best_shrink(
    weights: Array, kept: Array, top: Array, steps: Array, axes: tuple[int, ...]
) -> Float[Array, "..."]:
    def loss_at(shrink: Float[Array, ""]) -> Float[Array, "..."]:
        scale = top * shrink / steps
        codes = _codes(weights, scale, steps)
        error = jnp.where(kept, codes * scale - weights, 0.0)
        return jnp.sum(jnp.square(error), axis=axes, keepdims=True)

    # A loop, not a batch: the candidates never stand in memory side by side. Where many
    # small kernels are slow and memory is not, some of them do.
    together = max(1, AT_ONCE // weights.size) if jax.default_backend() != "cpu" else None
    losses = lax.map(loss_at, jnp.asarray(SHRINKS), batch_size=together)
    return jnp.asarray(SHRINKS)[jnp.argmin(losses, axis=0)]


def _fitted(
    weights: Array, codes: Array, kept: Array, axes: tuple[int, ...]
) -> Float[Array, "..."]:
    """For given codes the best scale is a projection; for 1 bit the mean magnitude."""
    product = jnp.where(kept, weights * codes, 0.0).sum(axis=axes, keepdims=True)
    square = jnp.where(kept, jnp.square(codes), 0.0).sum(axis=axes, keepdims=True)
    return jnp.where(square > 0.0, product / jnp.maximum(square, 1.0), 0.0)
