"""Where a search starts: on a greedy descent, evaluated whole or told by few examples."""

import numpy as np
from jaxtyping import Int

from jaxcompress.objectives import Cost
from jaxcompress.search.alone import Alone
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
    evaluate: Evaluator, alone: Alone, count: int
) -> Int[np.ndarray, "n genes"]:
    """Returns genotypes on a greedy descent that few examples tell, not evaluated yet.

    A population that begins on the way down costs little more than one that begins
    anywhere.

    Args:
        evaluate: of a quality first, then of a cost.
        alone: what each gene harms alone, see `tried_alone`.
        count: how many are wanted, at least 2.

    Returns:
        int32 [n, D], n at most `count`: the dense genotype, the last one of `way_down`,
        and others between that are spread evenly in the logarithm of the cost.

    Raises:
        ValueError: other objectives, a `count` below 2, or a dense network whose error is
            not finite.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxcompress as jc
        >>> from jaxcompress.search import quick_descent, tried_alone
        >>> network = jc.trace(lambda p, x: x @ p, jnp.eye(4), jnp.ones((2, 4)))
        >>> space = jc.Space(network, (jc.genes.WeightBits((1, 2, 4, 8)),))
        >>> given = {"inputs": jnp.eye(4), "targets": jnp.arange(4)}
        >>> aims = (jc.objectives.Error(), jc.objectives.Size("dense"))
        >>> evaluate = jc.Evaluator(network, space, aims, **given)
        >>> alone = tried_alone(evaluate, examples=2)
        >>> quick_descent(evaluate, alone, count=3)[:, 0].tolist()
        [3, 2, 0]
    """
    aims = evaluate.objectives
    if isinstance(aims[0], Cost) or len(aims) < 2 or not isinstance(aims[1], Cost):
        raise ValueError(
            f"quick_descent: the objectives are {evaluate.names}; it needs a quality "
            "first, then a cost"
        )
    if count < 2:
        raise ValueError(f"quick_descent: count is {count}; allowed: 2 or more")
    path, costs = way_down(evaluate, alone.genotypes, alone.errors, evaluate.names[1])
    return spread(path, costs, count)
