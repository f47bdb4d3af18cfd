"""What the algorithms with a population of fixed size share.

Offspring without copies, as far as the space allows; parents and offspring compete for
the places of the next generation.

Dimensions: p population, d genes, m objectives, k initial genotypes, c all genotypes.
"""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any, TypeVar, no_type_check

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

from jaxcompress.evolution.algorithm import Algorithm, Evaluation, sanitize
from jaxcompress.evolution.duplicates import (
    duplicate_mask,
    fill_unseen,
    replace_duplicates,
)
from jaxcompress.evolution.grid import Grid, GridLike, sample
from jaxcompress.evolution.pareto import front_mask
from jaxcompress.evolution.seen import nothing_seen, recall, remember
from jaxcompress.evolution.selection import Survivors, survive
from jaxcompress.evolution.variation import change_one_gene

Params = TypeVar("Params")
Repair = Callable[[Array], Array]

# Rounds of changing copies; each reaches one gene further.
ROUNDS = 8


@no_type_check  # see `Evaluation`
class ElitistState(struct.PyTreeNode):
    """The population of an `Elitist` algorithm.

    Attributes:
        genotypes: int32 [p, d].
        objectives: float32 [p, m]; +inf before the first `tell` and where evaluation
            failed.
        violation: float32 [p]; 0 is feasible, +inf as above.
        ranks: int32 [p], front of each member when it was selected, 0 is best.
        crowding: float32 [p], its crowding distance then; 0 if no one looks at it.
        generation: int32 [], how often `tell` was called.
        seen: uint32 [s], a table of all genotypes told so far (see `recall`); [0] where
            the algorithm `revisits`.
        memory: arrays that the algorithm remembers beside its population, if any.
    """

    genotypes: Int[Array, "p d"]
    objectives: Float[Array, "p m"]
    violation: Float[Array, " p"]
    ranks: Int[Array, " p"]
    crowding: Float[Array, " p"]
    generation: Int[Array, ""]
    seen: UInt32[Array, " s"]
    memory: Any = ()


class Elitist(Algorithm[ElitistState, Params]):
    """A population whose best members, old or new, survive.

    Nothing is asked for twice, as far as the space allows: neither a member of the
    population nor, unless the subclass `revisits`, what was told in an earlier generation
    (a few in a hundred of many thousands are forgotten, see `seen.py`).

    A subclass says how offspring are made (`_offspring`), and may say who survives
    (`_survive`; by the rules of NSGA-II if it does not) and what is remembered.

    Args:
        population_size: p, at least 2.
        grid: the grid of d genes, or anything like it (a search space).
        num_objectives: m.
        initial: int [k, d] with k <= p, genotypes to begin with; random ones fill up.
        repair: int32 [n, d] -> int32 [n, d] for any n, pure; applied to every genotype
            before `ask` returns it, and before the grid's own repair, where it has one. It
            must stay in the grid.

    Raises:
        ValueError: a size is too small, or `initial` does not fit the grid.
    """

    # Whether what was told and dropped may be asked for again.
    revisits = False

    def __init__(
        self,
        population_size: int,
        grid: GridLike,
        num_objectives: int,
        *,
        initial: Array | np.ndarray | None = None,
        repair: Repair | None = None,
    ) -> None:
        super().__init__(population_size, grid, num_objectives)
        name = type(self).__name__
        self._initial = _checked_initial(name, initial, population_size, self.grid)
        own = getattr(grid, "repair", None)
        self._repairs = [one for one in (repair, own) if one is not None]
        self._all = None
        # Where numbers of ones must be kept, no genotype may stand in for any other.
        if own is not None or (self.grid.exchange < 0).all():
            self._all = _all_genotypes(self.grid, limit=max(1024, 16 * population_size))

    @abstractmethod
    def _offspring(
        self, key: Key[Array, ""], state: ElitistState, params: Params
    ) -> Int[Array, "p d"]:
        """Returns offspring in the grid; copies among them will be replaced."""

    def _survive(
        self,
        key: Key[Array, ""],
        rows: Int[Array, "c d"],
        merged: Evaluation,
        state: ElitistState,
        params: Params,
    ) -> tuple[Survivors, Any]:
        """Chooses p of c = 2 p rows, the offspring before the old, and what to remember.

        Members of the first front have rank 0, if any other member survives.
        """
        del params
        copies = duplicate_mask(rows)
        return survive(key, copies, merged, size=self.population_size), state.memory

    def _first_memory(self, key: Key[Array, ""], params: Params) -> Any:
        """Returns the memory before the first generation."""
        del key, params
        return ()

    def init(self, key: Key[Array, ""], params: Params) -> ElitistState:
        p, grid = self.population_size, self.grid
        key_sample, key_distinct, key_memory = jax.random.split(key, 3)
        genotypes = sample(key_sample, grid, p)
        if self._initial is not None:
            given = jnp.asarray(self._initial)
            genotypes = genotypes.at[: given.shape[0]].set(given)
        seen = jnp.zeros(0, jnp.uint32) if self.revisits else nothing_seen(p)
        genotypes = self._distinct(key_distinct, genotypes, None, seen)
        return ElitistState(
            genotypes=genotypes,
            objectives=jnp.full((p, self.num_objectives), jnp.inf, jnp.float32),
            violation=jnp.full(p, jnp.inf, jnp.float32),
            ranks=jnp.zeros(p, jnp.int32),
            crowding=jnp.zeros(p, jnp.float32),
            generation=jnp.zeros((), jnp.int32),
            seen=seen,
            memory=self._first_memory(key_memory, params),
        )

    def ask(
        self, key: Key[Array, ""], state: ElitistState, params: Params
    ) -> tuple[Int[Array, "p d"], ElitistState]:
        def later(key):
            key_vary, key_distinct = jax.random.split(key)
            offspring = self._offspring(key_vary, state, params)
            return self._distinct(key_distinct, offspring, state.genotypes, state.seen)

        first = state.generation == 0
        genotypes = jax.lax.cond(first, lambda _: state.genotypes, later, key)
        return genotypes, state

    def tell(
        self,
        key: Key[Array, ""],
        genotypes: Int[Array, "p d"],
        evaluation: Evaluation,
        state: ElitistState,
        params: Params,
    ) -> tuple[ElitistState, dict[str, Array]]:
        """Takes in what the genotypes achieved; see `Algorithm.tell`.

        Returns:
            The new state, and the metrics `failed` (evaluations told that were not
            finite), `feasible` (feasible members of the new population), `front` (size
            of its first front) and `duplicates` (copies in it), int32 [] each.
        """
        self._check(genotypes, evaluation)
        evaluation, failed = sanitize(evaluation)
        # New members first: when a genotype was evaluated twice, the later counts.
        rows = jnp.concatenate([genotypes, state.genotypes])
        merged = Evaluation(
            objectives=jnp.concatenate([evaluation.objectives, state.objectives]),
            violation=jnp.concatenate([evaluation.violation, state.violation]),
        )
        chosen, memory = self._survive(key, rows, merged, state, params)
        state = ElitistState(
            genotypes=rows[chosen.indices],
            objectives=merged.objectives[chosen.indices],
            violation=merged.violation[chosen.indices],
            ranks=chosen.ranks,
            crowding=chosen.crowding,
            generation=state.generation + 1,
            seen=state.seen if self.revisits else remember(state.seen, genotypes),
            memory=memory,
        )
        feasible = state.violation <= 0
        # Either the whole first front survives or nothing else does, so the front of
        # the survivors (see `front`) is what was of rank 0 among all.
        front = feasible & (chosen.ranks == 0) & ~chosen.copies
        return state, {
            "failed": failed,
            "feasible": jnp.sum(feasible, dtype=jnp.int32),
            "front": jnp.sum(front, dtype=jnp.int32),
            "duplicates": jnp.sum(chosen.copies, dtype=jnp.int32),
        }

    def front(
        self, state: ElitistState
    ) -> tuple[Int[Array, "p d"], Float[Array, "p m"], Bool[Array, " p"]]:
        mask = front_mask(state.objectives, state.violation)
        mask &= ~duplicate_mask(state.genotypes)
        return state.genotypes, state.objectives, mask

    def _repaired(self, genotypes: Array) -> Array:
        for repair in self._repairs:
            repaired = repair(genotypes)
            if repaired.shape != genotypes.shape or repaired.dtype != genotypes.dtype:
                raise ValueError(
                    f"{type(self).__name__}: repair made {repaired.dtype} "
                    f"{repaired.shape} of {genotypes.dtype} {genotypes.shape}; it must "
                    "keep shape and dtype for any number of rows."
                )
            genotypes = repaired
        return genotypes

    def _distinct(
        self,
        key: Key[Array, ""],
        genotypes: Int[Array, "p d"],
        against: Int[Array, "p d"] | None,
        seen: UInt32[Array, " s"],
    ) -> Int[Array, "p d"]:
        """Repairs all, and replaces copies as long as the space has others."""
        genotypes = self._repaired(genotypes)
        known = None if self.revisits else partial(recall, seen)
        if self._all is not None:
            everything = self._repaired(jnp.asarray(self._all))
            return fill_unseen(key, genotypes, against, everything, known)

        def change(key: Array, rows: Array) -> Array:
            return self._repaired(change_one_gene(key, rows, self.grid))

        return replace_duplicates(key, genotypes, against, change, ROUNDS, known)


def _checked_initial(
    name: str, initial: Array | np.ndarray | None, population_size: int, grid: Grid
) -> np.ndarray | None:
    if initial is None:
        return None
    rows, width = np.asarray(initial), grid.cardinality.size
    if rows.ndim != 2 or rows.shape[1] != width or rows.shape[0] > population_size:
        raise ValueError(
            f"{name}: initial has shape {rows.shape}; it must be [k, {width}] with k "
            f"at most population_size={population_size}: pass fewer rows or a larger "
            "population."
        )
    if not np.issubdtype(rows.dtype, np.integer):
        raise ValueError(
            f"{name}: initial has dtype {rows.dtype}; genotypes are integers: pass the "
            "position of each value in its gene's grid."
        )
    outside = np.argwhere((rows < 0) | (rows >= grid.cardinality))
    if outside.size:
        row, gene = (int(i) for i in outside[0])
        raise ValueError(
            f"{name}: initial[{row}, {gene}] is {rows[row, gene]}; gene {gene} allows "
            f"0 to {grid.cardinality[gene] - 1}."
        )
    return rows.astype(np.int32)


def _all_genotypes(grid: Grid, limit: int) -> np.ndarray | None:
    """Every genotype of the grid, int32 [c, d], or None if there are too many."""
    radix = [int(c) for c in grid.cardinality]
    count = prod(radix)
    if count > limit:
        return None
    stride = [prod(radix[i + 1 :]) for i in range(len(radix))]
    codes = np.arange(count)[:, None] // np.asarray(stride)[None, :]
    return (codes % grid.cardinality[None, :]).astype(np.int32)
