"""What a search is compared with: a uniform grid, greedy by sensitivity, chance."""

import jax
import numpy as np
from jaxtyping import Int, PRNGKeyArray

from jaxcompress.search.evaluator import Evaluator
from jaxcompress.search.loop import Result, empty_archive, evaluated, result_of
from jaxcompress.search.measure import Measure
from jaxcompress.search.racing import Racing
from jaxcompress.search.seeding import ladder, probes, way_down


def uniform_grid(
    evaluate: Evaluator | Racing, steps: tuple[int, ...], measure: Measure
) -> Result:
    """Evaluates uniform widths times uniform bits, each kind at `steps` heights."""
    archive = empty_archive(evaluate)
    evaluated(archive, evaluate, ladder(evaluate.space, steps))
    return result_of(archive, evaluate, measure)


def random_search(
    key: PRNGKeyArray,
    evaluate: Evaluator | Racing,
    count: int,
    initial: Int[np.ndarray, "n genes"],
    measure: Measure,
) -> Result:
    """Evaluates `count` different genotypes: the initial ones, then uniform draws."""
    space = evaluate.space
    archive = empty_archive(evaluate)
    evaluated(archive, evaluate, initial[:count])
    while len(archive) < count:
        key, draw = jax.random.split(key)
        rows = np.asarray(space.sample(draw, count))
        new = archive.unknown(rows)[: count - len(archive)]
        if not len(new):  # the whole space is known
            break
        evaluated(archive, evaluate, new)
    return result_of(archive, evaluate, measure)


def greedy(
    evaluate: Evaluator | Racing,
    measure: Measure,
    cost: str = "size",
    quality: str = "error",
    levels: int = 6,
) -> Result:
    """Evaluates each gene alone, then every genotype on the `way_down` that these tell.

    Args:
        cost: name of the objective to lower.
        quality: name of the objective to spare.
        levels: heights at which each gene is probed.
    """
    archive = empty_archive(evaluate)
    rows = probes(evaluate.space, levels)
    evaluated(archive, evaluate, rows)
    objectives, _ = archive.lookup(rows)
    errors = objectives[:, evaluate.names.index(quality)]
    path, _ = way_down(evaluate, rows, errors, cost)
    evaluated(archive, evaluate, path)
    return result_of(archive, evaluate, measure)
