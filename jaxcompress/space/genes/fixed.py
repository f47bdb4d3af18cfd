"""Genes that are decided already: a search goes on from what another one chose."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jaxcompress.network import Network
from jaxcompress.space.genes.gene import BoundGene, Gene
from jaxcompress.space.plan import Plan


@dataclass(frozen=True, eq=False)
class Fixed:
    """The genes of another kind, each with a single choice.

    Attributes:
        gene: the other kind.
        choices: what each of its genes has chosen, int [k]; None: what compresses least.

    Example:
        >>> from jaxcompress import genes
        >>> genes.Fixed(genes.Rank(4)).choices is None
        True
    """

    gene: Gene
    choices: Int[np.ndarray, " k"] | None = None

    def bind(self, network: Network) -> "_Bound":
        bound = self.gene.bind(network)
        choices = bound.dense if self.choices is None else np.asarray(self.choices)
        if choices.shape != bound.cardinality.shape:
            raise ValueError(
                f"Fixed: choices have shape {choices.shape}; {type(self.gene).__name__} "
                f"has {len(bound.cardinality)} genes: give one for each"
            )
        wrong = np.flatnonzero((choices < 0) | (choices >= bound.cardinality))
        if wrong.size:
            i = int(wrong[0])
            raise ValueError(
                f"Fixed: {choices[i]} for the {bound.names[i]}; allowed: 0 to "
                f"{bound.cardinality[i] - 1}"
            )
        return _Bound(bound, choices.astype(np.int32))


@dataclass(frozen=True, eq=False)
class _Bound:
    bound: BoundGene
    choices: Int[np.ndarray, " k"]

    @property
    def names(self) -> tuple[str, ...]:
        return self.bound.names

    @property
    def cardinality(self) -> np.ndarray:
        return np.ones(len(self.choices), np.int32)

    @property
    def ordered(self) -> np.ndarray:
        return self.bound.ordered

    @property
    def dense(self) -> np.ndarray:
        return np.zeros(len(self.choices), np.int32)

    def decode(self, plan: Plan, genes: Int[Array, " k"]) -> Plan:
        del genes
        return self.bound.decode(plan, jnp.asarray(self.choices))

    def encode(self, plan: Plan) -> Int[Array, " k"]:
        del plan
        return jnp.zeros(len(self.choices), jnp.int32)

    def effective(self, alive: Bool[Array, " units"]) -> Sequence[Bool[Array, ""] | bool]:
        return self.bound.effective(alive)
