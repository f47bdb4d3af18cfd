"""Where a search starts: on the best of a greedy descent and of a uniform grid."""

import numpy as np
from jaxtyping import Int

from jaxcompress.search.archive import Archive
from jaxcompress.search.baselines import greedy
from jaxcompress.search.evaluator import Evaluator
from jaxcompress.search.loop import evaluated, result_of
from jaxcompress.search.measure import Measure
from jaxcompress.search.seeding import grid_steps, ladder, probes
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
