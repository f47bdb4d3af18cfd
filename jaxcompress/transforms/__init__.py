"""Array to array, pure; knows nothing of networks."""

from jaxcompress.transforms.classify import check_labels, cross_entropy
from jaxcompress.transforms.codebook import CODEBOOK_SIZES, CODEBOOKS, pooled
from jaxcompress.transforms.packing import pack, packed_bytes, unpack
from jaxcompress.transforms.quantize import (
    ALLOWED_BITS,
    GRANULARITIES,
    SCALES,
    Quantized,
    quantize,
)
from jaxcompress.transforms.quantize_activations import quantize_activations
from jaxcompress.transforms.sparsify import kept_count, largest
from jaxcompress.transforms.straight_through import straight_through

__all__ = [
    "ALLOWED_BITS",
    "CODEBOOKS",
    "CODEBOOK_SIZES",
    "GRANULARITIES",
    "SCALES",
    "Quantized",
    "check_labels",
    "cross_entropy",
    "kept_count",
    "largest",
    "pack",
    "packed_bytes",
    "pooled",
    "quantize",
    "quantize_activations",
    "straight_through",
    "unpack",
]
