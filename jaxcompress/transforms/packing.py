"""Integer codes as a stream of bits, on the host."""

import numpy as np
from jaxtyping import Int, UInt8


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
    places = np.arange(bits - 1, -1, -1)
    stream: UInt8[np.ndarray, "n b"] = ((unsigned[:, None] >> places) & 1).astype(np.uint8)
    return np.packbits(stream.ravel()).tobytes()


def unpack(data: bytes, bits: int, count: int) -> Int[np.ndarray, " count"]:
    """Returns the `count` codes that `pack` wrote, int32."""
    stream = np.unpackbits(np.frombuffer(data, np.uint8), count=count * bits)
    weights = 1 << np.arange(bits - 1, -1, -1)
    unsigned = stream.reshape(count, bits).astype(np.int32) @ weights.astype(np.int32)
    return unsigned * 2 - 1 if bits == 1 else unsigned - ((1 << (bits - 1)) - 1)


def packed_bytes(count: int, bits: int) -> int:
    """Returns how many bytes `pack` makes of `count` codes."""
    return -(-count * bits // 8)
