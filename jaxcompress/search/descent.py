"""Where a search starts: on the best of a greedy descent and of a uniform grid."""

import numpy as np
from jaxtyping import Int

from jaxcompress.search.baselines import greedy, uniform_grid
from jaxcompress.search.evaluator import Evaluator
from jaxcompress.search.measure import Measure
from jaxcompress.search.seeding import grid_steps
from jaxcompress.search.selection import representatives

LEVELS = 3  # heights at which a gene is tried alone: the search finds those between


def descent(
    evaluate: Evaluator, measure: Measure, count: int, levels: int = LEVELS
) -> tuple[Int[np.ndarray, "n genes"], int]:
    """Returns genotypes on the front of `greedy` and `uniform_grid` together.

    Where genes are many, those drawn alone and evenly are all alike: about the mean is
    compressed, and some layer too much. A descent by sensitivity goes from the dense
    network to the smallest one, and a search that begins on it ends no worse than it.

    Args:
        measure: which genotypes are worth most.
        count: how many are wanted; of the grid about as many are evaluated.
        levels: see `greedy`.

    Returns:
        int32 [n, D], n at most `count`, and how many evaluations it took.
    """
    cost = evaluate.names[1]
    found = [
        greedy(evaluate, measure, cost, levels=levels),
        uniform_grid(evaluate, grid_steps(evaluate.space, count), measure),
    ]
    rows = np.concatenate([result.genotypes for result in found])
    objectives = np.concatenate([result.objectives for result in found])
    chosen = representatives(rows, objectives, count, measure)
    return np.unique(chosen, axis=0), sum(len(result.archive) for result in found)
