"""Gene kinds: each makes some integer choices about a network."""

from jaxcompress.space.genes.channel_count import ChannelCount
from jaxcompress.space.genes.gene import BoundGene, Gene
from jaxcompress.space.genes.weight_bits import WeightBits

__all__ = ["BoundGene", "ChannelCount", "Gene", "WeightBits"]
