"""The largest entries of a tensor, or of several: what unstructured pruning keeps."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

_MOST = np.int32(2**31 - 1)


def kept_count(share: Float[Array, "*n"], count: Int[Array, "*n"]) -> Int[Array, "*n"]:
    """Returns how many of `count` entries stay when a share of them is zero, int32.

    The zeros are rounded to the nearest integer, halves up. Counts below 2^24 are exact.

    Example:
        >>> import jax.numpy as jnp
        >>> int(kept_count(jnp.asarray(0.5), jnp.asarray(7)))
        3
    """
    zeros = jnp.floor(share * count.astype(jnp.float32) + 0.5).astype(jnp.int32)
    return count - jnp.clip(zeros, 0, count)


def largest(
    sizes: Sequence[Float[Array, "..."]],
    kept: Sequence[Bool[Array, "..."]],
    count: Int[Array, ""],
    by_sorting: bool | None = None,
) -> list[Bool[Array, "..."]]:
    """Marks the `count` largest surviving entries of several tensors together.

    Exactly so many are marked, if so many survive; among equals the first ones are.
    jit- and vmap-able.

    Args:
        sizes: float32, nothing negative and no NaN; the magnitudes of the entries.
        kept: bool in the same shapes: which entries survive; no other is marked.
        count: int32 scalar.
        by_sorting: how the threshold is found, by sorting all entries or by 31 counts of
            them; as is faster on this device if None. The result is the same.

    Returns:
        bool in the same shapes.

    Example:
        >>> import jax.numpy as jnp
        >>> sizes = [jnp.asarray([3.0, 1.0]), jnp.asarray([2.0])]
        >>> kept = [jnp.ones(2, bool), jnp.ones(1, bool)]
        >>> largest(sizes, kept, jnp.asarray(2))
        [Array([ True, False], dtype=bool), Array([ True], dtype=bool)]
    """
    # Of floats that are not negative the bits are ordered as the numbers are.
    keys = [
        jnp.where(k, lax.bitcast_convert_type(s + 0.0, jnp.int32), -1)
        for s, k in zip(sizes, kept, strict=True)
    ]

    def at_least(threshold: Int[Array, ""]) -> Int[Array, ""]:
        total = jnp.zeros((), jnp.int32)
        for key in keys:
            total = total + jnp.sum(key >= threshold, dtype=jnp.int32)
        return total

    # A CPU counts faster than it sorts; where every pass is a small kernel, the passes
    # over a network's tensors take longer than its forward and backward.
    by_sorting = jax.default_backend() != "cpu" if by_sorting is None else by_sorting
    threshold = _by_sorting(keys, count) if by_sorting else _by_bits(at_least, count)
    missing = count - at_least(threshold + 1)
    marked = []
    for key in keys:
        equal = key == threshold
        place = jnp.cumsum(equal.ravel(), dtype=jnp.int32).reshape(key.shape)
        marked.append((key > threshold) | (equal & (place <= missing)))
        missing = missing - jnp.sum(equal, dtype=jnp.int32)
    return marked


def _by_bits(
    at_least: Callable[[Int[Array, ""]], Int[Array, ""]], count: Int[Array, ""]
) -> Int[Array, ""]:
    """Returns the largest threshold that enough keys reach, in 31 passes and no sort.

    Args:
        at_least: how many keys are no smaller than a threshold.
    """

    def bit(i: Int[Array, ""], threshold: Int[Array, ""]) -> Int[Array, ""]:
        tried = threshold | lax.shift_left(jnp.int32(1), jnp.int32(30) - i)
        return jnp.where(at_least(tried) >= count, tried, threshold)

    return lax.fori_loop(0, 31, bit, jnp.zeros((), jnp.int32))


def _by_sorting(keys: Sequence[Int[Array, "..."]], count: Int[Array, ""]) -> Int[Array, ""]:
    """Returns what `_by_bits` returns: the key of that rank, 0 if too few survive."""
    ranked = jnp.sort(jnp.concatenate([key.ravel() for key in keys]), descending=True)
    last = ranked[jnp.clip(count - 1, 0, ranked.size - 1)]
    enough = count <= ranked.size
    return jnp.where(count > 0, jnp.where(enough, jnp.maximum(last, 0), 0), _MOST)
