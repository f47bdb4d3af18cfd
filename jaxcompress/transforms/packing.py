"""Integers as a stream of bits, on the host."""

import numpy as np
from jaxtyping import Int, UInt8


def to_bits(values: Int[np.ndarray, " n"], width: int) -> UInt8[np.ndarray, " bits"]:
    """Returns integers 0..2^width - 1 at `width` bits each, most significant first."""
    bits = np.empty((values.size, width), np.uint8)
    for place in range(width):
        bits[:, place] = (values >> (width - 1 - place)) & 1
    return bits.ravel()


def from_bits(bits: UInt8[np.ndarray, " bits"], width: int) -> Int[np.ndarray, " n"]:
    """Returns the integers that `to_bits` wrote at a width of 1 or more, int64."""
    values = np.zeros(bits.size // width, np.int64)
    for column in bits.reshape(-1, width).T:
        values = values * 2 + column
    return values


def pack(codes: Int[np.ndarray, "..."], bits: int) -> bytes:
    """Returns symmetric codes as packed bits, most significant first.

    Args:
        codes: -(2^(b-1) - 1) .. 2^(b-1) - 1; -1 or 1 where bits is 1.
        bits: of a code, 1..16.

    Example:
        >>> import numpy as np
        >>> pack(np.asarray([1, -1, 1, 1]), 1)
        b'\\xb0'
    """
    flat = codes.ravel().astype(np.int64)
    unsigned = (flat + 1) // 2 if bits == 1 else flat + (1 << (bits - 1)) - 1
    return np.packbits(to_bits(unsigned, bits)).tobytes()


def unpack(data: bytes, bits: int, count: int) -> Int[np.ndarray, " count"]:
    """Returns the `count` codes that `pack` wrote, int32."""
    stream = np.unpackbits(np.frombuffer(data, np.uint8), count=count * bits)
    unsigned = from_bits(stream, bits).astype(np.int32)
    return unsigned * 2 - 1 if bits == 1 else unsigned - ((1 << (bits - 1)) - 1)


def packed_bytes(count: int, bits: int) -> int:
    """Returns how many bytes `pack` makes of `count` codes."""
    return -(-count * bits // 8)
