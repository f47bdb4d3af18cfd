"""Gene kinds: each makes some integer choices about a network."""

from jaxcompress.space.genes.activation_bits import ActivationBits
from jaxcompress.space.genes.channel_count import ChannelCount
from jaxcompress.space.genes.channel_mask import ChannelMask
from jaxcompress.space.genes.codebook import Codebook
from jaxcompress.space.genes.fixed import Fixed
from jaxcompress.space.genes.gene import BoundGene, Gene
from jaxcompress.space.genes.keep_block import KeepBlock
from jaxcompress.space.genes.kernel_mask import KernelMask
from jaxcompress.space.genes.library import Library
from jaxcompress.space.genes.rank import Rank
from jaxcompress.space.genes.sparsity import Sparsity
from jaxcompress.space.genes.weight_bits import WeightBits

__all__ = [
    "ActivationBits",
    "BoundGene",
    "ChannelCount",
    "ChannelMask",
    "Codebook",
    "Fixed",
    "Gene",
    "KeepBlock",
    "KernelMask",
    "Library",
    "Rank",
    "Sparsity",
    "WeightBits",
]
