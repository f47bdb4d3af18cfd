"""Random search: the baseline that every algorithm has to beat.

Dimensions: p population, d genes.
"""

from typing import no_type_check

from flax import struct
from jaxtyping import Array, Int, Key

from jaxcompress.evolution.elitist import Elitist, ElitistState
from jaxcompress.evolution.grid import sample


@no_type_check  # see `Evaluation`
class RandomSearchParams(struct.PyTreeNode):
    """Random search has no rates."""


class RandomSearch(Elitist[RandomSearchParams]):
    """Uniform random genotypes; the best p of all that were seen are kept.

    It keeps them by the rules of `NSGA2`, so at equal evaluations the two differ only
    in how they search. See `Elitist` for the arguments.

    Example:
        >>> baseline = RandomSearch(64, Grid([4, 4, 4, 4]), num_objectives=2)
        >>> baseline.grid.cardinality.size
        4
    """

    @property
    def default_params(self) -> RandomSearchParams:
        return RandomSearchParams()

    def _offspring(
        self, key: Key[Array, ""], state: ElitistState, params: RandomSearchParams
    ) -> Int[Array, "p d"]:
        del state, params
        return sample(key, self.grid, self.population_size)
