"""What an objective is: a number to minimise, for one plan."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from jaxtyping import Array, Float

from jaxcompress.network import Network
from jaxcompress.space import Plan


@dataclass(frozen=True)
class Constraint:
    """An upper bound on an objective; plans above it are infeasible.

    Attributes:
        objective: what is bounded.
        limit: the largest allowed value, in the objective's unit.
    """

    objective: "Cost | Quality"
    limit: float

    def violation(self, *given: Any) -> Float[Array, ""]:
        """Returns by how much the bound is exceeded, relative to it; <= 0: kept.

        Args:
            given: what the objective takes: network and plan, or outputs and targets.
        """
        # Not the quotient less 1: compiled, it may be above 1 where both are equal.
        return (self.objective(*given) - self.limit) / self.limit


class Objective(ABC):
    """A number to minimise, or to bound.

    Attributes:
        name: one word, the key in tables.
        unit: of the value.
    """

    name: str
    unit: str

    def __le__(self, limit: float) -> Constraint:
        """Returns the constraint that the objective is at most `limit`.

        Raises:
            ValueError: the limit is not positive.
        """
        if not limit > 0:
            raise ValueError(f"{self.name} <= {limit}: the limit must be positive")
        return Constraint(self, float(limit))  # type: ignore[arg-type]


class Cost(Objective):
    """An objective in closed form in the plan; jit- and vmap-able."""

    @abstractmethod
    def __call__(self, network: Network, plan: Plan) -> Float[Array, ""]:
        """Returns the cost of a plan, float32.

        Raises:
            ValueError: the plan does not fit the network (`space.check_plan`).
        """


class Quality(Objective):
    """An objective measured on the outputs of the network."""

    @abstractmethod
    def __call__(self, outputs: Array, targets: Array) -> Float[Array, ""]:
        """Returns how bad the outputs are, float32; NaN where they are not finite."""

    def each(self, outputs: Array, targets: Array) -> Float[Array, " n"] | None:
        """Returns what the quality is the mean of, float32 [N]; None: no such thing."""
        return None
