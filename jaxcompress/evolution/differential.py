"""Differential evolution on integers (Storn and Price 1997).

Dimensions: n genotypes, d genes.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from jaxcompress.evolution.grid import GridLike
from jaxcompress.evolution.mutation import Rate


def differential_variation(
    key: Key[Array, ""],
    targets: Int[Array, "n d"],
    population: Int[Array, "c d"],
    grid: GridLike,
    scale: Rate = 0.5,
    rate: Rate = 0.9,
) -> Int[Array, "n d"]:
    """Moves genes to `x1 + F (x2 - x3)`, for three random members (DE/rand/1/bin).

    The three are different members of the population. An ordered gene that is drawn gets
    the sum, by stochastic rounding, which keeps its mean, and reflected at the bounds.
    Names have no differences: a drawn nominal gene gets that of the first member, a
    uniform crossover. One gene at least is drawn.

    Args:
        key: random key, consumed.
        targets: int32 [n, d] in the grid.
        population: int32 [c, d] in the grid, c at least 3.
        grid: the grid of d genes.
        scale: F, usually in (0, 1].
        rate: CR, probability that a gene is drawn, in [0, 1].

    Returns:
        int32 [n, d] inside the grid.

    Raises:
        ValueError: the population has fewer than three members.
    """
    n, d = targets.shape
    count = population.shape[0]
    if count < 3:
        raise ValueError(
            f"differential_variation: the population has {count} members; pass 3 or more."
        )
    key_members, key_draw, key_gene, key_round = jax.random.split(key, 4)
    first, second, third = (population[i] for i in _three(key_members, n, count))
    top = jnp.asarray(grid.cardinality, jnp.float32)[None, :] - 1.0
    step = scale * (second - third).astype(jnp.float32)
    rounding = jax.random.uniform(key_round, step.shape)
    moved = jnp.floor(first.astype(jnp.float32) + step + rounding)
    moved = jnp.where(moved < 0, -moved, moved)
    moved = jnp.clip(jnp.where(moved > top, 2.0 * top - moved, moved), 0.0, top)
    ordered = jnp.asarray(grid.ordered)[None, :]
    mutant = jnp.where(ordered, moved.astype(targets.dtype), first)
    drawn = jax.random.bernoulli(key_draw, rate, (n, d))
    always = jax.random.randint(key_gene, (n, 1), 0, d)
    drawn |= jnp.arange(d)[None, :] == always
    return jnp.where(drawn, mutant, targets)


def _three(key: Key[Array, ""], n: int, count: int) -> Int[Array, "3 n"]:
    """Draws three different numbers below `count`, n times."""
    keys = jax.random.split(key, 3)
    a, b, c = (jax.random.randint(one, (n,), 0, count - i) for i, one in enumerate(keys))
    # Each is drawn among those left, and then moved past those taken.
    b = jnp.where(b >= a, b + 1, b)
    low, high = jnp.minimum(a, b), jnp.maximum(a, b)
    c = jnp.where(c >= low, c + 1, c)
    return jnp.stack([a, b, jnp.where(c >= high, c + 1, c)])
