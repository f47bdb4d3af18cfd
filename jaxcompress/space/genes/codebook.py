"""How many values the weights of a layer, or of the whole network, share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxcompress.network import Network
from jaxcompress.space.genes.choices import (
    Choices,
    Patterns,
    checked_choices,
    chosen_layers,
    is_number,
)
from jaxcompress.transforms import CODEBOOK_SIZES, CODEBOOKS

SCOPES = ("layer", "network")


@dataclass(frozen=True)
class Codebook:
    """The size of a codebook: one ordered gene for the network, or one for each weight.

    Attributes:
        sizes: the allowed numbers of shared values, each in 2..1024.
        kind: "uniform" (means of bins of equal width), "kmeans", or "kmeans_zero" (one
            value is 0).
        scope: "network" (all weights share one codebook and one gene) or "layer".
        layers: which layers, by name or pattern; of their weights only float32 ones.

    Example:
        >>> from jaxcompress import genes
        >>> genes.Codebook((16, 4), kind="kmeans", scope="layer").sizes
        (4, 16)
    """

    sizes: Sequence[int] = CODEBOOK_SIZES
    kind: str = "uniform"
    scope: str = "network"
    layers: Patterns = "*"

    def __post_init__(self) -> None:
        allowed = f"{CODEBOOK_SIZES[0]}..{CODEBOOK_SIZES[-1]}"
        sizes = checked_choices("Codebook: sizes", self.sizes, _fits, allowed)
        for name, given, known in (
            ("kind", self.kind, tuple(CODEBOOKS)),
            ("scope", self.scope, SCOPES),
        ):
            if given not in known:
                raise ValueError(f"Codebook: {name} is {given!r}; allowed: {known}")
        object.__setattr__(self, "sizes", sizes)

    def bind(self, network: Network) -> Choices:
        leaves = network.leaves()
        layers = chosen_layers(network, self.layers, "Codebook")
        counts = {layer.weight: int(leaves[layer.weight].size) for layer in layers}
        paths = [(path,) for path in counts]
        if self.scope == "network" and paths:
            paths = [tuple(counts)]
            counts = {"the network": sum(counts.values())}
        for what, count in counts.items():
            if count < self.sizes[-1]:
                raise ValueError(
                    f"Codebook: sizes has {self.sizes[-1]}, more than the {count} weights "
                    f"of {what}; give smaller sizes, or leave the layer out by `layers`"
                )
        return Choices(
            network,
            "codebook",
            "codebook_sizes",
            paths,
            np.asarray(self.sizes, np.int32),
            {"codebook_kind": self.kind, "codebook_scope": self.scope},
        )


def _fits(size: Any) -> bool:
    return is_number(size) and size in CODEBOOK_SIZES
