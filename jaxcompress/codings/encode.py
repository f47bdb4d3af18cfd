"""Symbols to bytes and back by one of the codings, and the bits that this takes."""

import jax.numpy as jnp
import numpy as np

from jaxcompress.annotations import Array, Bool, Float, Int
from jaxcompress.codings.coder import Coder
from jaxcompress.codings.coo import COO
from jaxcompress.codings.counts import Counts
from jaxcompress.codings.csr import CSR
from jaxcompress.codings.dense import DENSE
from jaxcompress.codings.huffman import HUFFMAN
from jaxcompress.codings.range_coding import RANGE
from jaxcompress.codings.stream import Reader
from jaxcompress.codings.symbols import Layout, Symbols

CODINGS: dict[str, Coder] = {
    "dense": DENSE,
    "csr": CSR,
    "coo": COO,
    "huffman": HUFFMAN,
    "range": RANGE,
}


def encode(
    coding: str,
    symbols: Int[np.ndarray, " n"],
    alphabet: int,
    kept: Bool[np.ndarray, " total"] | None = None,
) -> bytes:
    """Returns symbols, and the positions that hold them, as bytes.

    Args:
        coding: "dense", "csr", "coo", "huffman" or "range".
        symbols: integers 0..alphabet-1, one for each kept position, in order.
        alphabet: the number of symbols, 1..2^16.
        kept: which positions hold a symbol; None: all do, and no mask is stored.

    Raises:
        ValueError: a symbol is not of the alphabet, the mask has another number of kept
            positions, or the coding is unknown.

    Example:
        >>> import numpy as np
        >>> data = encode("csr", np.asarray([1, 1]), 2, np.asarray([False, True, True]))
        >>> decode("csr", data, 2, 3, masked=True)
        (array([1, 1], dtype=int32), array([False,  True,  True]))
    """
    total = symbols.size if kept is None else kept.size
    layout = Layout(alphabet, total, kept is not None)
    fields = _coding(coding).write(Symbols(layout, symbols.astype(np.int32), kept))
    return np.packbits(np.concatenate(fields)).tobytes()


def decode(
    coding: str, data: bytes, alphabet: int, total: int, masked: bool = False
) -> tuple[Int[np.ndarray, " n"], Bool[np.ndarray, " total"] | None]:
    """Returns the symbols, int32, and the mask that `encode` was given.

    Args:
        total: the number of positions.
        masked: whether `encode` was given a mask.

    Raises:
        ValueError: the data are damaged.
    """
    reader = Reader(data)
    symbols = read(coding, reader, alphabet, total, masked)
    if reader.rest.size:
        raise ValueError(f"the data are too long: {reader.rest.size // 8} bytes are left")
    return symbols


def read(
    coding: str, reader: Reader, alphabet: int, total: int, masked: bool = False
) -> tuple[Int[np.ndarray, " n"], Bool[np.ndarray, " total"] | None]:
    """Decodes what stands next in a stream, which may go on: codings end by themselves."""
    symbols = _coding(coding).read(reader, Layout(alphabet, total, masked))
    reader.align()
    return symbols.values.astype(np.int32), symbols.kept


def coded_bits(
    coding: str,
    histogram: Float[Array, " a"],
    total: Float[Array, ""] | Int[Array, ""] | int,
    alphabet: Int[Array, ""] | int | None = None,
    masked: bool = False,
    escapes: Float[Array, "7"] | None = None,
) -> Float[Array, ""]:
    """Returns how many bits `encode` makes, 8 for each byte; jit- and vmap-able.

    "dense" and "coo" are exact, and so is "csr" with `escapes`; "huffman" and "range"
    differ by what their headers or the state of the coder round.

    Args:
        histogram: float32, how often each symbol occurs; of `symbols >> low_bits(alphabet)`
            where there are more than 1,024. It may be longer than the alphabet.
        total: the number of positions.
        alphabet: the number of symbols, maybe traced; None: the histogram's length.
        masked: whether a mask is given, so that some positions may hold no symbol.
        escapes: for "csr", what `escapes` counts in the mask; None: what is expected of
            positions that are kept at random. Real masks come in clusters and need more.

    Example:
        >>> import jax.numpy as jnp
        >>> coded_bits("dense", jnp.asarray([3.0, 1.0, 2.0]), 6)
        Array(16., dtype=float32)
    """
    counts = Counts(
        histogram,
        jnp.asarray(total, jnp.float32),
        jnp.asarray(histogram.size if alphabet is None else alphabet, jnp.int32),
        escapes,
        masked,
    )
    return 8.0 * jnp.ceil(_coding(coding).size(counts) / 8.0)


def _coding(name: str) -> Coder:
    if name not in CODINGS:
        raise ValueError(f"coding is {name!r}; allowed: {tuple(CODINGS)}")
    return CODINGS[name]
