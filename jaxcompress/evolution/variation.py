"""Crossover, then mutation: how the genetic algorithms make offspring.

Dimensions: n offspring, d genes.
"""

from collections.abc import Sequence
from typing import no_type_check

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int, Key

from jaxcompress.evolution.crossover import crossover
from jaxcompress.evolution.grid import Grid
from jaxcompress.evolution.masks import exchange_crossover, exchange_mutation
from jaxcompress.evolution.mutation import mutate


@no_type_check  # see `Evaluation`
class GeneticParams(struct.PyTreeNode):
    """The rates of a genetic algorithm, float32 [] each.

    Attributes:
        crossover_rate: probability that a pair of parents is crossed, in [0, 1].
        crossover_eta: distribution index of the crossover of wide ordered genes, > 0;
            larger keeps children closer to their parents.
        mutation_rate: probability that a gene mutates, in [0, 1].
        mutation_eta: distribution index of mutation steps, > 0; larger is shorter.
        reset_share: of the mutations of ordered genes, the share that jumps anywhere
            instead of making a step, in [0, 1].
        edge_share: of the steps that would lead out of a wide ordered gene, the share
            that is left out instead of turned inward, in [0, 1].
    """

    crossover_rate: Float[Array, ""]
    crossover_eta: Float[Array, ""]
    mutation_rate: Float[Array, ""]
    mutation_eta: Float[Array, ""]
    reset_share: Float[Array, ""]
    edge_share: Float[Array, ""]


def genetic_params(
    grid: Grid, crossover_rate: float, crossover_eta: float, edge_share: float = 0.0
) -> GeneticParams:
    """Returns rates by which one gene in a genotype mutates on average.

    Args:
        grid: of d genes; those with a single value do not count.
        crossover_rate: see `GeneticParams`.
        crossover_eta: see `GeneticParams`.
        edge_share: see `GeneticParams`.
    """
    genes = max(1, int(np.sum(grid.cardinality > 1)))
    return GeneticParams(
        crossover_rate=jnp.float32(crossover_rate),
        crossover_eta=jnp.float32(crossover_eta),
        mutation_rate=jnp.float32(1.0 / genes),
        mutation_eta=jnp.float32(20.0),
        reset_share=jnp.float32(0.05),
        edge_share=jnp.float32(edge_share),
    )


def vary(
    keys: Sequence[Key[Array, ""]],
    parents: Int[Array, "c d"],
    grid: Grid,
    params: GeneticParams,
    size: int,
) -> Int[Array, "n d"]:
    """Crosses the first half of the parents with the second, and mutates the children.

    Args:
        keys: two random keys, consumed: of crossover and of mutation.
        parents: int32 [c, d] for an even c: row i is crossed with row i + c / 2.
        grid: the grid of d genes.
        params: the rates.
        size: n, how many children are wanted, at most c.

    Returns:
        int32 [n, d] inside the grid, first the children that resemble the first half.
    """
    pairs = parents.shape[0] // 2
    first, second = parents[:pairs], parents[pairs:]
    crossed = crossover(
        keys[0], first, second, grid, params.crossover_rate, params.crossover_eta
    )
    exchanged = (grid.exchange >= 0)[None, :]
    if exchanged.any():
        key = jax.random.fold_in(keys[0], 1)
        swapped = exchange_crossover(key, first, second, grid.exchange)
        crossed = tuple(
            jnp.where(exchanged, a, b) for a, b in zip(swapped, crossed, strict=True)
        )
    children = jnp.concatenate(crossed)[:size]
    mutated = mutate(
        keys[1],
        children,
        grid,
        params.mutation_rate,
        params.mutation_eta,
        params.reset_share,
        params.edge_share,
    )
    if exchanged.any():
        rate = 1.0 / len(np.unique(grid.exchange[grid.exchange >= 0]))
        key = jax.random.fold_in(keys[1], 1)
        moved = exchange_mutation(key, children, grid.exchange, rate)
        mutated = jnp.where(exchanged, moved, mutated)
    return mutated
