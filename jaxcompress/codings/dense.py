"""One symbol for each position, all of the same width.

What is not kept is one more symbol: a grid of 2^b - 1 values has room for it.
"""

from jaxcompress.annotations import Array, Float
from jaxcompress.codings.coder import Coder
from jaxcompress.codings.counts import Counts, bit_length
from jaxcompress.codings.packing import to_bits
from jaxcompress.codings.stream import Bits, Reader
from jaxcompress.codings.symbols import Layout, Symbols, mark, unmark


def _write(symbols: Symbols) -> list[Bits]:
    return [to_bits(mark(symbols), _width(symbols.layout))]


def _read(reader: Reader, layout: Layout) -> Symbols:
    return unmark(layout, reader.values(_width(layout), layout.total))


def _width(layout: Layout) -> int:
    return (layout.marks() - 1).bit_length()


def _size(counts: Counts) -> Float[Array, ""]:
    return counts.total * bit_length(counts.alphabet + counts.masked - 1)


DENSE = Coder(_write, _read, _size)
