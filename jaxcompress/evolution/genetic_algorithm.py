"""The genetic algorithm with one score (Holland 1975; Goldberg 1989).

Dimensions: p population, d genes, m objectives, c all genotypes, n members, w winners.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxcompress.evolution.algorithm import Evaluation
from jaxcompress.evolution.duplicates import duplicate_mask
from jaxcompress.evolution.elitist import ElitistState, Repair
from jaxcompress.evolution.genetic import Genetic, GeneticParams, genetic_params
from jaxcompress.evolution.grid import GridLike
from jaxcompress.evolution.pareto import front_mask
from jaxcompress.evolution.selection import Survivors, tournament

Score = Callable[[Array], Array]


def roulette(
    key: Key[Array, ""], values: Float[Array, " n"], winners: int
) -> Int[Array, " w"]:
    """Draws members with a chance in proportion to how much they beat the worst.

    Fitness-proportionate selection, for values to minimise. The worst that is finite
    keeps a hundredth of the best one's chance; values that are not finite have none.

    Args:
        key: random key, consumed.
        values: float [n], smaller is better; all alike have equal chances.
        winners: how many are drawn, with replacement.

    Returns:
        int32 [winners].

    Example:
        >>> roulette(jax.random.key(0), jnp.array([jnp.inf, 1.0]), 3)
        Array([1, 1, 1], dtype=int32)
    """
    finite = jnp.isfinite(values)
    worst = jnp.max(jnp.where(finite, values, -jnp.inf))
    gain = jnp.where(finite, worst - values, 0.0)
    best = jnp.max(gain)
    share = jnp.where(best > 0, gain / jnp.where(best > 0, best, 1.0), 1.0) + 0.01
    share = jnp.where(finite | ~jnp.any(finite), share, 0.0)
    return jax.random.categorical(key, jnp.log(share), shape=(winners,))


class GeneticAlgorithm(Genetic[GeneticParams]):
    """A genetic algorithm for one score of all objectives: one best genotype, no front.

    The population stands in the order of its scores: `state.genotypes[0]` is the best of
    it, and of all that was told if there are elites.

    Args:
        population_size: p, see `Elitist`, as for `grid`, `num_objectives`, `initial` and
            `repair`.
        score: objectives float32 [n, m] -> float32 [n] to minimise, pure, for any n;
            the plain sum if None.
        selection: of parents: "tournament" or "roulette".
        elites: how many of the old population survive if they are better than the rest,
            0 to p; p, where parents and offspring compete for all places, if None.
        crossover: see `Genetic`, as for `mutation`.

    Raises:
        ValueError: as `Elitist`, or another argument does not fit.

    Example:
        >>> weights = jnp.array([0.3, 0.7])
        >>> algorithm = GeneticAlgorithm(
        ...     64, Grid(np.full(8, 16)), 2, score=lambda f: f @ weights, elites=2
        ... )
        >>> algorithm.elites
        2
    """

    def __init__(
        self,
        population_size: int,
        grid: GridLike,
        num_objectives: int,
        *,
        score: Score | None = None,
        selection: str = "tournament",
        elites: int | None = None,
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
        self.elites = population_size if elites is None else elites
        if not 0 <= self.elites <= population_size:
            raise ValueError(
                f"GeneticAlgorithm: elites is {elites}; it must be 0 to "
                f"population_size={population_size}."
            )
        if selection not in ("tournament", "roulette"):
            raise ValueError(
                f"GeneticAlgorithm: selection is {selection!r}; allowed: 'tournament', "
                "'roulette'"
            )
        self.selection = selection
        self._score = score

    @property
    def default_params(self) -> GeneticParams:
        """Those of `NSGA2`; one gene in a genotype mutates on average."""
        return genetic_params(self.grid, crossover_rate=0.9, crossover_eta=15.0)

    def scores(self, evaluation: Evaluation) -> Float[Array, " n"]:
        """Returns the score of each member, +inf where infeasible, failed or NaN."""
        objectives = evaluation.objectives
        usable = evaluation.violation <= 0
        safe = jnp.where(usable[:, None], objectives, 0.0)
        values = jnp.sum(safe, axis=1) if self._score is None else self._score(safe)
        if values.shape != usable.shape:
            raise ValueError(
                f"GeneticAlgorithm: score made {values.shape} of {objectives.shape}; it "
                "must return one number for each row."
            )
        return jnp.where(usable & jnp.isfinite(values), values, jnp.inf)

    def _offspring(
        self, key: Key[Array, ""], state: ElitistState, params: GeneticParams
    ) -> Int[Array, "p d"]:
        size = self.population_size
        count = size + size % 2
        key_mate, key_vary = jax.random.split(key)
        if self.selection == "roulette":
            told = Evaluation(state.objectives, state.violation)
            parents = roulette(key_mate, self.scores(told), count)
        else:  # the population stands in the order of its scores
            order = jnp.arange(size, dtype=jnp.int32)
            parents = tournament(key_mate, order, state.crowding, count)
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
        p = self.population_size
        copies = duplicate_mask(rows)
        failed = jnp.isinf(merged.violation)
        tier = 2 * failed.astype(jnp.int32) + copies.astype(jnp.int32)
        chance = jax.random.uniform(key, (2 * p,))
        keys = (chance, self.scores(merged), merged.violation, tier)
        # Of the old, all but the elites stand back; in the end all stand in order.
        place = jnp.argsort(jnp.lexsort(keys))
        old = jnp.arange(2 * p) >= p
        behind = jnp.cumsum(old[jnp.argsort(place)])[place] > self.elites
        chosen = jnp.lexsort((place, old & behind))[:p]
        chosen = chosen[jnp.argsort(place[chosen])]
        best = jax.tree.map(lambda leaf: leaf[chosen], merged)
        front = front_mask(best.objectives, best.violation)
        survivors = Survivors(
            indices=chosen,
            ranks=(~front).astype(jnp.int32),
            crowding=jnp.zeros(p, jnp.float32),
            copies=duplicate_mask(rows[chosen]),
        )
        return survivors, state.memory
