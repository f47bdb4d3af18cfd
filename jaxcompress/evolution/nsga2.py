"""NSGA-II on a grid of integers (Deb, Pratap, Agarwal, Meyarivan 2002).

Dimensions: p population, d genes.
"""

import jax
from jaxtyping import Array, Int, Key

from jaxcompress.evolution.elitist import ElitistState
from jaxcompress.evolution.genetic import Genetic, GeneticParams, genetic_params
from jaxcompress.evolution.selection import tournament


class NSGA2(Genetic[GeneticParams]):
    """The elitist non-dominated sorting genetic algorithm.

    Constraints follow Deb's dominance; offspring are distinct from each other and from
    all that were told before, as far as the space allows. See `Genetic` and `Elitist` for
    the arguments.

    Example:
        >>> grid = Grid(np.full(8, 16))
        >>> algorithm = NSGA2(population_size=64, grid=grid, num_objectives=2)
        >>> params = algorithm.default_params
        >>> params = params.replace(mutation_rate=jnp.float32(0.2))
        >>> algorithm.population_size
        64
    """

    @property
    def default_params(self) -> GeneticParams:
        """One gene in a genotype mutates on average; indices 15 and 20, and steps turned
        inward at bounds, where the paper has 20 and 20 and leaves them out."""
        return genetic_params(self.grid, crossover_rate=0.9, crossover_eta=15.0)

    def _offspring(
        self, key: Key[Array, ""], state: ElitistState, params: GeneticParams
    ) -> Int[Array, "p d"]:
        size = self.population_size
        key_mate, key_vary = jax.random.split(key)
        parents = tournament(key_mate, state.ranks, state.crowding, size + size % 2)
        return self._varied(key_vary, state.genotypes[parents], params)
