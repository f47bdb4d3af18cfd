"""Integers as a stream of bits, on the host."""

import numpy as np

from jaxcompress.annotations import Int, UInt8


def to_bits(values: Int[np.ndarray, " n"], width: int) -> UInt8[np.ndarray, " bits"]:
    """Returns integers 0..2^width - 1 at `width` bits each, most significant first.

    Args:
        width: 0..32.
    """
    size = _bytes(width)
    whole = values.astype(f">u{size}").view(np.uint8).reshape(values.size, size)
    return np.unpackbits(whole, axis=1)[:, 8 * size - width :].ravel()


def from_bits(bits: UInt8[np.ndarray, " bits"], width: int) -> Int[np.ndarray, " n"]:
    """Returns the integers that `to_bits` wrote at a width of 1..31, int32."""
    values = np.zeros(bits.size // width, np.int32)
    for place in range(width):
        values <<= 1
        values |= bits[place::width]
    return values


def _bytes(width: int) -> int:
    return 1 if width <= 8 else 2 if width <= 16 else 4
