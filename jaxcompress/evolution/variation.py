"""Crossover and mutation of whole genotypes: each gene by an operator of its kind.

Dimensions: n pairs or genotypes, d genes.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from jaxcompress.evolution.crossover import (
    Pair,
    one_point_crossover,
    sbx_crossover,
    two_point_crossover,
    uniform_crossover,
)
from jaxcompress.evolution.differential import differential_variation
from jaxcompress.evolution.grid import WIDE, Grid
from jaxcompress.evolution.masks import (
    exchange_crossover,
    exchange_drawn,
    exchange_mutation,
    group_count,
    group_is_mixed,
)
from jaxcompress.evolution.mutation import (
    Rate,
    gaussian_value,
    near_value,
    next_value,
    other_value,
)

CROSSOVERS = ("mixed", "uniform", "one_point", "two_point", "differential")
MUTATIONS = ("polynomial", "gaussian", "step")


def crossover(
    key: Key[Array, ""],
    first: Int[Array, "n d"],
    second: Int[Array, "n d"],
    grid: Grid,
    rate: Rate = 0.9,
    eta: Rate = 15.0,
    how: str = "mixed",
    swap: Rate = 0.5,
) -> Pair:
    """Makes two children of two parents, one in the place of each.

    Args:
        key: random key, consumed.
        first: int32 [n, d] in the grid.
        second: int32 [n, d] in the grid.
        grid: the grid of d genes; those of an `exchange` group are always shared out
            among the children so that each keeps its parent's number of ones.
        rate: probability that a pair is crossed at all, in [0, 1].
        eta: distribution index, > 0, of simulated binary crossover.
        how: "mixed" is simulated binary crossover for ordered genes of `WIDE` values or
            more and uniform crossover for the others; "uniform", "one_point" and
            "two_point" treat all alike; "differential" replaces most genes of each parent
            by `x1 + F (x2 - x3)` of any three (`differential_variation`, 2 pairs or more).
        swap: probability that uniform crossover exchanges a gene, in [0, 1].

    Returns:
        Two children for each pair, int32 [n, d] each, inside the grid.
    """
    key_pair, key_plain, key_wide, key_group = jax.random.split(key, 4)
    if how == "one_point":
        children = one_point_crossover(key_plain, first, second)
    elif how == "two_point":
        children = two_point_crossover(key_plain, first, second)
    elif how == "differential":
        parents = jnp.concatenate([first, second])
        moved = differential_variation(key_plain, parents, parents, grid)
        children = moved[: first.shape[0]], moved[first.shape[0] :]
    else:
        children = uniform_crossover(key_plain, first, second, swap)
    wide = grid.ordered & (grid.cardinality >= WIDE)
    if how == "mixed" and wide.any():
        blended = sbx_crossover(key_wide, first, second, grid, eta)
        children = _where(wide, blended, children)
    grouped = grid.exchange >= 0
    if grouped.any():
        shared = exchange_crossover(key_group, first, second, grid.exchange)
        children = _where(grouped, shared, children)
    crossed = jax.random.bernoulli(key_pair, rate, (first.shape[0], 1))
    return (
        jnp.where(crossed, children[0], first),
        jnp.where(crossed, children[1], second),
    )


def mutate(
    key: Key[Array, ""],
    genotypes: Int[Array, "n d"],
    grid: Grid,
    rate: Rate,
    eta: Rate = 20.0,
    reset_share: Rate = 0.05,
    edge_share: Rate = 0.0,
    how: str = "polynomial",
    mutated_share: Rate = 1.0,
) -> Int[Array, "n d"]:
    """Steps for ordered genes, resets for the others, and a few for ordered ones as well.

    Args:
        key: random key, consumed.
        genotypes: int32 [n, d] in the grid.
        grid: the grid of d genes; its `ordered` decides between step and reset. In an
            `exchange` group a 1 and a 0 change places.
        rate: probability that a gene, or an `exchange` group, is drawn, in [0, 1].
        eta: distribution index of the steps, > 0.
        reset_share: of the drawn ordered genes with fewer than `WIDE` values, the share
            that is reset, in [0, 1]: jumps that their steps would hardly ever make, while
            among those of wide genes there are long ones.
        edge_share: of the steps that would lead out of a wide gene (`WIDE`), the share
            that is left out, in [0, 1]; the others turn inward. At 1 this is polynomial
            mutation as published, which leaves genes at their bounds more often: good
            where many of the best values are bounds.
        how: the steps of ordered genes: "polynomial" ones, of which the above speaks,
            "gaussian" (`gaussian_value`) or "step", to the next value up or down; of the
            last two no share is reset.
        mutated_share: probability that a genotype is mutated at all, in [0, 1].

    Returns:
        int32 [n, d] inside the grid; a drawn gene differs from before, unless its step
        was left out, or is Gaussian.
    """
    key_draw, key_reset, key_step, key_group = jax.random.split(key, 4)
    draw, kind = jax.random.uniform(key_draw, (2, *genotypes.shape))
    nominal = ~jnp.asarray(grid.ordered)[None, :]
    narrow = jnp.asarray(grid.cardinality < WIDE)[None, :]
    other = other_value(key_reset, genotypes, grid)
    if how == "polynomial":
        near = near_value(key_step, genotypes, grid, eta, edge_share)
        jumps = nominal | (narrow & (kind < reset_share))
    else:
        step = gaussian_value if how == "gaussian" else next_value
        near, jumps = step(key_step, genotypes, grid), nominal
    moved = jnp.where(jumps, other, near)
    mutated = jnp.where(draw < rate, moved, genotypes)
    grouped = grid.exchange >= 0
    if grouped.any():
        exchanged = exchange_mutation(key_group, genotypes, grid.exchange, rate)
        mutated = jnp.where(jnp.asarray(grouped)[None, :], exchanged, mutated)
    key_row = jax.random.fold_in(key_draw, 1)
    chosen = jax.random.bernoulli(key_row, mutated_share, (genotypes.shape[0], 1))
    return jnp.where(chosen, mutated, genotypes)


def change_one_gene(
    key: Key[Array, ""], genotypes: Int[Array, "n d"], grid: Grid
) -> Int[Array, "n d"]:
    """Changes one gene of every genotype, or one `exchange` group, whatever the rates are.

    Args:
        key: random key, consumed.
        genotypes: int32 [n, d] in the grid.
        grid: the grid of d genes.

    Returns:
        int32 [n, d] inside the grid; each row differs from before in exactly one gene, or
        in two of one group; in none if no gene has a second value and no group both a 1
        and a 0.

    Example:
        >>> change_one_gene(jax.random.key(0), jnp.array([[0, 0]]), Grid([2, 1]))
        Array([[1, 0]], dtype=int32)
    """
    key_unit, key_value, key_group = jax.random.split(key, 3)
    n, d = genotypes.shape
    groups = group_count(grid.exchange)
    free = jnp.asarray((grid.cardinality > 1) & (grid.exchange < 0))
    free = jnp.broadcast_to(free[None, :], (n, d))
    if groups:
        movable = group_is_mixed(genotypes, grid.exchange)
        free = jnp.concatenate([free, movable], axis=1)
    score = jnp.where(free, jax.random.uniform(key_unit, free.shape), -1.0)
    unit = jnp.argmax(score, axis=1)
    chosen = free & (jnp.arange(d + groups)[None, :] == unit[:, None])
    other = other_value(key_value, genotypes, grid)
    changed = jnp.where(chosen[:, :d], other, genotypes)
    if groups:
        changed = exchange_drawn(key_group, changed, grid.exchange, chosen[:, d:])
    return changed


def _where(mask: np.ndarray, chosen: Pair, others: Pair) -> Pair:
    line = jnp.asarray(mask)[None, :]
    first, second = zip(chosen, others, strict=True)
    return jnp.where(line, *first), jnp.where(line, *second)
