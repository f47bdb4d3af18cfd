"""What Huffman and range coding share: they model the high bits of a symbol.

The low bits of a large alphabet are stored as they are, after all else.
"""

import numpy as np

from jaxcompress.annotations import Array, Float, Int
from jaxcompress.codings.counts import Counts, low_bits
from jaxcompress.codings.packing import to_bits
from jaxcompress.codings.stream import Bits, Reader
from jaxcompress.codings.symbols import Layout, Symbols, mark, unmark


def split(symbols: Symbols) -> tuple[Int[np.ndarray, " total"], Bits]:
    """Returns a symbol for each position, 0 for one that is not kept, and the low bits."""
    shift = symbols.layout.low_bits
    low = symbols.values & ((1 << shift) - 1)
    return mark(symbols, shift), to_bits(low, shift)


def marks(layout: Layout) -> int:
    """Returns of how many symbols an entropy coder has a model."""
    return layout.marks(layout.low_bits)


def join(reader: Reader, layout: Layout, marked: Int[np.ndarray, " total"]) -> Symbols:
    """Returns the symbols that `split` took apart; reads their low bits."""
    count = int((marked > 0).sum()) if layout.masked else layout.total
    low = reader.values(layout.low_bits, count)
    return unmark(layout, marked, low, layout.low_bits)


def low_size(counts: Counts) -> Float[Array, ""]:
    """Returns how many low bits there are."""
    return counts.kept * low_bits(counts.alphabet)
