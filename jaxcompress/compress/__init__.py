"""A network under a plan: compressed parameters, masked forward, compact network."""

from jaxcompress.compress.code import code, compress, kept_entries
from jaxcompress.compress.compact import Coding, compact, verify
from jaxcompress.compress.forward import forward, masked

__all__ = [
    "Coding",
    "code",
    "compact",
    "compress",
    "forward",
    "kept_entries",
    "masked",
    "verify",
]
