"""Crossover: two parents in, two children out, gene by gene inside the grid.

Dimensions: n pairs, d genes. Row i of the children comes from row i of the parents.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from jaxcompress.evolution.grid import GridLike

Rate = float | Float[Array, ""]
Pair = tuple[Int[Array, "n d"], Int[Array, "n d"]]


def _swap(
    mask: Bool[Array, "n d"], first: Int[Array, "n d"], second: Int[Array, "n d"]
) -> Pair:
    return jnp.where(mask, second, first), jnp.where(mask, first, second)


def uniform_crossover(
    key: Key[Array, ""],
    first: Int[Array, "n d"],
    second: Int[Array, "n d"],
    rate: Rate = 0.5,
) -> Pair:
    """Exchanges each gene with probability `rate` (Syswerda 1989).

    Args:
        key: random key, consumed.
        first: int32 [n, d].
        second: int32 [n, d].
        rate: probability in [0, 1]; the children of 0.5 are the most mixed.

    Returns:
        Two children for each pair, int32 [n, d] each.

    Example:
        >>> parents = jnp.zeros((1, 3), int), jnp.ones((1, 3), int)
        >>> a, b = uniform_crossover(jax.random.key(0), *parents)
        >>> a + b
        Array([[1, 1, 1]], dtype=int32)
    """
    return _swap(jax.random.bernoulli(key, rate, first.shape), first, second)


def one_point_crossover(
    key: Key[Array, ""], first: Int[Array, "n d"], second: Int[Array, "n d"]
) -> Pair:
    """Exchanges the genes after a random cut (Holland 1975).

    Args:
        key: random key, consumed.
        first: int32 [n, d].
        second: int32 [n, d].

    Returns:
        Two children for each pair, int32 [n, d] each. The cut is between two genes, all
        equally likely, so something is exchanged and something kept if d > 1.
    """
    n, d = first.shape
    cut = jax.random.randint(key, (n, 1), 1, max(d, 2))
    return _swap(jnp.arange(d)[None, :] >= cut, first, second)


def two_point_crossover(
    key: Key[Array, ""], first: Int[Array, "n d"], second: Int[Array, "n d"]
) -> Pair:
    """Exchanges the genes between two random cuts: neighbours stay together.

    Args:
        key: random key, consumed.
        first: int32 [n, d].
        second: int32 [n, d].

    Returns:
        Two children for each pair, int32 [n, d] each.
    """
    n, d = first.shape
    key_a, key_b = jax.random.split(key)
    a = jax.random.randint(key_a, (n, 1), 0, d + 1)
    b = jax.random.randint(key_b, (n, 1), 0, d)
    b = jnp.where(b >= a, b + 1, b)  # two different cuts: something is exchanged
    gene = jnp.arange(d)[None, :]
    between = (gene >= jnp.minimum(a, b)) & (gene < jnp.maximum(a, b))
    return _swap(between, first, second)


def sbx_crossover(
    key: Key[Array, ""],
    first: Int[Array, "n d"],
    second: Int[Array, "n d"],
    grid: GridLike,
    eta: Rate = 15.0,
) -> Pair:
    """Simulated binary crossover on integers, for ordered genes with many values.

    The bounded form of Deb and Agrawal (1995; Deb and Kumar 1995) as in the code of
    NSGA-II: each gene takes part with probability 1/2, and the two values then change
    places with probability 1/2. Real values become integers by stochastic rounding,
    which keeps their mean; rounding to the nearest would hold nearby parents fast.

    Args:
        key: random key, consumed.
        first: int32 [n, d] in the grid.
        second: int32 [n, d] in the grid.
        grid: the grid of d genes.
        eta: distribution index, > 0; larger keeps children closer to their parents.

    Returns:
        Two children for each pair, int32 [n, d] each, inside the grid.
    """
    u, chance, exchange, *shift = jax.random.uniform(key, (5, *first.shape))
    top = jnp.asarray(grid.cardinality, jnp.float32)[None, :] - 1.0
    low = jnp.minimum(first, second).astype(jnp.float32)
    high = jnp.maximum(first, second).astype(jnp.float32)
    gap = jnp.maximum(high - low, 1.0)  # equal genes are left alone below

    def spread(room):
        # The quantile u of the spread, when it must not exceed the room to the bound.
        alpha = 2.0 - (1.0 + 2.0 * room / gap) ** -(eta + 1.0)
        scaled = u * alpha  # in [0, 2)
        power = jnp.where(scaled <= 1.0, scaled, 1.0 / (2.0 - scaled))
        return power ** (1.0 / (eta + 1.0))

    middle = 0.5 * (low + high)
    lower = middle - 0.5 * gap * spread(low)
    upper = middle + 0.5 * gap * spread(top - high)

    def to_grid(value, shift):
        return jnp.clip(jnp.floor(value + shift), 0.0, top).astype(first.dtype)

    near, far = to_grid(lower, shift[0]), to_grid(upper, shift[1])
    ascending = first <= second
    child_a = jnp.where(ascending, near, far)
    child_b = jnp.where(ascending, far, near)
    active = (chance < 0.5) & (first != second)
    child_a = jnp.where(active, child_a, first)
    child_b = jnp.where(active, child_b, second)
    return _swap(active & (exchange < 0.5), child_a, child_b)
