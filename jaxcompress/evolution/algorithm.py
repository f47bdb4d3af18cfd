"""What every algorithm shares: the ask-and-tell protocol and what it is told.

Dimensions: p population, d genes, m objectives.
"""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar, no_type_check

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, Key

from jaxcompress.evolution.compiled import compiled
from jaxcompress.evolution.grid import GridLike, as_grid

State = TypeVar("State")
Params = TypeVar("Params")


# Here and wherever a pytree is defined: JAX rebuilds one with leaves that are no arrays
# (shapes, axis specs) or have a leading axis of seeds, so its constructor is unchecked.
@no_type_check
class Evaluation(struct.PyTreeNode):
    """What a population achieved; everything is minimised.

    Attributes:
        objectives: float32 [p, m], one row for each genotype.
        violation: float32 [p], how far the constraints are exceeded, in all; 0 is
            feasible.
    """

    objectives: Float[Array, "p m"]
    violation: Float[Array, " p"]


def sanitize(evaluation: Evaluation) -> tuple[Evaluation, Int[Array, ""]]:
    """Marks failed evaluations so that they rank last and no NaN goes further.

    Args:
        evaluation: objectives float [p, m] and violation float [p], of any values.

    Returns:
        The evaluation in float32, where a row with any number that is not finite has
        objectives and violation +inf and a negative violation is 0; and the number of
        such failed rows, int32 [].

    Example:
        >>> told = Evaluation(jnp.array([[jnp.nan, 1.0]]), jnp.zeros(1))
        >>> sanitize(told)[0].objectives
        Array([[inf, inf]], dtype=float32)
    """
    objectives = evaluation.objectives.astype(jnp.float32)
    violation = evaluation.violation.astype(jnp.float32)
    finite = jnp.isfinite(objectives).all(axis=1) & jnp.isfinite(violation)
    clean = Evaluation(
        objectives=jnp.where(finite[:, None], objectives, jnp.inf),
        violation=jnp.where(finite, jnp.maximum(violation, 0.0), jnp.inf),
    )
    return clean, jnp.sum(~finite, dtype=jnp.int32)


class Compiled(NamedTuple):
    """The methods of an algorithm under `jax.jit`."""

    init: Any
    ask: Any
    tell: Any


class Algorithm(ABC, Generic[State, Params]):
    """A multi-objective algorithm on a grid of integers.

    The object holds what is static (population size, grid, number of objectives), so
    that shapes are known; `Params` holds rates that may change from run to run without
    a new compilation; `State` holds arrays. All methods are pure and can be jitted,
    scanned, and vmapped over seeds.

    Attributes:
        population_size: p, how many genotypes `ask` returns.
        grid: the checked grid of d genes.
        num_objectives: m.

    Example:
        >>> def evaluate(genotypes):
        ...     x, y = genotypes.T.astype(jnp.float32)
        ...     return Evaluation(jnp.stack([x, y - x], 1), violation=0 * x)
        >>> algorithm = NSGA2(population_size=4, grid=Grid([9, 9]), num_objectives=2)
        >>> init, ask, tell = algorithm.compiled
        >>> params = algorithm.default_params
        >>> state = init(jax.random.key(0), params)
        >>> for key in jax.random.split(jax.random.key(1), 3):
        ...     ask_key, tell_key = jax.random.split(key)
        ...     genotypes, state = ask(ask_key, state, params)
        ...     told = evaluate(genotypes)
        ...     state, metrics = tell(tell_key, genotypes, told, state, params)
        >>> genotypes, objectives, mask = algorithm.front(state)
    """

    def __init__(self, population_size: int, grid: GridLike, num_objectives: int) -> None:
        for name, value, least in (
            ("population_size", population_size, 2),
            ("num_objectives", num_objectives, 1),
        ):
            if value < least:
                raise ValueError(
                    f"{type(self).__name__}: {name} is {value}; it must be {least} or more."
                )
        self.population_size = population_size
        self.grid = as_grid(grid)
        self.num_objectives = num_objectives

    @cached_property
    def compiled(self) -> Compiled:
        """init, ask and tell under `jax.jit`, compiled once for this object."""
        rows = self.population_size
        return Compiled(*(compiled(f, rows) for f in (self.init, self.ask, self.tell)))

    @property
    @abstractmethod
    def default_params(self) -> Params:
        """The rates that are used unless the caller changes them."""

    @abstractmethod
    def init(self, key: Key[Array, ""], params: Params) -> State:
        """Returns the state before the first generation; `key` is consumed."""

    @abstractmethod
    def ask(
        self, key: Key[Array, ""], state: State, params: Params
    ) -> tuple[Int[Array, "p d"], State]:
        """Returns the genotypes to evaluate: the initial population, then offspring.

        Args:
            key: random key, consumed.
            state: what `init` or the last `tell` returned.
            params: the rates.

        Returns:
            Genotypes int32 [p, d], and the state to pass to `tell`.
        """

    @abstractmethod
    def tell(
        self,
        key: Key[Array, ""],
        genotypes: Int[Array, "p d"],
        evaluation: Evaluation,
        state: State,
        params: Params,
    ) -> tuple[State, dict[str, Array]]:
        """Takes in what the genotypes achieved.

        Args:
            key: random key, consumed.
            genotypes: int32 [p, d], what was evaluated.
            evaluation: objectives [p, m] and violation [p] of these genotypes. Rows
                that are not finite are failed evaluations: they rank last.
            state: what `ask` returned.
            params: the rates.

        Returns:
            The new state, and scalar metrics of the generation by name.

        Raises:
            ValueError: the shapes are not those of this algorithm (at trace time).
        """

    @abstractmethod
    def front(
        self, state: State
    ) -> tuple[Int[Array, "p d"], Float[Array, "p m"], Bool[Array, " p"]]:
        """Returns genotypes, objectives, and which of them are the front so far.

        The mask is True for the first copy of each feasible genotype that no member of
        the state dominates.
        """

    def _check(self, genotypes: Array, evaluation: Evaluation) -> None:
        size, width = self.population_size, self.grid.cardinality.size
        for name, array, shape in (
            ("genotypes", genotypes, (size, width)),
            ("objectives", evaluation.objectives, (size, self.num_objectives)),
            ("violation", evaluation.violation, (size,)),
        ):
            if array.shape != shape:
                raise ValueError(
                    f"{type(self).__name__}.tell: {name} has shape {array.shape}; this "
                    f"algorithm needs {shape} (population_size={size}, {width} genes, "
                    f"num_objectives={self.num_objectives}): evaluate what `ask` "
                    "returned, or construct the algorithm with these sizes."
                )
