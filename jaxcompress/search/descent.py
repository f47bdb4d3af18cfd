"""Where a search starts: on a greedy descent, evaluated whole or told by few examples."""

import numpy as np
from jaxtyping import Int

from jaxcompress.objectives import Cost, Error
from jaxcompress.search.alone import tried_alone
from jaxcompress.search.archive import Archive
from jaxcompress.search.baselines import greedy
from jaxcompress.search.evaluator import Evaluator
from jaxcompress.search.loop import evaluated, result_of
from jaxcompress.search.measure import Measure
from jaxcompress.search.seeding import grid_steps, ladder, probes, spread, way_down
from jaxcompress.search.selection import representatives
from jaxcompress.space import Space

HEIGHTS = (3, 4, 5, 6)  # at how many a gene may be tried alone


def levels_within(space: Space, count: int, evaluations: int) -> int:
    """Returns at how many heights a descent may try each gene.

    For each of them it evaluates two genotypes: the gene alone, and one on the way down.

    Args:
        count: see `descent`.
        evaluations: how many it may take; 3 heights are tried whatever they take.
    """
    left = evaluations - int(np.prod(grid_steps(space, count)))
    fit = [levels for levels in HEIGHTS if 2 * len(probes(space, levels)) <= left]
    return max(fit, default=HEIGHTS[0])


def descent(
    evaluate: Evaluator, measure: Measure, count: int, levels: int
) -> tuple[Int[np.ndarray, "n genes"], Archive]:
    """Returns genotypes on the front of `greedy` and `uniform_grid` together.

    Where genes are many, those drawn alone and evenly are all alike: about the mean is
    compressed, and some layer too much. A descent by sensitivity goes from the dense
    network to the smallest one, and a search that begins on it ends no worse than it.

    Args:
        measure: which genotypes are worth most.
        count: how many are wanted; of the grid about as many are evaluated.
        levels: see `greedy` and `levels_within`.

    Returns:
        int32 [n, D], n at most `count`, and everything that was evaluated.
    """
    cost = evaluate.names[1]
    archive = greedy(evaluate, measure, cost, levels=levels).archive
    steps = grid_steps(evaluate.space, count)
    evaluated(archive, evaluate, ladder(evaluate.space, steps))
    found = result_of(archive, evaluate, measure)
    chosen = representatives(found.genotypes, found.objectives, count, measure)
    return np.unique(chosen, axis=0), archive


def quick_descent(
    evaluate: Evaluator, count: int, examples: int, levels: int = 5
) -> Int[np.ndarray, "n genes"]:
    """Returns genotypes on a greedy descent that few examples tell, not evaluated yet.

    What each gene costs alone is plain long before an error is exact, so a population
    that begins on the way down costs little more than one that begins anywhere.

    Args:
        evaluate: of `Error()` first, then of a cost.
        count: how many are wanted, at least 2.
        examples: by which genes are tried alone, the first ones: at least 1, and as many
            more as fill a batch.
        levels: at how many heights, see `probes`.

    Returns:
        int32 [n, D], n at most `count`: the dense genotype, the last one of `way_down`,
        and others between that are spread evenly in the logarithm of the cost.

    Raises:
        ValueError: other objectives, a `count` below 2, or what `tried_alone` and
            `way_down` refuse.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxcompress as jc
        >>> from jaxcompress.search import quick_descent
        >>> network = jc.trace(lambda p, x: x @ p, jnp.eye(4), jnp.ones((2, 4)))
        >>> space = jc.Space(network, (jc.genes.WeightBits((1, 2, 4, 8)),))
        >>> given = {"inputs": jnp.eye(4), "targets": jnp.arange(4)}
        >>> aims = (jc.objectives.Error(), jc.objectives.Size("dense"))
        >>> evaluate = jc.Evaluator(network, space, aims, **given)
        >>> quick_descent(evaluate, count=3, examples=2)[:, 0].tolist()
        [3, 2, 0]
    """
    aims = evaluate.objectives
    if aims[0] != Error() or len(aims) < 2 or not isinstance(aims[1], Cost):
        raise ValueError(
            f"quick_descent: the objectives are {evaluate.names}; it needs Error('top1') "
            "first, then a cost; `descent` takes any quality"
        )
    if count < 2:
        raise ValueError(f"quick_descent: count is {count}; allowed: 2 or more")
    alone = tried_alone(evaluate, examples, levels)
    return spread(*way_down(evaluate, *alone[:2], evaluate.names[1]), count)
