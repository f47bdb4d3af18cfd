"""evosax's algorithms behind one form: real vectors in, one fitness each.

Dimensions: q members, d genes.
"""

import inspect
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

Function = TypeVar("Function", bound=Callable[..., Any])


def known() -> dict[str, Any]:
    """Returns evosax's algorithms by name."""
    # Its import computes something, and no process can join others after that.
    from evosax.algorithms import algorithms

    return algorithms


def _strong(leaf: Any) -> Any:
    # A weakly typed state would change its type from one generation to the next.
    return (
        jax.lax.convert_element_type(leaf, leaf.dtype) if hasattr(leaf, "dtype") else leaf
    )


def _lenient(function: Function) -> Function:
    """Lets evosax mix dtypes and ranks, whatever the caller's settings are."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with ExitStack() as stack:
            stack.enter_context(jax.numpy_dtype_promotion("standard"))
            stack.enter_context(jax.numpy_rank_promotion("allow"))
            return jax.tree.map(_strong, function(*args, **kwargs))

    return call  # type: ignore[return-value]


def needs_more(algorithm: type) -> list[str]:
    """Returns the constructor arguments of an evosax algorithm that have no default."""
    parameters = inspect.signature(algorithm).parameters.values()
    plain = ("population_size", "solution")
    return [
        p.name
        for p in parameters
        if p.default is inspect.Parameter.empty and p.name not in plain
    ]


def supported() -> list[str]:
    """Returns the names of the evosax algorithms that `EvosaxAdapter` can make."""
    return sorted(name for name, algorithm in known().items() if not needs_more(algorithm))


class EvosaxAdapter:
    """One evosax algorithm on vectors of d real numbers.

    evosax begins its distribution-based algorithms with a mean, and its population-based
    ones with a population and its fitness. Here both begin with an evaluated population,
    of which the former take the best member.

    Args:
        name: of the algorithm, as in `evosax.algorithms`.
        population_size: q.
        width: d.

    Raises:
        ValueError: there is no such algorithm, it needs more arguments than these, or
            the population size does not suit it.

    Example:
        >>> EvosaxAdapter("CMA_ES", population_size=4, width=3).population_size
        4
    """

    @_lenient
    def __init__(self, name: str, population_size: int, width: int) -> None:
        algorithms = known()
        if name not in algorithms:
            raise ValueError(f"evosax has no algorithm {name!r}; allowed: {supported()}")
        more = needs_more(algorithms[name])
        if more:
            raise ValueError(
                f"evosax's {name} needs {more} when it is made, which this adapter cannot "
                f"choose; allowed: {supported()}"
            )
        try:
            # evosax computes sizes with JAX and needs their values, also while tracing.
            with jax.ensure_compile_time_eval():
                solution = jnp.zeros(width, jnp.float32)
                self._algorithm = algorithms[name](population_size, solution)
                params = self._algorithm.default_params
                # Arrays, so that another value is no new compilation.
                self._params = jax.tree.map(jnp.asarray, params)
        except (AssertionError, ValueError) as error:
            raise ValueError(
                f"evosax's {name} refuses a population of {population_size} with {width} "
                f"genes: {error}"
            ) from error
        self.population_size = population_size

    @property
    @_lenient
    def default_params(self) -> Any:
        """evosax's own, as arrays."""
        return self._params

    @_lenient
    def init(
        self,
        key: Key[Array, ""],
        population: Float[Array, "q d"],
        fitness: Float[Array, " q"],
        params: Any,
    ) -> Any:
        """Returns the state after a first population was evaluated."""
        from evosax.algorithms.population_based.base import PopulationBasedAlgorithm

        if isinstance(self._algorithm, PopulationBasedAlgorithm):
            return self._algorithm.init(key, population, fitness, params)
        return self._algorithm.init(key, population[jnp.argmin(fitness)], params)

    @_lenient
    def ask(
        self, key: Key[Array, ""], state: Any, params: Any
    ) -> tuple[Float[Array, "q d"], Any]:
        """Returns vectors to evaluate, and the state."""
        return self._algorithm.ask(key, state, params)

    @_lenient
    def tell(
        self,
        key: Key[Array, ""],
        population: Float[Array, "q d"],
        fitness: Float[Array, " q"],
        state: Any,
        params: Any,
    ) -> Any:
        """Takes in the fitness, to minimise and finite, of what was asked."""
        state, _ = self._algorithm.tell(key, population, fitness, state, params)
        return state
