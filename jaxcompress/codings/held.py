"""How a coded tensor stands in memory while it is used: codes, and what they index."""

from typing import NamedTuple

import numpy as np

from jaxcompress.annotations import Float, UInt8
from jaxcompress.codings.tensor import Coding

LARGEST, NIBBLE = 8, 4  # bits of a code that is held; those that go two in a byte


class Held(NamedTuple):
    """A tensor as codes.

    Attributes:
        codes: in the tensor's shape; those of at most 4 bits flat and two in a byte, the
            first half of them in the low bits. Those of a grid have a sign (two's
            complement).
        table: the scale of a grid, which broadcasts against the tensor; or the values
            that the codes are places of, [k].
        bits: of a code, 1..8.
        grid: whether there is a scale.
    """

    codes: UInt8[np.ndarray, "..."]
    table: Float[np.ndarray, "..."]
    bits: int
    grid: bool


def held(coding: Coding) -> Held | None:
    """Returns a tensor as codes; None: it has none, or they need more than a byte."""
    if coding.codes is None:
        return None
    codes, bits = coding.codes.astype(np.int32), coding.bits
    if coding.codebook is not None:
        table = coding.codebook
        if coding.nonzero is not None:
            codes = np.where(coding.nonzero, codes, len(table))
            table = np.append(table, np.float32(0))
        bits = max(1, (len(table) - 1).bit_length())
    elif coding.scale is not None:
        table = coding.scale
    else:
        return None
    if bits > LARGEST:
        return None
    small = (codes & 0xFF).astype(np.uint8)
    if bits <= NIBBLE:
        low, high = np.pad(small.ravel() & 0xF, (0, small.size % 2)).reshape(2, -1)
        small = low | high << NIBBLE
    return Held(small, table, bits, coding.codebook is None)
