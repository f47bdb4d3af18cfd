"""A stream of bits, on the host: what is written, and a reader that never runs over."""

import numpy as np

from jaxcompress.annotations import Int, UInt8
from jaxcompress.codings.packing import from_bits, to_bits

Bits = UInt8[np.ndarray, " bits"]

_CHUNK = 1 << 16  # codes that are spread at a time: a bit takes 8 bytes meanwhile


def number_bits(value: int, largest: int) -> Bits:
    """Returns a number 0..largest in the bits that `largest` has."""
    return to_bits(np.asarray([value]), largest.bit_length())


def code_bits(codes: Int[np.ndarray, " n"], lengths: Int[np.ndarray, " n"]) -> Bits:
    """Returns codes, each at its own length, most significant bit first."""
    chunks = [np.empty(0, np.uint8)]
    for start in range(0, codes.size, _CHUNK):
        length = lengths[start : start + _CHUNK]
        ends = np.cumsum(length)
        place = np.repeat(ends, length) - 1 - np.arange(ends[-1])
        spread = np.repeat(codes[start : start + _CHUNK], length)
        chunks.append(((spread >> place) & 1).astype(np.uint8))
    return np.concatenate(chunks)


class Reader:
    """Reads the fields of a stream one after the other.

    All methods raise ValueError where the stream ends too early.
    """

    def __init__(self, data: bytes) -> None:
        self._bits: Bits = np.unpackbits(np.frombuffer(data, np.uint8))
        self._start = 0

    @property
    def rest(self) -> Bits:
        """All bits that were not read yet."""
        return self._bits[self._start :]

    def skip(self, count: int) -> None:
        """Passes over some bits."""
        if count > self.rest.size:
            raise ValueError(
                f"the data are too short: {count} bits wanted, {self.rest.size} left"
            )
        self._start += count

    def bits(self, count: int) -> Bits:
        """Returns the next bits."""
        start = self._start
        self.skip(count)
        return self._bits[start : self._start]

    def values(self, width: int, count: int) -> Int[np.ndarray, " count"]:
        """Returns the next `count` numbers of `width` bits each, int32."""
        bits = self.bits(width * count)
        return from_bits(bits, width) if width else np.zeros(count, np.int32)

    def number(self, largest: int) -> int:
        """Returns what `number_bits` wrote."""
        value = int(self.values(largest.bit_length(), 1)[0])
        if value > largest:
            raise ValueError(f"the data are damaged: {value} is more than {largest}")
        return value

    def align(self) -> None:
        """Goes on to the next whole byte."""
        if self.bits(-self._start % 8).any():
            raise ValueError("the data are damaged: something stands between two bytes")
