"""What every gene kind offers."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Bool, Int

from jaxcompress.network import Network
from jaxcompress.space.plan import Plan


@runtime_checkable
class BoundGene(Protocol):
    """A gene kind on one network: some entries of the genotype.

    Attributes:
        names: what each entry decides about, unique.
        cardinality: how many choices each entry has, int32 [k].
        ordered: whether neighbouring choices are alike, bool [k].
        dense: the choice that compresses least, int32 [k].

    A kind may also have `exchange` (which entries have a fixed number of ones, and how
    many) and `redundant` (whether several of its genotypes mean the same plan).
    """

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def cardinality(self) -> np.ndarray: ...
    @property
    def ordered(self) -> np.ndarray: ...
    @property
    def dense(self) -> np.ndarray: ...

    def decode(self, plan: Plan, genes: Int[Array, " k"]) -> Plan:
        """Returns the plan with what these entries decide."""
        ...

    def encode(self, plan: Plan) -> Int[Array, " k"]:
        """Returns the entries that decode to this part of the plan."""
        ...

    def effective(self, alive: Bool[Array, " units"]) -> Sequence[Bool[Array, ""] | bool]:
        """Returns for each entry whether it decides about anything that is left.

        Args:
            alive: which units survive; what lies in a removed block is gone.
        """
        ...


@runtime_checkable
class Gene(Protocol):
    """A gene kind, not yet tied to a network."""

    def bind(self, network: Network) -> BoundGene:
        """Returns this kind's entries for one network.

        Raises:
            ValueError: the kind does not fit the network.
        """
        ...
