"""Array to array, pure; knows nothing of networks."""

from jaxcompress.transforms.classify import check_labels, cross_entropy
from jaxcompress.transforms.packing import pack, packed_bytes, unpack
from jaxcompress.transforms.quantize import (
    ALLOWED_BITS,
    GRANULARITIES,
    Quantized,
    quantize,
)
from jaxcompress.transforms.quantize_activations import quantize_activations
from jaxcompress.transforms.straight_through import straight_through

__all__ = [
    "ALLOWED_BITS",
    "GRANULARITIES",
    "Quantized",
    "check_labels",
    "cross_entropy",
    "pack",
    "packed_bytes",
    "quantize",
    "quantize_activations",
    "straight_through",
    "unpack",
]
