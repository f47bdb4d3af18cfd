"""How many values the weights of a layer, or of the whole network, share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jaxcompress.network import Network
from jaxcompress.space.plan import Plan
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
        layers: a pattern, as of file names, of the names of the layers that take part;
            of their weights only float32 ones do.

    Example:
        >>> from jaxcompress import genes
        >>> genes.Codebook((16, 4), kind="kmeans", scope="layer").sizes
        (4, 16)
    """

    sizes: Sequence[int] = CODEBOOK_SIZES
    kind: str = "uniform"
    scope: str = "network"
    layers: str = "*"

    def __post_init__(self) -> None:
        sizes = tuple(self.sizes)
        allowed = f"{CODEBOOK_SIZES[0]}..{CODEBOOK_SIZES[-1]}"
        if not sizes:
            raise ValueError(f"Codebook: sizes is empty; give at least one in {allowed}")
        for size in sizes:
            if size not in CODEBOOK_SIZES:
                raise ValueError(f"Codebook: sizes has {size}; allowed: {allowed}")
        if len(set(sizes)) < len(sizes):
            raise ValueError(f"Codebook: sizes {sizes} has duplicates")
        for name, given, known in (
            ("kind", self.kind, tuple(CODEBOOKS)),
            ("scope", self.scope, SCOPES),
        ):
            if given not in known:
                raise ValueError(f"Codebook: {name} is {given!r}; allowed: {known}")
        object.__setattr__(self, "sizes", tuple(sorted(sizes)))

    def bind(self, network: Network) -> "_Bound":
        leaves = network.leaves()
        named = dict.fromkeys(
            layer.weight for layer in network.layers if fnmatchcase(layer.name, self.layers)
        )
        weights = tuple(path for path in named if leaves[path].dtype == jnp.float32)
        if not weights:
            raise ValueError(
                f"Codebook: layers is {self.layers!r}, which no layer with a float32 "
                f"weight matches; there are {[layer.name for layer in network.layers]}"
            )
        counts = {path: int(leaves[path].size) for path in weights}
        if self.scope == "network":
            counts = {"the network": sum(counts.values())}
        for what, count in counts.items():
            if count < self.sizes[-1]:
                raise ValueError(
                    f"Codebook: sizes has {self.sizes[-1]}, more than the {count} weights "
                    f"of {what}; give smaller sizes, or leave the layer out by `layers`"
                )
        sizes = np.asarray(self.sizes, np.int32)
        return _Bound(network, weights, sizes, self.kind, self.scope)


@dataclass(frozen=True, eq=False)
class _Bound:
    """Attributes: the paths of the weights, the sizes in ascending order."""

    network: Network
    weights: tuple[str, ...]
    sizes: np.ndarray
    kind: str
    scope: str

    @property
    def _owners(self) -> tuple[tuple[str, ...], ...]:
        """The weights that each gene decides about."""
        each = tuple((path,) for path in self.weights)
        return each if self.scope == "layer" else (self.weights,)

    @property
    def names(self) -> tuple[str, ...]:
        if self.scope == "network":
            return ("codebook of the network",)
        return tuple(f"codebook of {path}" for path in self.weights)

    @property
    def cardinality(self) -> np.ndarray:
        return np.full(len(self._owners), len(self.sizes), np.int32)

    @property
    def ordered(self) -> np.ndarray:
        return np.ones(len(self._owners), bool)

    @property
    def dense(self) -> np.ndarray:
        return self.cardinality - 1

    def decode(self, plan: Plan, genes: Int[Array, " k"]) -> Plan:
        sizes = jnp.asarray(self.sizes)[genes]
        here = (self.kind, self.scope)
        there = (plan.codebook_kind, plan.codebook_scope)
        if plan.codebook_sizes and here != there:
            raise ValueError(
                f"Codebook: (kind, scope) is {here} here and {there} in another Codebook "
                "of the space; a plan has one of each"
            )
        named = {path: sizes[i] for i, owned in enumerate(self._owners) for path in owned}
        return replace(
            plan,
            codebook_sizes={**plan.codebook_sizes, **named},
            codebook_kind=self.kind,
            codebook_scope=self.scope,
        )

    def encode(self, plan: Plan) -> Int[Array, " k"]:
        sizes = jnp.stack([plan.codebook_sizes[owned[0]] for owned in self._owners])
        return jnp.searchsorted(jnp.asarray(self.sizes), sizes).astype(jnp.int32)

    def effective(self, alive: Bool[Array, " units"]) -> list[Bool[Array, ""] | bool]:
        found = []
        for owned in self._owners:
            needed = False
            for path in owned:
                needed = needed | self.network.needs(path, alive)
            found.append(needed)
        return found
