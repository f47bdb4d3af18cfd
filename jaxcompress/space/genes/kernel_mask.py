"""How many whole kernels of each convolution are zero."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxcompress.network import Network
from jaxcompress.space.genes.choices import (
    Choices,
    Patterns,
    checked_shares,
    chosen_layers,
)


@dataclass(frozen=True)
class KernelMask:
    """One ordered gene for each convolution: the share of its kernels that is zero.

    A kernel is the window of weights between one input and one output channel; the
    surviving ones of least summed magnitude go (kernel-wise pruning, Zhan et al. 2019).

    Attributes:
        shares: the allowed shares of zero kernels, each in [0, 1).
        layers: which layers, by name or pattern; those without a window have no gene.

    Example:
        >>> from jaxcompress import genes
        >>> genes.KernelMask((0.0, 0.5)).shares
        (0.5, 0.0)
    """

    shares: Sequence[float] = (0.0, 0.25, 0.5, 0.625, 0.75, 0.875)
    layers: Patterns = "*"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shares", checked_shares("KernelMask", self.shares))

    def bind(self, network: Network) -> Choices:
        layers = chosen_layers(network, self.layers, "KernelMask")
        paths = [(layer.weight,) for layer in layers if layer.kernel_axes]
        if not paths and self.layers != "*":
            raise ValueError(
                f"KernelMask: layers is {self.layers!r}, which names no convolution with a "
                f"window; such are {[la.name for la in network.layers if la.kernel_axes]}"
            )
        return Choices(
            network,
            "zero kernels",
            "kernel_sparsity",
            paths,
            np.asarray(self.shares, np.float32),
        )
