"""A network under a plan: compressed parameters, masked forward, compact network."""

from jaxcompress.compress.activations import calibrate
from jaxcompress.compress.check import check_plan
from jaxcompress.compress.code import code, compress, kept_entries
from jaxcompress.compress.compact import Coding, compact, verify
from jaxcompress.compress.forward import compiled_forward, forward, masked
from jaxcompress.compress.manifest import parameter_bytes
from jaxcompress.compress.work import (
    FLOAT_BITS,
    Numbers,
    Work,
    other_macs,
    total,
    work,
)

__all__ = [
    "FLOAT_BITS",
    "Coding",
    "Numbers",
    "Work",
    "calibrate",
    "check_plan",
    "code",
    "compact",
    "compiled_forward",
    "compress",
    "forward",
    "kept_entries",
    "masked",
    "other_macs",
    "parameter_bytes",
    "total",
    "verify",
    "work",
]
