"""How many single entries of each layer's weights are zero."""

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

SCOPES = ("layer", "network")


@dataclass(frozen=True)
class Sparsity:
    """One ordered gene for each float32 weight: the share of its entries that is zero.

    The surviving entries of least magnitude go (Han et al. 2015).

    Attributes:
        shares: the allowed shares of zeros, each in [0, 1).
        scope: "layer": a gene and a threshold for each weight; "network": one of both.
        layers: which layers, by name or pattern.

    Example:
        >>> from jaxcompress import genes
        >>> genes.Sparsity((0.0, 0.9)).shares
        (0.9, 0.0)
    """

    shares: Sequence[float] = (0.0, 0.25, 0.5, 0.625, 0.75, 0.8125, 0.875, 0.9375)
    scope: str = "layer"
    layers: Patterns = "*"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shares", checked_shares("Sparsity", self.shares))
        if self.scope not in SCOPES:
            raise ValueError(f"Sparsity: scope is {self.scope!r}; allowed: {SCOPES}")

    def bind(self, network: Network) -> Choices:
        layers = chosen_layers(network, self.layers, "Sparsity")
        paths = [(layer.weight,) for layer in layers]
        if self.scope == "network" and paths:
            paths = [tuple(path for group in paths for path in group)]
        return Choices(
            network,
            "zeros",
            "sparsity",
            paths,
            np.asarray(self.shares, np.float32),
            {"sparsity_scope": self.scope},
        )
