"""How often each symbol of a stored tensor occurs under a plan.

Where a plan only removes channels and chooses bits, the codes of the whole tensors are
counted once, for each number of bits and each output channel, and a plan adds up the
channels that it keeps. A scale over survivors alone would be another one, by so little
that the size of the file does not show it.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxcompress.compress import Count
from jaxcompress.network import Network
from jaxcompress.space import Plan
from jaxcompress.transforms import quantize

WIDTH = 1024  # symbols of a histogram; of larger alphabets the low bits are left out
_BITS = (1, 2, 3, 4, 5, 6, 7, 8, 16)
_SIZES = [min(WIDTH, 2**b) for b in _BITS]
_STARTS = np.cumsum([0, *_SIZES])
# Where the histogram of a number of bits begins in a row of a table.
_START = np.zeros(33, np.int32)
_START[list(_BITS)] = _STARTS[:-1]
_SIZE = np.zeros(33, np.int32)
_SIZE[list(_BITS)] = _SIZES


def table(
    weight: np.ndarray, out_axes: tuple[int, ...], granularity: str, scale_by: str
) -> np.ndarray:
    """Counts the codes of a whole tensor for each number of bits; on the host.

    Returns:
        float32 [output channels, symbols of all numbers of bits, one after the other].
    """
    axes = out_axes if granularity == "channel" else ()
    kept = np.ones(weight.shape, bool)
    rows = int(np.prod([weight.shape[d] for d in out_axes]))
    counts = np.zeros((rows, _STARTS[-1] + WIDTH), np.float32)
    for bits, start, size in zip(_BITS, _STARTS, _SIZES, strict=False):
        with jax.ensure_compile_time_eval():
            coded = _quantize(weight, np.int32(bits), kept, axes, scale_by).codes
            codes = np.moveaxis(np.asarray(coded), out_axes, range(len(out_axes)))
        symbols = symbol(codes.reshape(rows, -1), bits)
        places = symbols + np.arange(rows)[:, None] * size
        found = np.bincount(places.ravel(), minlength=rows * size).reshape(rows, size)
        counts[:, start : start + size] = found
    return counts


_quantize = jax.jit(quantize, static_argnums=(3, 4))


def symbol(codes: Any, bits: Any) -> Any:
    """Returns codes of a grid as symbols 0..WIDTH - 1, without their low bits."""
    half = _HALF[bits] if isinstance(bits, int) else jnp.asarray(_HALF)[bits]
    shift = _SHIFT[bits] if isinstance(bits, int) else jnp.asarray(_SHIFT)[bits]
    whole = (codes + half) >> shift
    one = (codes + 1) // 2
    if isinstance(bits, int):
        return one if bits == 1 else whole
    return jnp.where(bits == 1, one, whole)


# By bits: half a grid, the low bits that an entropy coder leaves out, the whole grid.
_HALF = np.asarray([0, 0] + [2 ** (b - 1) - 1 for b in range(2, 17)] + [0] * 16, np.int32)
_SHIFT = np.asarray([max(b - 10, 0) for b in range(17)] + [0] * 16, np.int32)
ALPHABET = np.asarray([1, 2] + [2**b - 1 for b in range(2, 17)] + [1] * 16, np.int32)


def from_table(
    network: Network, plan: Plan, count: Count, rows: np.ndarray, alive: Array
) -> Float[Array, " WIDTH"]:
    """Returns the histogram of a tensor under a plan from its table."""
    part = count.part
    columns = network.columns(part.path)
    kept = jnp.ones((), bool)
    for axis in part.out_axes:
        line = network.layout.mask(columns[axis], alive)
        kept = (kept[..., None] & line).reshape(-1)
    kept = kept.reshape(-1).astype(jnp.float32)
    summed = kept @ jnp.asarray(rows)
    start = jnp.asarray(_START)[count.bits]
    found = jax.lax.dynamic_slice(summed, (start,), (WIDTH,))
    found = jnp.where(jnp.arange(WIDTH) < jnp.asarray(_SIZE)[count.bits], found, 0.0)
    # Of each output channel as large a share is left as of all.
    share = count.entries.astype(jnp.float32) / jnp.maximum(found.sum(), 1.0)
    return found * share


def alphabet(bits: Int[Array, ""]) -> Int[Array, ""]:
    """Returns how many symbols a grid has; 1 for plain values."""
    return jnp.asarray(ALPHABET)[bits]
