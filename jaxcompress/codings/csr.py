"""The kept symbols, and the gap before each in a few bits (Han et al. 2016).

A gap of g bits counts up to 2^g - 2 positions that are not kept; all ones are an escape:
2^g - 1 positions are passed over, and another gap follows. The width, 2..8, is the one
that makes the fewest bits.
"""

import jax.numpy as jnp
import numpy as np

from jaxcompress.annotations import Array, Float, Int
from jaxcompress.codings.coder import Coder
from jaxcompress.codings.counts import Counts, bit_length
from jaxcompress.codings.escapes import GAP_WIDTHS, expected_escapes
from jaxcompress.codings.packing import to_bits
from jaxcompress.codings.stream import Bits, Reader, number_bits
from jaxcompress.codings.symbols import Layout, Symbols, at_positions

_WIDTHS = np.asarray(GAP_WIDTHS, np.float32)


def _write(symbols: Symbols) -> list[Bits]:
    layout = symbols.layout
    gaps = np.diff(symbols.positions, prepend=-1) - 1
    costs = [width * _fields(gaps, width) for width in GAP_WIDTHS]
    width = GAP_WIDTHS[int(np.argmin(costs))]
    escape = (1 << width) - 1
    fields = np.full(_fields(gaps, width), escape)
    fields[np.cumsum(gaps // escape + 1) - 1] = gaps % escape
    return [
        number_bits(width - GAP_WIDTHS[0], 7),
        number_bits(fields.size, layout.total),
        to_bits(fields, width),
        to_bits(symbols.values, layout.width),
    ]


def _fields(gaps: Int[np.ndarray, " n"], width: int) -> int:
    return int((gaps // ((1 << width) - 1) + 1).sum())


def _read(reader: Reader, layout: Layout) -> Symbols:
    width = reader.number(7) + GAP_WIDTHS[0]
    if width not in GAP_WIDTHS:
        raise ValueError(f"the data are damaged: gaps of {width} bits")
    fields = reader.values(width, reader.number(layout.total))
    entry = fields != (1 << width) - 1
    positions = np.cumsum(fields + entry)[entry] - 1
    return at_positions(layout, reader.values(layout.width, positions.size), positions)


def _size(counts: Counts) -> Float[Array, ""]:
    escaped = counts.escapes
    if escaped is None:
        escaped = expected_escapes(counts.kept, counts.total)
    gaps = (jnp.asarray(_WIDTHS) * (counts.kept + escaped)).min()
    width = bit_length(counts.alphabet - 1).astype(jnp.float32)
    return 3 + bit_length(counts.total) + gaps + counts.kept * width


CSR = Coder(_write, _read, _size)
