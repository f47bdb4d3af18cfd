"""A network under a plan: compressed parameters, masked forward, compact network."""

from jaxcompress.compress.activations import calibrate
from jaxcompress.compress.batch_norm import reestimate, with_batch_statistics
from jaxcompress.compress.code import Coded, code, compress
from jaxcompress.compress.compact import coded_parameters, compact, verify
from jaxcompress.compress.counts import Counts, counts
from jaxcompress.compress.factored_work import work
from jaxcompress.compress.forward import compiled_forward, forward, masked
from jaxcompress.compress.merge import merge
from jaxcompress.compress.narrow import kept_first, share_of_macs
from jaxcompress.compress.parts import leaves_of
from jaxcompress.compress.precision import PRECISIONS
from jaxcompress.compress.products import Products
from jaxcompress.compress.work import (
    FLOAT_BITS,
    Numbers,
    Work,
    other_macs,
    total,
)
from jaxcompress.space.plan import coded_paths

__all__ = [
    "FLOAT_BITS",
    "PRECISIONS",
    "Coded",
    "Counts",
    "Numbers",
    "Products",
    "Work",
    "calibrate",
    "code",
    "coded_parameters",
    "coded_paths",
    "compact",
    "compiled_forward",
    "compress",
    "counts",
    "forward",
    "kept_first",
    "leaves_of",
    "masked",
    "merge",
    "other_macs",
    "reestimate",
    "share_of_macs",
    "total",
    "verify",
    "with_batch_statistics",
    "work",
]
