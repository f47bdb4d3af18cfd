"""Array to array, pure; knows nothing of networks."""

from jaxcompress.transforms.classify import check_labels, cross_entropy
from jaxcompress.transforms.codebook import (
    CODEBOOK_SIZES,
    CODEBOOKS,
    kmeans,
    kmeans_zero,
    uniform_bins,
)
from jaxcompress.transforms.merge_neighbours import MERGE_ORDERS, Merged, merge_neighbours
from jaxcompress.transforms.on_grid import on_grid
from jaxcompress.transforms.quantize import (
    ALLOWED_BITS,
    GRANULARITIES,
    SCALES,
    Quantized,
    quantize,
)
from jaxcompress.transforms.quantize_activations import (
    activation_codes,
    grid_steps,
    quantize_activations,
)
from jaxcompress.transforms.sharing import Shared, Sharing
from jaxcompress.transforms.sparsify import kept_count, largest
from jaxcompress.transforms.straight_through import straight_through

__all__ = [
    "ALLOWED_BITS",
    "CODEBOOKS",
    "CODEBOOK_SIZES",
    "GRANULARITIES",
    "MERGE_ORDERS",
    "SCALES",
    "Merged",
    "Quantized",
    "Shared",
    "Sharing",
    "activation_codes",
    "check_labels",
    "cross_entropy",
    "grid_steps",
    "kept_count",
    "kmeans",
    "kmeans_zero",
    "largest",
    "merge_neighbours",
    "on_grid",
    "quantize",
    "quantize_activations",
    "straight_through",
    "uniform_bins",
]
