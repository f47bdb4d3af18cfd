"""MOEA/D on a grid of integers (Zhang and Li 2007; limits of Li and Zhang 2009).

Dimensions: p population, also of subproblems; d genes, m objectives, t neighbours, c all
genotypes.
"""

from typing import Any, no_type_check

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int, Key
from scipy.spatial import KDTree

from jaxcompress.evolution.algorithm import Evaluation
from jaxcompress.evolution.directions import checked_directions, spread
from jaxcompress.evolution.duplicates import duplicate_mask
from jaxcompress.evolution.elitist import ElitistState, Repair
from jaxcompress.evolution.genetic import Genetic, GeneticParams, genetic_params
from jaxcompress.evolution.grid import GridLike
from jaxcompress.evolution.pareto import front_mask
from jaxcompress.evolution.scalarize import boundary_intersection, tchebycheff
from jaxcompress.evolution.selection import Survivors


@no_type_check  # see `Evaluation`
class MOEADParams(struct.PyTreeNode):
    """The rates of MOEA/D.

    Attributes:
        variation: of crossover and mutation.
        neighbour_rate: float32 [], probability that a subproblem mates and replaces
            among its neighbours and not in the whole population, in [0, 1].
    """

    variation: GeneticParams
    neighbour_rate: Float[Array, ""]


@no_type_check
class MOEADMemory(struct.PyTreeNode):
    """What MOEA/D remembers beside its population.

    Attributes:
        ideal: float32 [m], the best value of each objective so far; +inf before any.
        local: bool [p], which children stay among neighbours; drawn one generation
            ahead, so that mating and replacement agree.
    """

    ideal: Float[Array, " m"]
    local: Bool[Array, " p"]


class MOEAD(Genetic[MOEADParams]):
    """A multi-objective problem as p single ones that help their neighbours.

    Member i is the best known for the weights `directions[i]`. A generation is one child
    for each subproblem, made by it and a neighbour. All children come at the same time,
    and what they replace is settled so: each child is offered to those subproblems (its
    neighbours, in random order) where it is better than the member, to `replacements` of
    them at most; a subproblem takes the best of its offers, of equal ones that of the
    lowest index. Objectives are counted from the best values so far and scaled to the reach
    of the front of old and new members.

    Constraints: smaller violation first, then the scalar value. Every child is compared
    with every subproblem: memory and time grow with p squared, so use `NSGA3` for
    populations of many thousands.

    Args:
        population_size: p, see `Elitist`, as for `grid`, `num_objectives`, `initial` and
            `repair`.
        directions: real [p, m], weights, not negative; well spread ones if None.
        neighbours: t, how many subproblems are near one, itself included.
        replacements: how many members a child may replace, at least 1.
        scalarization: "tchebycheff" or "pbi".
        crossover: see `Genetic`.

    Raises:
        ValueError: as `Elitist`, or another argument does not fit.

    Example:
        >>> algorithm = MOEAD(64, Grid(np.full(8, 16)), 2, scalarization="pbi")
        >>> algorithm.directions.shape
        (64, 2)
    """

    # A child may be better than the members of more subproblems than take it at first.
    revisits = True

    def __init__(
        self,
        population_size: int,
        grid: GridLike,
        num_objectives: int,
        *,
        directions: Array | np.ndarray | None = None,
        neighbours: int = 20,
        replacements: int = 2,
        scalarization: str = "tchebycheff",
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
        self.directions = checked_directions("MOEAD", directions, num_objectives)
        if len(self.directions) != population_size:
            raise ValueError(
                f"MOEAD: {len(self.directions)} directions; there must be "
                f"population_size={population_size}, one for each member."
            )
        if neighbours < 2 or replacements < 1:
            raise ValueError(
                f"MOEAD: neighbours is {neighbours}, it must be 2 or more; replacements "
                f"is {replacements}, it must be 1 or more."
            )
        functions = {"tchebycheff": tchebycheff, "pbi": boundary_intersection}
        if scalarization not in functions:
            raise ValueError(
                f"MOEAD: scalarization is {scalarization!r}; allowed: {list(functions)}"
            )
        self._scalar = functions[scalarization]
        self._replacements = replacements
        count = min(neighbours, population_size)
        _, nearest = KDTree(self.directions).query(self.directions, k=count)
        nearest, own = np.asarray(nearest, np.int32), np.arange(population_size)[:, None]
        # Of equal directions any may have been found: a subproblem is its own neighbour.
        missing = ~(nearest == own).any(axis=1)
        nearest[missing, -1] = own[missing, 0]
        self._near = nearest

    @property
    def default_params(self) -> MOEADParams:
        """Crossover always, as in the paper; one gene mutates on average."""
        rates = genetic_params(
            self.grid, crossover_rate=1.0, crossover_eta=20.0, edge_share=1.0
        )
        return MOEADParams(rates, neighbour_rate=jnp.float32(0.9))

    def _first_memory(self, key: Key[Array, ""], params: MOEADParams) -> MOEADMemory:
        return MOEADMemory(
            ideal=jnp.full(self.num_objectives, jnp.inf, jnp.float32),
            local=self._drawn(key, params),
        )

    def _drawn(self, key: Key[Array, ""], params: MOEADParams) -> Bool[Array, " p"]:
        return jax.random.bernoulli(key, params.neighbour_rate, (self.population_size,))

    def _offspring(
        self, key: Key[Array, ""], state: ElitistState, params: MOEADParams
    ) -> Int[Array, "p d"]:
        p, t = self._near.shape
        key_near, key_far, key_vary = jax.random.split(key, 3)
        # Two different mates: of all neighbours, or of all others.
        near = _two(key_near, p, t)
        near = jnp.take_along_axis(jnp.asarray(self._near), near, axis=1)
        mates = jnp.where(state.memory.local[:, None], near, _two(key_far, p, p))
        parents = state.genotypes[mates.T.reshape(-1)]
        return self._varied(key_vary, parents, params.variation)

    def _survive(
        self,
        key: Key[Array, ""],
        rows: Int[Array, "c d"],
        merged: Evaluation,
        state: ElitistState,
        params: MOEADParams,
    ) -> tuple[Survivors, Any]:
        p = self.population_size
        key_order, key_local = jax.random.split(key)
        ideal, values = self._values(merged, state.memory.ideal)
        old = jnp.take_along_axis(values[:, p:], jnp.arange(p)[:, None], axis=1)
        new, excess = values[:, :p], merged.violation
        # Deb's rules, subproblem j in rows and child i in columns.
        new_excess, old_excess = excess[None, :p], excess[p:, None]
        better = (new_excess < old_excess) | ((new_excess == old_excess) & (new < old))
        index = jnp.arange(p)
        near = jnp.zeros((p, p), bool).at[jnp.asarray(self._near), index[:, None]].set(True)
        better &= near | ~state.memory.local[None, :]
        order = jnp.where(better, jax.random.uniform(key_order, (p, p)), 2.0)
        place = jnp.argsort(jnp.argsort(order, axis=0), axis=0)
        offered = better & (place < self._replacements)
        # At first there is nothing to replace: child i is member i.
        offered = jnp.where(state.generation == 0, jnp.eye(p, dtype=bool), offered)
        least = jnp.where(offered, new_excess, jnp.inf)
        least = jnp.min(least, axis=1, keepdims=True)
        taken = jnp.argmin(jnp.where(offered & (new_excess <= least), new, jnp.inf), axis=1)
        taken = jnp.where(state.generation == 0, index, taken)
        indices = jnp.where(jnp.any(offered, axis=1), taken, p + index)
        copies = duplicate_mask(rows[indices])
        chosen = jax.tree.map(lambda leaf: leaf[indices], merged)
        front = front_mask(chosen.objectives, chosen.violation)
        survivors = Survivors(
            indices=indices,
            ranks=(~front).astype(jnp.int32),
            crowding=jnp.zeros(p, jnp.float32),
            copies=copies,
        )
        return survivors, MOEADMemory(ideal, self._drawn(key_local, params))

    def _values(
        self, merged: Evaluation, ideal: Float[Array, " m"]
    ) -> tuple[Float[Array, " m"], Float[Array, "p c"]]:
        """Returns the ideal point, and every member's value for every subproblem."""
        objectives = merged.objectives
        front = front_mask(objectives, merged.violation)[:, None]
        ideal = jnp.minimum(ideal, jnp.min(jnp.where(front, objectives, jnp.inf), axis=0))
        zero = jnp.where(jnp.isfinite(ideal), ideal, 0.0)
        span = jnp.max(jnp.where(front, objectives - zero[None, :], 0.0), axis=0)
        span = jnp.where(span > 0, span, 1.0)
        finite = jnp.isfinite(objectives).all(axis=1)
        scaled = jnp.where(finite[:, None], objectives - zero[None, :], 0.0) / span[None, :]
        weights = jnp.asarray(self.directions, jnp.float32)
        values = self._scalar(scaled[None, :, :], weights[:, None, :])
        return ideal, jnp.where(finite[None, :], values, jnp.inf)


def _two(key: Key[Array, ""], n: int, count: int) -> Int[Array, "n 2"]:
    """Draws two different numbers below `count`, n times."""
    key_a, key_b = jax.random.split(key)
    a = jax.random.randint(key_a, (n,), 0, count)
    b = jax.random.randint(key_b, (n,), 0, count - 1)
    return jnp.stack([a, jnp.where(b >= a, b + 1, b)], axis=1)
