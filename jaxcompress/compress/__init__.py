"""A network under a plan: compressed parameters, masked forward, compact network."""

from jaxcompress.compress.activations import calibrate
from jaxcompress.compress.check import check_plan
from jaxcompress.compress.code import code, compress, kept_entries
from jaxcompress.compress.compact import Coding, compact, verify
from jaxcompress.compress.forward import compiled_forward, forward, masked
from jaxcompress.compress.manifest import parameter_bytes

__all__ = [
    "Coding",
    "calibrate",
    "check_plan",
    "code",
    "compact",
    "compiled_forward",
    "compress",
    "forward",
    "kept_entries",
    "masked",
    "parameter_bytes",
    "verify",
]
