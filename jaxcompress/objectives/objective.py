"""What an objective is: a number to minimise, for one plan."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Array, Float

from jaxcompress.network import Network
from jaxcompress.space import Plan


@dataclass(frozen=True)
class Constraint:
    """An upper bound on a cost; plans above it are infeasible.

    Attributes:
        cost: what is bounded.
        limit: the largest allowed value, in the cost's unit.
    """

    cost: "Cost"
    limit: float

    def violation(self, network: Network, plan: Plan) -> Float[Array, ""]:
        """Returns by how much the bound is exceeded, relative to it; <= 0: kept."""
        return self.cost(network, plan) / self.limit - 1.0


class Cost(ABC):
    """An objective in closed form in the plan; jit- and vmap-able.

    Attributes:
        name: one word, the key in tables.
        unit: of the value.
    """

    name: str
    unit: str

    @abstractmethod
    def __call__(self, network: Network, plan: Plan) -> Float[Array, ""]:
        """Returns the cost of a plan, float32.

        Raises:
            ValueError: the plan does not fit the network (`compress.check_plan`).
        """

    def __le__(self, limit: float) -> Constraint:
        """Returns the constraint that the cost is at most `limit`."""
        if not limit > 0:
            raise ValueError(f"{self.name} <= {limit}: the limit must be positive")
        return Constraint(self, float(limit))


class Quality(ABC):
    """An objective measured on the outputs of the network.

    Attributes:
        name: one word, the key in tables.
        unit: of the value.
    """

    name: str
    unit: str

    @abstractmethod
    def __call__(self, outputs: Array, targets: Array) -> Float[Array, ""]:
        """Returns how bad the outputs are, float32; NaN where they are not finite."""

    def each(self, outputs: Array, targets: Array) -> Float[Array, " n"] | None:
        """Returns what the quality is the mean of, float32 [N]; None: no such thing."""
        return None
