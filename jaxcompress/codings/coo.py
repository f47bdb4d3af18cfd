"""The kept symbols, and the position of each in full."""

import jax.numpy as jnp

from jaxcompress.annotations import Array, Float
from jaxcompress.codings.coder import Coder
from jaxcompress.codings.counts import Counts, bit_length
from jaxcompress.codings.packing import to_bits
from jaxcompress.codings.stream import Bits, Reader, number_bits
from jaxcompress.codings.symbols import Layout, Symbols, at_positions


def _write(symbols: Symbols) -> list[Bits]:
    layout = symbols.layout
    return [
        number_bits(symbols.values.size, layout.total),
        to_bits(symbols.positions, max(layout.total - 1, 0).bit_length()),
        to_bits(symbols.values, layout.width),
    ]


def _read(reader: Reader, layout: Layout) -> Symbols:
    count = reader.number(layout.total)
    positions = reader.values(max(layout.total - 1, 0).bit_length(), count)
    return at_positions(layout, reader.values(layout.width, count), positions)


def _size(counts: Counts) -> Float[Array, ""]:
    position = bit_length(jnp.maximum(counts.total - 1, 0))
    entry = (position + bit_length(counts.alphabet - 1)).astype(jnp.float32)
    return bit_length(counts.total) + counts.kept * entry


COO = Coder(_write, _read, _size)
