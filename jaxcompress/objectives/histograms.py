"""How often each symbol of a stored tensor occurs under a plan.

Where a plan only removes channels and chooses bits, the codes of the whole tensors are
counted once, for each number of bits and each output channel, and a plan adds up the
channels that it keeps. A scale over survivors alone would be another one, by so little
that the size of the file does not show it.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxcompress.compress import Counts
from jaxcompress.compress.parts import Part, grid
from jaxcompress.network import Network
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


def from_tables(
    network: Network,
    counts: Counts,
    tables: Sequence[np.ndarray],
    alive: Bool[Array, " units"],
) -> Float[Array, "tensors WIDTH"]:
    """Returns the histograms of tensors under a plan from their tables."""
    starts = jnp.unstack(jnp.asarray(_START)[counts.bits])
    found = jnp.stack(
        [
            lax.dynamic_slice(_kept(network, part, alive) @ rows, (start,), (WIDTH,))
            for part, rows, start in zip(counts.parts, tables, starts, strict=True)
        ]
    )
    inside = jnp.arange(WIDTH) < jnp.asarray(_SIZE)[counts.bits][:, None]
    found = jnp.where(inside, found, 0.0)
    # Of each output channel as large a share is left as of all.
    share = counts.entries.astype(jnp.float32) / jnp.maximum(found.sum(axis=1), 1.0)
    return found * share[:, None]


def _kept(
    network: Network, part: Part, alive: Bool[Array, " units"]
) -> Float[Array, " rows"]:
    """Returns 1 for each output channel of a tensor that survives, 0 for others."""
    columns = network.columns(part.path)
    lines = [network.layout.mask(columns[axis], alive) for axis in part.out_axes]
    return jnp.asarray(grid(lines), jnp.float32).reshape(-1)


def alphabet(bits: Int[Array, "*n"]) -> Int[Array, "*n"]:
    """Returns how many symbols a grid has; 1 for plain values."""
    return jnp.asarray(ALPHABET)[bits]
