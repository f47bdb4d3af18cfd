"""NSGA-III on a grid of integers (Deb and Jain 2014; Jain and Deb 2014).

Dimensions: p population, d genes, m objectives, r directions, c all genotypes.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from jaxcompress.evolution.algorithm import Evaluation
from jaxcompress.evolution.directions import checked_directions, spread
from jaxcompress.evolution.duplicates import duplicate_mask
from jaxcompress.evolution.elitist import ElitistState, Repair
from jaxcompress.evolution.genetic import Genetic, GeneticParams, genetic_params
from jaxcompress.evolution.grid import GridLike
from jaxcompress.evolution.niching import Hyperplane, niche_survive
from jaxcompress.evolution.selection import Survivors, tournament


class NSGA3(Genetic[GeneticParams]):
    """NSGA-II with niches around reference directions instead of crowding.

    For three objectives and more, where crowding says little. Parents mate at random,
    but a feasible one goes before an infeasible one.

    Args:
        population_size: p, see `Elitist`, as for `grid`, `num_objectives`, `initial` and
            `repair`.
        crossover: see `Genetic`.
        directions: real [r, m], weights that point at where members of the front are
            wanted, not negative; r at most p. p well spread ones if None (see `spread`);
            `das_dennis` makes the usual ones.

    Raises:
        ValueError: as `Elitist`, or the directions do not fit.

    Example:
        >>> algorithm = NSGA3(92, Grid(np.full(8, 16)), 3, directions=das_dennis(3, 12))
        >>> algorithm.directions.shape
        (91, 3)
    """

    def __init__(
        self,
        population_size: int,
        grid: GridLike,
        num_objectives: int,
        *,
        directions: Array | np.ndarray | None = None,
        crossover: str = "mixed",
        mutation: str = "polynomial",
        initial: Array | np.ndarray | None = None,
        repair: Repair | None = None,
    ) -> None:
        super().__init__(
            population_size,
            grid,
            num_objectives,
            crossover=crossover,
            mutation=mutation,
            initial=initial,
            repair=repair,
        )
        if directions is None:
            directions = spread(num_objectives, population_size)
        self.directions = checked_directions("NSGA3", directions, num_objectives)
        if len(self.directions) > population_size:
            raise ValueError(
                f"NSGA3: {len(self.directions)} directions are more than "
                f"population_size={population_size}: pass fewer, or a larger population."
            )

    @property
    def default_params(self) -> GeneticParams:
        """Those of the paper; one gene in a genotype mutates on average, and of narrow
        ordered genes a share is reset."""
        return genetic_params(
            self.grid, crossover_rate=1.0, crossover_eta=30.0, edge_share=1.0
        )

    def _first_memory(self, key: Key[Array, ""], params: GeneticParams) -> Hyperplane:
        del key, params
        return Hyperplane.unknown(self.num_objectives)

    def _offspring(
        self, key: Key[Array, ""], state: ElitistState, params: GeneticParams
    ) -> Int[Array, "p d"]:
        size = self.population_size
        key_mate, key_vary = jax.random.split(key)
        infeasible = (state.violation > 0).astype(jnp.int32)
        parents = tournament(key_mate, infeasible, -state.violation, size + size % 2)
        return self._varied(key_vary, state.genotypes[parents], params)

    def _survive(
        self,
        key: Key[Array, ""],
        rows: Int[Array, "c d"],
        merged: Evaluation,
        state: ElitistState,
        params: GeneticParams,
    ) -> tuple[Survivors, Any]:
        del params
        directions = jnp.asarray(self.directions, jnp.float32)
        copies, size = duplicate_mask(rows), self.population_size
        return niche_survive(key, copies, merged, size, directions, state.memory)
