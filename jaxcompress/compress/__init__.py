"""A network under a plan: compressed parameters, masked forward, compact network."""

from jaxcompress.compress.code import code, compress, kept_entries
from jaxcompress.compress.compact import Coding, compact, verify
from jaxcompress.compress.forward import compiled_forward, forward, masked

__all__ = [
    "Coding",
    "code",
    "compact",
    "compiled_forward",
    "compress",
    "forward",
    "kept_entries",
    "masked",
    "verify",
]
