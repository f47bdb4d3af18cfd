"""How the products of a network are run while it is evaluated."""

from dataclasses import dataclass

from jaxcompress.compress.narrow import narrowly
from jaxcompress.compress.neighbours import by_neighbours
from jaxcompress.compress.precision import check_precision, in_precision
from jaxcompress.network import Around, Network
from jaxcompress.space import Plan


@dataclass(frozen=True)
class Products:
    """How products are run, where that changes rounding but not what is computed.

    Attributes:
        narrow: as narrow as they can; plan and parameters are those of `kept_first` then.
        neighbours: convolutions of few channels, neighbouring outputs in one, see
            `by_neighbours`.
        precision: see `in_precision`.

    Raises:
        ValueError: there is no such precision.
    """

    narrow: bool = False
    neighbours: bool = False
    precision: str = "float32"

    def __post_init__(self) -> None:
        check_precision(self.precision)

    def around(self, network: Network, plan: Plan) -> Around | None:
        """Returns how each step is run, as for `Network.interpret`."""
        around = narrowly(network, plan) if self.narrow else None
        if self.neighbours:
            around = by_neighbours(around)
        return in_precision(self.precision, around)
