"""The grid: the finite integer space in which an algorithm searches.

Dimensions: n genotypes, d genes.
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

# Step operators work in float32, which holds every integer up to here exactly.
MAX_CARDINALITY = 2**24

# From here on an ordered gene is nearer to a real number than to a name: values between
# those of the parents are worth trying.
WIDE = 32


@runtime_checkable
class GridLike(Protocol):
    """Anything with `cardinality` and `ordered`: a `Grid`, a search space."""

    @property
    def cardinality(self) -> Any:
        """Int [d]: how many values each gene has; gene i is in [0, cardinality[i])."""
        ...

    @property
    def ordered(self) -> Any:
        """Bool [d]: whether neighbouring values of a gene are alike."""
        ...


@dataclass(frozen=True, eq=False)
class Grid:
    """A grid of integers, one axis for each gene.

    The arguments are checked and stored as NumPy arrays, so a grid is static: it is
    known while a program is traced.

    Attributes:
        cardinality: int32 [d], the number of values of each gene, in [1, 2**24].
        ordered: bool [d], True where neighbouring values are alike (bits, counts) and
            a small step makes sense, False for names; one bool stands for all genes.
        exchange: int32 [d], -1, or the id of a group of binary genes whose number of
            ones crossover and mutation keep, whatever it is in the parents: random ones
            have any number, so give a `repair`, or as many `initial` ones as members. None:
            no gene is in one.

    Raises:
        ValueError: the arrays have wrong shapes, types or values.

    Example:
        >>> Grid([5, 3], [True, False]).cardinality
        array([5, 3], dtype=int32)
    """

    cardinality: Any
    ordered: Any = True
    exchange: Any = None

    def __post_init__(self) -> None:
        cardinality, ordered = np.asarray(self.cardinality), np.asarray(self.ordered)
        if cardinality.ndim != 1 or cardinality.size == 0:
            raise ValueError(
                f"Grid: cardinality has shape {cardinality.shape}; it must be [d] with "
                "at least one gene: pass one integer for each gene."
            )
        if not np.issubdtype(cardinality.dtype, np.integer):
            raise ValueError(
                f"Grid: cardinality has dtype {cardinality.dtype}; it counts values, "
                "so pass integers."
            )
        wrong = np.flatnonzero((cardinality < 1) | (cardinality > MAX_CARDINALITY))
        if wrong.size:
            gene = int(wrong[0])
            raise ValueError(
                f"Grid: gene {gene} has cardinality {cardinality[gene]}; allowed is 1 "
                f"to {MAX_CARDINALITY}: give a fixed gene one value, and space the "
                "values of a wider gene more coarsely."
            )
        if ordered.dtype != np.bool_ or ordered.shape not in ((), cardinality.shape):
            raise ValueError(
                f"Grid: ordered has dtype {ordered.dtype} and shape {ordered.shape}; "
                f"it must be one bool, or bools of shape {cardinality.shape}: one for "
                "each gene."
            )
        exchange = np.full(cardinality.shape, -1, np.int32)
        if self.exchange is not None:
            exchange = np.asarray(self.exchange)
            if (
                exchange.shape != cardinality.shape
                or not np.issubdtype(exchange.dtype, np.integer)
                or (exchange >= 2**31).any()
            ):
                raise ValueError(
                    f"Grid: exchange has dtype {exchange.dtype} and shape "
                    f"{exchange.shape}; it must be int32 of shape {cardinality.shape}: the "
                    "id of each gene's group, -1 for none."
                )
            exchange = exchange.astype(np.int32)
        wrong = np.flatnonzero((exchange >= 0) & (cardinality != 2))
        if wrong.size:
            gene = int(wrong[0])
            raise ValueError(
                f"Grid: gene {gene} has cardinality {cardinality[gene]} and is in exchange "
                f"group {exchange[gene]}; only genes of two values can be: give it -1."
            )
        # Copies: a caller that changes its array later must not change the grid.
        cardinality = cardinality.astype(np.int32)
        ordered = np.broadcast_to(ordered, cardinality.shape).copy()
        for array in (cardinality, ordered, exchange):
            array.flags.writeable = False
        object.__setattr__(self, "cardinality", cardinality)
        object.__setattr__(self, "ordered", ordered)
        object.__setattr__(self, "exchange", exchange)


def as_grid(grid: object) -> Grid:
    """Returns `grid` as a checked, static `Grid`.

    Raises:
        ValueError: it is neither a grid nor anything like one.
    """
    if isinstance(grid, Grid):
        return grid
    if not isinstance(grid, GridLike):
        raise ValueError(
            f"grid is a {type(grid).__name__}; it must have `cardinality` and `ordered`: "
            "pass a search space, or Grid(...) of the cardinalities."
        )
    exchange = getattr(grid, "exchange", None)
    return Grid(np.asarray(grid.cardinality), np.asarray(grid.ordered), exchange)


def sample(key: Key[Array, ""], grid: GridLike, n: int) -> Int[Array, "n d"]:
    """Draws genotypes uniformly from the grid (copies are possible).

    Args:
        key: random key, consumed.
        grid: the grid of d genes.
        n: how many genotypes.

    Returns:
        int32 [n, d], gene i in [0, cardinality[i]).

    Example:
        >>> sample(jax.random.key(0), Grid([2, 9]), 4).shape
        (4, 2)
    """
    bound = jnp.asarray(grid.cardinality, jnp.int32)
    return jax.random.randint(key, (n, bound.size), 0, bound[None, :], jnp.int32)
