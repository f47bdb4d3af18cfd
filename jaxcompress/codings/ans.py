"""Symbols with fixed integer frequencies as one number: asymmetric numeral systems.

Duda 2013, Asymmetric numeral systems: entropy coding combining speed of Huffman coding
with compression rate of arithmetic coding. The bytes are those of the package
constriction, which does the work; a decoder in plain Python stands beside it, so that
files can be read wherever Python runs.
"""

from bisect import bisect_right
from importlib import import_module
from typing import Any

import numpy as np

from jaxcompress.annotations import Int, UInt32

constriction: Any  # it says nothing of its types
try:
    constriction = import_module("constriction")
except ImportError:  # there is no wheel for this machine
    constriction = None

PRECISION = 24  # bits of a frequency
_TOTAL = 1 << PRECISION
_WORD = 32  # bits that enter or leave the state at a time


def frequencies(weights: Int[np.ndarray, " a"]) -> Int[np.ndarray, " a"]:
    """Returns frequencies in proportion to weights: 1 or more each, 2^24 in all.

    In integers throughout: a reader must find the same ones on any machine.

    Args:
        weights: int64, 0..2^38, not all 0.
    """
    spare = _TOTAL - weights.size
    found = weights * spare // weights.sum() + 1
    found[weights.argmax()] += _TOTAL - found.sum()
    return found


def ans_encode(symbols: Int[np.ndarray, " n"], frequencies: Int[np.ndarray, " a"]) -> bytes:
    """Returns symbols as bytes; their number must be told to the decoder.

    Args:
        symbols: 0..a-1.
        frequencies: 1 or more each, 2^24 in all; two symbols at least.

    Raises:
        ImportError: constriction is not installed.
    """
    if constriction is None:
        raise ImportError(
            "coding 'range' needs the package constriction to write: pip install it, or "
            "choose another coding"
        )
    coder = constriction.stream.stack.AnsCoder()
    coder.encode_reverse(symbols.astype(np.int32), _model(frequencies))
    # The last byte is never 0, so the zeros that fill the last word can be left out.
    return coder.get_compressed().astype("<u4").tobytes().rstrip(b"\0")


def ans_decode(
    data: bytes, frequencies: Int[np.ndarray, " a"], count: int
) -> Int[np.ndarray, " count"]:
    """Returns the `count` symbols that `ans_encode` wrote.

    Raises:
        ValueError: the data are damaged.
    """
    if constriction is None:
        return ans_decode_plain(data, frequencies, count)
    coder = constriction.stream.stack.AnsCoder(_words(data))
    symbols = coder.decode(_model(frequencies), count)
    if not coder.is_empty():
        raise ValueError("the data are damaged: symbols are left over")
    return np.asarray(symbols, np.int32)


def ans_decode_plain(
    data: bytes, frequencies: Int[np.ndarray, " a"], count: int
) -> Int[np.ndarray, " count"]:
    """Does the same as `ans_decode`, and needs no package."""
    words = _words(data).tolist()
    each = frequencies.tolist()
    below = (np.cumsum(frequencies) - frequencies).tolist()
    symbols, state = [], 0
    for _ in range(min(2, len(words))):
        state = state << _WORD | words.pop()
    for _ in range(count):
        quantile = state % _TOTAL
        symbol = bisect_right(below, quantile) - 1
        symbols.append(symbol)
        state = (state >> PRECISION) * each[symbol] + quantile - below[symbol]
        if state < 1 << _WORD and words:
            state = state << _WORD | words.pop()
    if state or words:
        raise ValueError("the data are damaged: symbols are left over")
    return np.asarray(symbols, np.int32)


def _words(data: bytes) -> UInt32[np.ndarray, " words"]:
    if data.endswith(b"\0"):
        raise ValueError("the data are damaged: they end with a zero")
    whole = data + bytes(-len(data) % (_WORD // 8))
    return np.frombuffer(whole, "<u4").astype(np.uint32)


def _model(frequencies: Int[np.ndarray, " a"]) -> Any:
    # constriction adds 1 to the share that each symbol has of what is left, and these
    # shares are integers that sum to it: nothing is rounded.
    spare = (frequencies - 1).astype(np.float64)
    return constriction.stream.model.Categorical(spare, lazy=False, perfect=False)
