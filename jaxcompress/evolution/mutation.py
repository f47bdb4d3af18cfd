"""Mutation: a gene that is drawn takes another value of its grid.

Dimensions: n genotypes, d genes. A gene with a single value never changes.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxcompress.evolution.grid import WIDE, GridLike

Rate = float | Float[Array, ""]

DEVIATION = 0.2  # of Gaussian steps, as a share of the range of a gene


def reset_mutation(
    key: Key[Array, ""], genotypes: Int[Array, "n d"], grid: GridLike, rate: Rate
) -> Int[Array, "n d"]:
    """Gives each drawn gene one of its other values, all equally likely.

    Args:
        key: random key, consumed.
        genotypes: int32 [n, d] in the grid.
        grid: the grid of d genes.
        rate: probability that a gene is drawn, in [0, 1].

    Returns:
        int32 [n, d] inside the grid; a drawn gene differs from before.

    Example:
        >>> reset_mutation(jax.random.key(0), jnp.array([[0, 1]]), Grid([2, 2]), 1.0)
        Array([[1, 0]], dtype=int32)
    """
    key_draw, key_value = jax.random.split(key)
    drawn = jax.random.bernoulli(key_draw, rate, genotypes.shape)
    return jnp.where(drawn, other_value(key_value, genotypes, grid), genotypes)


def step_mutation(
    key: Key[Array, ""],
    genotypes: Int[Array, "n d"],
    grid: GridLike,
    rate: Rate,
    eta: Rate = 20.0,
) -> Int[Array, "n d"]:
    """Moves each drawn gene by a step: at least 1, and in proportion to the grid.

    Polynomial mutation (Deb and Goyal 1996) on integers. The direction is up or down
    with equal chance, at an edge always inward; the length is drawn within the room
    there is, rounded stochastically, and never 0. So a gene with few values moves by 1
    and one with a thousand by about a thousand / (eta + 1).

    Args:
        key: random key, consumed.
        genotypes: int32 [n, d] in the grid.
        grid: the grid of d genes.
        rate: probability that a gene is drawn, in [0, 1].
        eta: distribution index, > 0; larger makes shorter steps.

    Returns:
        int32 [n, d] inside the grid; a drawn gene differs from before.

    Example:
        >>> step_mutation(jax.random.key(0), jnp.array([[0, 1]]), Grid([2, 2]), 1.0)
        Array([[1, 0]], dtype=int32)
    """
    key_draw, key_value = jax.random.split(key)
    drawn = jax.random.bernoulli(key_draw, rate, genotypes.shape)
    return jnp.where(drawn, near_value(key_value, genotypes, grid, eta), genotypes)


def other_value(
    key: Key[Array, ""], genotypes: Int[Array, "n d"], grid: GridLike
) -> Int[Array, "n d"]:
    """Returns for every gene one of its other values."""
    others = jnp.asarray(grid.cardinality, jnp.int32)[None, :] - 1
    drawn = jax.random.randint(key, genotypes.shape, 0, jnp.maximum(others, 1))
    drawn = drawn.astype(genotypes.dtype)
    # One value fewer than there are, then over the present one.
    drawn = jnp.where(drawn >= genotypes, drawn + 1, drawn)
    return jnp.where(others > 0, drawn, genotypes)


def near_value(
    key: Key[Array, ""],
    genotypes: Int[Array, "n d"],
    grid: GridLike,
    eta: Rate,
    edge_share: Rate = 0.0,
) -> Int[Array, "n d"]:
    """Returns for every gene a value a step away; see `step_mutation` and `mutate`."""
    way, u, rounding = jax.random.uniform(key, (3, *genotypes.shape))
    top = jnp.asarray(grid.cardinality, jnp.int32)[None, :] - 1
    up = ((way < 0.5) | (genotypes <= 0)) & (genotypes < top)
    room = jnp.where(up, top - genotypes, genotypes).astype(jnp.float32)
    span = jnp.maximum(top, 1).astype(jnp.float32)
    # The inverse of the distribution of the length, cut off at the room there is.
    power = eta + 1.0
    rest = u + (1.0 - u) * (1.0 - room / span) ** power
    length = jnp.floor((1.0 - rest ** (1.0 / power)) * span + rounding)
    length = jnp.clip(length, 1.0, jnp.maximum(room, 1.0)).astype(genotypes.dtype)
    moved = genotypes + jnp.where(up, length, -length)
    # Where the way was turned, it is uniform in its half: a second chance from it.
    turned = (up != (way < 0.5)) & (top + 1 >= WIDE)
    stays = turned & (2.0 * way % 1.0 < edge_share)
    return jnp.where((top > 0) & ~stays, moved, genotypes)


def gaussian_value(
    key: Key[Array, ""], genotypes: Int[Array, "n d"], grid: GridLike
) -> Int[Array, "n d"]:
    """Returns for every gene a value a Gaussian step away, cut off at its bounds.

    The deviation is a fifth of the gene's range (Javaheripi et al. 2020, GeneCAI). Short
    steps may round to none, and those beyond a bound end on it: a gene may stay.
    """
    top = jnp.asarray(grid.cardinality, jnp.float32)[None, :] - 1.0
    step = DEVIATION * top * jax.random.normal(key, genotypes.shape)
    moved = genotypes.astype(jnp.float32) + step
    return jnp.clip(jnp.round(moved), 0.0, top).astype(genotypes.dtype)


def next_value(
    key: Key[Array, ""], genotypes: Int[Array, "n d"], grid: GridLike
) -> Int[Array, "n d"]:
    """Returns for every gene the value above or below it; inward at its bounds."""
    top = jnp.asarray(grid.cardinality, jnp.int32)[None, :] - 1
    up = jax.random.bernoulli(key, 0.5, genotypes.shape)
    up = (up | (genotypes <= 0)) & (genotypes < top)
    return jnp.where(top > 0, genotypes + jnp.where(up, 1, -1), genotypes)
