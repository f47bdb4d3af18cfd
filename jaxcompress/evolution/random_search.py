"""Random search: the baseline that every algorithm has to beat.

Dimensions: p population, d genes.
"""

from typing import no_type_check

from flax import struct
from jaxtyping import Array, Int, Key

from jaxcompress.evolution.duplicates import Mutate
from jaxcompress.evolution.elitist import Elitist, ElitistState
from jaxcompress.evolution.grid import sample


@no_type_check  # see `Evaluation`
@struct.dataclass
class RandomSearchParams:
    """Random search has no rates."""


class RandomSearch(Elitist[RandomSearchParams]):
    """Uniform random genotypes; the best p of all that were seen are kept.

    It keeps them by the rules of `NSGA2`, so at equal evaluations the two differ only
    in how they search. See `Elitist` for the arguments.

    Example:
        >>> baseline = RandomSearch(64, Grid([4, 4, 4, 4]), num_objectives=2)
        >>> state = baseline.init(jax.random.key(0), baseline.default_params)
    """

    @property
    def default_params(self) -> RandomSearchParams:
        return RandomSearchParams()

    def _offspring(
        self, key: Key[Array, ""], state: ElitistState, params: RandomSearchParams
    ) -> tuple[Int[Array, "p d"], Mutate]:
        del params

        def draw(key: Array, rows: Array) -> Array:
            return sample(key, self.grid, rows.shape[0])

        return draw(key, state.genotypes), draw
