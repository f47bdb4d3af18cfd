"""Symbols to bytes and back, and how many bits that takes; knows nothing of networks."""

from jaxcompress.codings.counts import low_bits
from jaxcompress.codings.encode import CODINGS, coded_bits, decode, encode, read
from jaxcompress.codings.escapes import escapes, expected_escapes
from jaxcompress.codings.histogram import histogram
from jaxcompress.codings.stream import Reader

__all__ = [
    "CODINGS",
    "Reader",
    "coded_bits",
    "decode",
    "encode",
    "escapes",
    "expected_escapes",
    "histogram",
    "low_bits",
    "read",
]
