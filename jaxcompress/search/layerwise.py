"""Which channels stay, layer by layer, by a genetic algorithm that runs no network.

Hu et al. 2018, A Novel Channel Pruning Method for Deep Neural Network Compression.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from jaxcompress.evolution import Evaluation, GeneticAlgorithm, Grid, compiled, evolve
from jaxcompress.space.cardinality import with_ones
from jaxcompress.space.importance import GatedLoss, Quadratic, rank_correlation

SAMPLE = 48  # random masks of each group by which the quadratic form is judged


@dataclass(frozen=True, eq=False)
class Layerwise:
    """What was found.

    Attributes:
        masks: by group the last population, best first, int32 [P, n]; each row has as
            many ones as were to stay.
        correlation: by group Spearman's rank correlation of the quadratic form and the
            true loss, over random masks with that many ones; NaN where there is but one.
    """

    masks: dict[str, Int[np.ndarray, "p n"]]
    correlation: dict[str, float]


def layerwise(
    key: Key[Array, ""],
    loss: GatedLoss,
    keep: Mapping[str, int],
    *,
    population: int = 48,
    generations: int = 40,
) -> Layerwise:
    """Chooses channels of one group after the other, the earlier groups cut already.

    The fitness is the change of the loss to second order: once for each group it costs
    as many products with the Hessian as the group has channels, then nothing.

    Args:
        key: consumed.
        loss: on training examples.
        keep: by group how many channels stay, in the order in which they are cut.
        population: binary strings of each group, at least 2.
        generations: of each group, at least 1.
    """
    cut: dict[str, np.ndarray] = {}
    masks, correlation = {}, {}
    for number, (group, count) in enumerate(keep.items()):
        gates = loss.gates(cut)
        form = loss.expanded(group, gates)
        own = jax.random.fold_in(key, number)
        masks[group] = best_masks(own, form, count, population, generations)
        size = masks[group].shape[1]
        shares = jax.random.uniform(jax.random.fold_in(own, 1), (SAMPLE, size))
        drawn = np.asarray(shares.argsort(axis=1).argsort(axis=1) < count, np.int32)
        true = loss.changes(group, gates, drawn)
        correlation[group] = rank_correlation(np.asarray(form(drawn)), true)
        cut[group] = masks[group][0]
    return Layerwise(masks, correlation)


def best_masks(
    key: Key[Array, ""], form: Quadratic, count: int, population: int, generations: int
) -> Int[np.ndarray, "p n"]:
    """Returns masks with `count` ones and small values of the form, the smallest first.

    Args:
        key: consumed; the other arguments are those of `layerwise`.
    """
    run = _search(len(form.gradient), population, generations)
    return np.asarray(run(key, form.gradient, form.curvature, jnp.int32(count)))


@lru_cache(maxsize=16)
def _search(size: int, population: int, generations: int) -> Any:
    """Returns the search of one group, compiled once for all groups of a size."""
    grid = Grid(np.full(size, 2), exchange=np.zeros(size, np.int32))

    def run(key: Any, gradient: Any, curvature: Any, count: Any) -> Int[Array, "p n"]:
        form = Quadratic(gradient, curvature)

        def change(rows: Int[Array, "p n"]) -> Evaluation:
            return Evaluation(form(rows)[:, None], jnp.zeros(rows.shape[0], jnp.float32))

        repair = partial(with_ones, count=count)
        algorithm = GeneticAlgorithm(population, grid, 1, repair=repair)
        return evolve(key, algorithm, change, generations).state.genotypes

    return compiled(run)
