"""The ways to choose a codebook, by name."""

from collections.abc import Mapping
from types import MappingProxyType

from jaxcompress.transforms.kmeans import KMeans
from jaxcompress.transforms.sharing import Sharing
from jaxcompress.transforms.uniform_bins import UniformBins

CODEBOOK_SIZES = range(2, 1025)

uniform_bins, kmeans, kmeans_zero = UniformBins(), KMeans(), KMeans(zero=True)

CODEBOOKS: Mapping[str, Sharing] = MappingProxyType(
    {"uniform": uniform_bins, "kmeans": kmeans, "kmeans_zero": kmeans_zero}
)
