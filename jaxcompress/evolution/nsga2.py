"""NSGA-II on a grid of integers (Deb, Pratap, Agarwal, Meyarivan 2002).

Dimensions: p population, d genes.
"""

from typing import no_type_check

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int, Key

from jaxcompress.evolution.crossover import crossover
from jaxcompress.evolution.elitist import Elitist, ElitistState
from jaxcompress.evolution.mutation import mutate
from jaxcompress.evolution.selection import tournament


@no_type_check  # see `Evaluation`
class NSGA2Params(struct.PyTreeNode):
    """The rates of NSGA-II, float32 [] each.

    Attributes:
        crossover_rate: probability that a pair of parents is crossed, in [0, 1].
        crossover_eta: distribution index of the crossover of wide ordered genes, > 0;
            larger keeps children closer to their parents.
        mutation_rate: probability that a gene mutates, in [0, 1].
        mutation_eta: distribution index of mutation steps, > 0; larger is shorter.
        reset_share: of the mutations of ordered genes, the share that jumps anywhere
            instead of making a step, in [0, 1].
    """

    crossover_rate: Float[Array, ""]
    crossover_eta: Float[Array, ""]
    mutation_rate: Float[Array, ""]
    mutation_eta: Float[Array, ""]
    reset_share: Float[Array, ""]


class NSGA2(Elitist[NSGA2Params]):
    """The elitist non-dominated sorting genetic algorithm.

    Constraints follow Deb's dominance; offspring are distinct from each other and from
    their parents, as far as the space allows. See `Elitist` for the arguments.

    Example:
        >>> grid = Grid(np.full(8, 16))
        >>> algorithm = NSGA2(population_size=64, grid=grid, num_objectives=2)
        >>> params = algorithm.default_params
        >>> params = params.replace(mutation_rate=jnp.float32(0.2))
        >>> algorithm.population_size
        64
    """

    @property
    def default_params(self) -> NSGA2Params:
        """The settings of the paper; one gene in a genotype mutates on average."""
        genes = max(1, int(np.sum(self.grid.cardinality > 1)))
        return NSGA2Params(
            crossover_rate=jnp.float32(0.9),
            crossover_eta=jnp.float32(15.0),
            mutation_rate=jnp.float32(1.0 / genes),
            mutation_eta=jnp.float32(20.0),
            reset_share=jnp.float32(0.05),
        )

    def _offspring(
        self, key: Key[Array, ""], state: ElitistState, params: NSGA2Params
    ) -> Int[Array, "p d"]:
        size = self.population_size
        pairs = -(-size // 2)
        key_mate, key_cross, key_mutate = jax.random.split(key, 3)
        parents = tournament(key_mate, state.ranks, state.crowding, 2 * pairs)
        parents = state.genotypes[parents]
        children = crossover(
            key_cross,
            parents[:pairs],
            parents[pairs:],
            self.grid,
            params.crossover_rate,
            params.crossover_eta,
        )
        return mutate(
            key_mutate,
            jnp.concatenate(children)[:size],
            self.grid,
            params.mutation_rate,
            params.mutation_eta,
            params.reset_share,
        )
