"""Any evosax algorithm on many objectives: one run for each weight vector.

Dimensions: p population, w weights, q = p / w members of each run, d genes, m objectives,
c all genotypes.
"""

from typing import Any, no_type_check

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int, Key

from jaxcompress.evolution.algorithm import Evaluation, sanitize
from jaxcompress.evolution.directions import checked_directions, spread
from jaxcompress.evolution.elitist import Elitist, ElitistState, Repair
from jaxcompress.evolution.evosax_adapter import EvosaxAdapter
from jaxcompress.evolution.grid import GridLike
from jaxcompress.evolution.held import Held
from jaxcompress.evolution.scalarize import tchebycheff

# evosax begins with steps of about 1: here, a quarter of a gene's range.
RANGE = 4.0


@no_type_check  # see `Evaluation`
class DecomposedMemory(struct.PyTreeNode):
    """What the runs know.

    Attributes:
        runs: evosax's states, a leading axis of w each.
        vectors: float32 [w, q, d], what they asked for last.
        held: the members that they hold, a leading axis of w each.
        ideal: float32 [m], the best value of each objective so far; +inf before any.
        worst: float32 [m], the worst of a feasible genotype so far; -inf before any.
    """

    runs: Any
    vectors: Float[Array, "w q d"]
    held: Held
    ideal: Float[Array, " m"]
    worst: Float[Array, " m"]


class Decomposed(Elitist[Any]):
    """One evosax algorithm, run for w weight vectors side by side.

    A run minimises the Tchebycheff value of its weights, counted from the best values
    seen so far and scaled by the range seen so far; when these move, the fitness of the
    members it holds is computed anew (but for CMA_Anchored_LES's `epoch_best_fitness`).
    It sees a relaxed genotype: one real
    number for each gene, of which [0, 4) is cut into as many equal parts as the gene has
    values; what lies outside counts as the nearest end. A nominal gene is relaxed just
    so, in the order of its values: algorithms that learn directions gain little there.

    The first generation is shared: it is random (or `initial`), and each run begins with
    the q members that are best for its weights. The state keeps the best p genotypes of
    all by the rules of `NSGA2`. Genotypes may come up again, for evosax must be told of
    what it asked. A run that breaks down (LM_MA_ES does if q is 2 d or more) asks for NaN,
    which decodes to 0; the metric `lost` counts such members. GuidedES gets no gradients.

    Args:
        population_size: p, a multiple of the number of weights; see `Elitist`, as for
            `grid`, `num_objectives`, `initial` and `repair`.
        algorithm: the name of the evosax algorithm, such as "CMA_ES", "Sep_CMA_ES",
            "DifferentialEvolution", "PSO", "SimpleGA", "Open_ES"; a wrong name lists all.
        directions: real [w, m], weights, not negative; or how many of them, well spread.

    Raises:
        ValueError: as `Elitist`, or another argument does not fit.

    Example:
        >>> grid = Grid(np.full(8, 16))
        >>> algorithm = Decomposed(64, grid, 2, algorithm="Sep_CMA_ES", directions=8)
        >>> algorithm.directions.shape
        (8, 2)
    """

    revisits = True

    def __init__(
        self,
        population_size: int,
        grid: GridLike,
        num_objectives: int,
        *,
        algorithm: str = "CMA_ES",
        directions: int | Array | np.ndarray = 8,
        initial: Array | np.ndarray | None = None,
        repair: Repair | None = None,
    ) -> None:
        super().__init__(
            population_size, grid, num_objectives, initial=initial, repair=repair
        )
        rows = np.asarray(directions)
        if rows.ndim == 0:
            rows = spread(num_objectives, int(rows))
        self.directions = checked_directions("Decomposed", rows, num_objectives)
        count = len(self.directions)
        if population_size % count:
            raise ValueError(
                f"Decomposed: population_size={population_size} is no multiple of the "
                f"{count} directions; each gets as many members."
            )
        width = self.grid.cardinality.size
        self._evosax = EvosaxAdapter(algorithm, population_size // count, width)

    @property
    def default_params(self) -> Any:
        """evosax's own, the same for all weights."""
        return self._evosax.default_params

    def relaxed(self, genotypes: Int[Array, "n d"]) -> Float[Array, "n d"]:
        """Returns the middle of each gene's part of the range."""
        size = jnp.asarray(self.grid.cardinality, jnp.float32)[None, :]
        return (genotypes.astype(jnp.float32) + 0.5) * (RANGE / size)

    def decoded(self, vectors: Float[Array, "n d"]) -> Int[Array, "n d"]:
        """Returns the genotypes, int32, that vectors stand for; NaN counts as 0."""
        size = jnp.asarray(self.grid.cardinality, jnp.float32)[None, :]
        values = jnp.floor(jnp.nan_to_num(vectors) * (size / RANGE))
        return jnp.clip(values, 0.0, size - 1.0).astype(jnp.int32)

    def _first_memory(self, key: Key[Array, ""], params: Any) -> DecomposedMemory:
        w, m = self.directions.shape
        q = self._evosax.population_size
        vectors = jnp.zeros((w, q, self.grid.cardinality.size), jnp.float32)
        told = Evaluation(
            objectives=jnp.full((w, q, m), jnp.inf, jnp.float32),
            violation=jnp.full((w, q), jnp.inf, jnp.float32),
        )
        fitness = jnp.zeros((w, q), jnp.float32)
        runs = self._begun(key, vectors, fitness, params)
        return DecomposedMemory(
            runs=runs,
            vectors=vectors,
            held=jax.vmap(Held.held_by)(jax.vmap(Held.of)(vectors, told), runs),
            ideal=jnp.full(m, jnp.inf, jnp.float32),
            worst=jnp.full(m, -jnp.inf, jnp.float32),
        )

    def ask(
        self, key: Key[Array, ""], state: ElitistState, params: Any
    ) -> tuple[Int[Array, "p d"], ElitistState]:
        memory: DecomposedMemory = state.memory
        keys = jax.random.split(key, len(self.directions))
        vectors, runs = jax.vmap(self._evosax.ask, (0, 0, None))(keys, memory.runs, params)
        asked = state.replace(memory=memory.replace(runs=runs, vectors=vectors))
        offspring = self._repaired(self._offspring(key, asked, params))
        first = state.generation == 0
        return jax.tree.map(
            lambda a, b: jnp.where(first, a, b),
            (state.genotypes, state),
            (offspring, asked),
        )

    def _offspring(
        self, key: Key[Array, ""], state: ElitistState, params: Any
    ) -> Int[Array, "p d"]:
        del key, params
        vectors: Array = state.memory.vectors
        return self.decoded(vectors.reshape(-1, vectors.shape[2]))

    def tell(
        self,
        key: Key[Array, ""],
        genotypes: Int[Array, "p d"],
        evaluation: Evaluation,
        state: ElitistState,
        params: Any,
    ) -> tuple[ElitistState, dict[str, Array]]:
        key_survive, key_runs = jax.random.split(key)
        new, metrics = super().tell(key_survive, genotypes, evaluation, state, params)
        told, _ = sanitize(evaluation)
        memory: DecomposedMemory = state.memory
        feasible = (told.violation <= 0)[:, None]
        best = jnp.min(jnp.where(feasible, told.objectives, jnp.inf), axis=0)
        worst = jnp.max(jnp.where(feasible, told.objectives, -jnp.inf), axis=0)
        ideal = jnp.minimum(memory.ideal, best)
        worst = jnp.maximum(memory.worst, worst)
        weights = jnp.asarray(self.directions, jnp.float32)
        w, q = memory.vectors.shape[:2]

        def fitness_of(told: Evaluation, weight: Array) -> Array:
            return _fitness(told, weight, ideal, worst)

        def begin(_):
            # The q best members of all, for each of the weights.
            fitness = jax.vmap(fitness_of, (None, 0))(told, weights)
            order = jnp.argsort(fitness, axis=1)[:, :q]
            vectors = self.relaxed(genotypes)[order]
            chosen = jnp.take_along_axis(fitness, order, axis=1)
            first = jax.tree.map(lambda leaf: leaf[order], told)
            runs = self._begun(key_runs, vectors, chosen, params)
            return runs, jax.vmap(Held.held_by)(jax.vmap(Held.of)(vectors, first), runs)

        def go_on(_):
            own = jax.tree.map(lambda leaf: leaf.reshape(w, q, *leaf.shape[1:]), told)
            keys = jax.random.split(key_runs, w)

            def one(key, vectors, own, run, held, weight):
                run = held.refreshed(run, lambda told: fitness_of(told, weight))
                fitness = fitness_of(own, weight)
                run = self._evosax.tell(key, vectors, fitness, run, params)
                return run, Held.of(vectors, own).joined(held).held_by(run)

            return jax.vmap(one)(
                keys, memory.vectors, own, memory.runs, memory.held, weights
            )

        runs, held = jax.lax.cond(state.generation == 0, begin, go_on, None)
        lost = jnp.any(jnp.isnan(memory.vectors), axis=2)
        metrics["lost"] = jnp.sum(lost, dtype=jnp.int32)
        memory = DecomposedMemory(runs, memory.vectors, held, ideal, worst)
        return new.replace(memory=memory), metrics

    def _begun(self, key: Array, vectors: Array, fitness: Array, params: Any) -> Any:
        keys = jax.random.split(key, len(self.directions))
        init = jax.vmap(self._evosax.init, (0, 0, 0, None))
        return init(keys, vectors, fitness, params)


def _fitness(
    told: Evaluation,
    weight: Float[Array, " m"],
    ideal: Float[Array, " m"],
    worst: Float[Array, " m"],
) -> Float[Array, " n"]:
    """Returns each member's value for some weights, finite: evosax knows no other.

    Feasible members have 0 to 1, infeasible ones 2 to 3, failed ones 4.
    """
    feasible = told.violation <= 0
    span = jnp.where(worst > ideal, worst - ideal, 1.0)
    base = jnp.where(feasible[:, None], told.objectives - ideal[None, :], 0.0)
    values = tchebycheff(base / span[None, :], weight[None, :])
    excess = jnp.where(jnp.isfinite(told.violation), told.violation, 0.0)
    values = jnp.where(feasible, values, 2.0 + excess / (1.0 + excess))
    return jnp.where(jnp.isinf(told.violation), 4.0, values)
