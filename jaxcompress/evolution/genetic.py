"""What the genetic algorithms share: rates, and offspring by crossover and mutation.

Dimensions: n offspring, c parents, d genes.
"""

from typing import TypeVar, no_type_check

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int, Key

from jaxcompress.evolution.elitist import Elitist, Repair
from jaxcompress.evolution.grid import Grid, GridLike
from jaxcompress.evolution.masks import group_count
from jaxcompress.evolution.variation import CROSSOVERS, MUTATIONS, crossover, mutate

Params = TypeVar("Params")


@no_type_check  # see `Evaluation`
class GeneticParams(struct.PyTreeNode):
    """The rates of a genetic algorithm, float32 [] each.

    Attributes:
        crossover_rate: probability that a pair of parents is crossed, in [0, 1].
        crossover_eta: distribution index of the crossover of wide ordered genes, > 0;
            larger keeps children closer to their parents.
        swap_rate: probability that uniform crossover exchanges a gene, in [0, 1].
        mutated_share: probability that a child is mutated at all, in [0, 1].
        mutation_rate: probability that a gene mutates, in [0, 1].
        mutation_eta: distribution index of mutation steps, > 0; larger is shorter.
        reset_share: of the mutations of ordered genes that are not wide, the share that
            jumps anywhere instead of making a step, in [0, 1].
        edge_share: of the steps that would lead out of a wide ordered gene, the share
            that is left out instead of turned inward, in [0, 1].
    """

    crossover_rate: Float[Array, ""]
    crossover_eta: Float[Array, ""]
    swap_rate: Float[Array, ""]
    mutated_share: Float[Array, ""]
    mutation_rate: Float[Array, ""]
    mutation_eta: Float[Array, ""]
    reset_share: Float[Array, ""]
    edge_share: Float[Array, ""]


def genetic_params(
    grid: Grid, crossover_rate: float, crossover_eta: float, edge_share: float = 0.0
) -> GeneticParams:
    """Returns rates by which one gene in a genotype mutates on average.

    Args:
        grid: of d genes; those with a single value do not count, and an `exchange` group
            counts as one.
        crossover_rate: see `GeneticParams`.
        crossover_eta: see `GeneticParams`.
        edge_share: see `GeneticParams`.
    """
    single = (grid.cardinality > 1) & (grid.exchange < 0)
    genes = max(1, int(np.sum(single)) + group_count(grid.exchange, least=2))
    return GeneticParams(
        crossover_rate=jnp.float32(crossover_rate),
        crossover_eta=jnp.float32(crossover_eta),
        swap_rate=jnp.float32(0.5),
        mutated_share=jnp.float32(1.0),
        mutation_rate=jnp.float32(1.0 / genes),
        mutation_eta=jnp.float32(20.0),
        reset_share=jnp.float32(0.05),
        edge_share=jnp.float32(edge_share),
    )


class Genetic(Elitist[Params]):
    """An `Elitist` whose offspring are crossed and mutated parents.

    Args:
        population_size: p, see `Elitist`, as for `grid`, `num_objectives`, `initial` and
            `repair`.
        crossover: one of `CROSSOVERS`, see `crossover`.
        mutation: one of `MUTATIONS`, see `mutate`.

    Raises:
        ValueError: as `Elitist`, or there is no such crossover or mutation.
    """

    def __init__(
        self,
        population_size: int,
        grid: GridLike,
        num_objectives: int,
        *,
        crossover: str = "mixed",
        mutation: str = "polynomial",
        initial: Array | np.ndarray | None = None,
        repair: Repair | None = None,
    ) -> None:
        super().__init__(
            population_size, grid, num_objectives, initial=initial, repair=repair
        )
        if crossover not in CROSSOVERS:
            raise ValueError(
                f"{type(self).__name__}: crossover is {crossover!r}; allowed: {CROSSOVERS}"
            )
        if mutation not in MUTATIONS:
            raise ValueError(
                f"{type(self).__name__}: mutation is {mutation!r}; allowed: {MUTATIONS}"
            )
        if crossover == "differential" and population_size < 3:
            raise ValueError(
                f"{type(self).__name__}: population_size is {population_size}; crossover "
                "'differential' needs 3 or more."
            )
        self.crossover, self.mutation = crossover, mutation

    def _varied(
        self,
        key: Key[Array, ""],
        parents: Int[Array, "c d"],
        params: GeneticParams,
    ) -> Int[Array, "p d"]:
        """Crosses the first half of the parents with the second, and mutates the children.

        Args:
            key: random key, consumed.
            parents: int32 [c, d] for an even c >= p: row i is crossed with row i + c / 2.
            params: the rates.

        Returns:
            int32 [p, d] inside the grid, first the children most like the first half.
        """
        key_cross, key_mutate = jax.random.split(key)
        first, second = jnp.split(parents, 2)
        children = crossover(
            key_cross,
            first,
            second,
            self.grid,
            params.crossover_rate,
            params.crossover_eta,
            self.crossover,
            params.swap_rate,
        )
        return mutate(
            key_mutate,
            jnp.concatenate(children)[: self.population_size],
            self.grid,
            params.mutation_rate,
            params.mutation_eta,
            params.reset_share,
            params.edge_share,
            self.mutation,
            params.mutated_share,
        )
