"""A network under a plan: compressed parameters, masked forward, compact network."""

from jaxcompress.compress.activations import calibrate
from jaxcompress.compress.check import check_plan
from jaxcompress.compress.code import Coded, code, compress
from jaxcompress.compress.compact import Coding, coded_parameters, compact, verify
from jaxcompress.compress.forward import compiled_forward, forward, masked
from jaxcompress.compress.manifest import parameter_bytes

__all__ = [
    "Coded",
    "Coding",
    "calibrate",
    "check_plan",
    "code",
    "coded_parameters",
    "compact",
    "compiled_forward",
    "compress",
    "forward",
    "masked",
    "parameter_bytes",
    "verify",
]
