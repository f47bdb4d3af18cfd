"""Entropy coding with a histogram in the header; what is not kept is one more symbol.

The header holds the square roots of the counts, rounded. A count of c has a standard
deviation of about sqrt(c), its root one of 1/2 whatever c is: so each digit that is
stored says something, and what rounding costs is 1 / (6 ln 2) = 0.24 bits a symbol of the
alphabet, however many are coded.
"""

from math import isqrt

import jax.numpy as jnp
import numpy as np

from jaxcompress.annotations import Array, Float
from jaxcompress.codings.ans import ans_decode, ans_encode, frequencies
from jaxcompress.codings.coder import Coder
from jaxcompress.codings.counts import Counts, bit_length
from jaxcompress.codings.levels import levels_bits, levels_size, read_levels
from jaxcompress.codings.modelled import join, low_size, marks, split
from jaxcompress.codings.stream import Bits, Reader, number_bits
from jaxcompress.codings.symbols import Layout, Symbols

_MOST = 3  # bytes: no symbol takes more than the 24 bits of a frequency
_START = 22.0  # bits that the first symbol takes, on the average of many histograms


def _write(symbols: Symbols) -> list[Bits]:
    total, size = symbols.layout.total, marks(symbols.layout)
    marked, low = split(symbols)
    if not total or size == 1:
        return [low]
    roots = np.rint(np.sqrt(np.bincount(marked, minlength=size))).astype(np.int64)
    data = ans_encode(marked, frequencies(roots**2))
    return [
        levels_bits(roots),
        number_bits(len(data), _MOST * total + 8),
        np.unpackbits(np.frombuffer(data, np.uint8)),
        low,
    ]


def _read(reader: Reader, layout: Layout) -> Symbols:
    total, size = layout.total, marks(layout)
    if not total or size == 1:
        return join(reader, layout, np.zeros(total, np.int32))
    roots = read_levels(reader, size, isqrt(total) + 1)
    if not roots.any():
        raise ValueError("the data are damaged: no symbol occurs")
    bits = reader.bits(8 * reader.number(_MOST * total + 8))
    data = np.packbits(bits).tobytes()
    return join(reader, layout, ans_decode(data, frequencies(roots**2), total))


def _size(counts: Counts) -> Float[Array, ""]:
    # What is not kept stands alone: one array of it and all others, of an odd length,
    # compiles to slow loops on a CPU.
    histogram, rest, size = counts.histogram, counts.rest, counts.modelled + counts.masked
    roots, first = (jnp.round(jnp.sqrt(x)) for x in (histogram, rest))
    whole = jnp.maximum(jnp.square(roots).sum() + jnp.square(first), 1.0)

    def information(occurs: Array, root: Array) -> Array:
        share = jnp.where(root > 0.0, jnp.square(root) / whole, 1.0)
        return -occurs * jnp.log2(share)

    levels, before = roots.astype(jnp.int32), first.astype(jnp.int32)
    header = levels_size(levels, counts.modelled, before if counts.masked else None)
    body = information(histogram, roots).sum() + information(rest, first)
    length = bit_length(_MOST * counts.total + 8)
    coded = jnp.where(
        (counts.total > 0.0) & (size > 1), header + length + body + _START, 0.0
    )
    return coded + low_size(counts)


RANGE = Coder(_write, _read, _size)
