"""What a search is compared with: a uniform grid, greedy by sensitivity, chance."""

import jax
import numpy as np
from jaxtyping import Int, PRNGKeyArray

from jaxcompress.objectives import Cost
from jaxcompress.search.evaluator import Evaluator
from jaxcompress.search.loop import Result, empty_archive, evaluated, result_of
from jaxcompress.search.measure import Measure
from jaxcompress.search.racing import Racing
from jaxcompress.search.seeding import ladder, probes


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
    """Lowers, again and again, the gene that costs least error for what it saves.

    The sensitivity of a gene is the error when it alone is lowered (as in HAWQ and in
    layer-wise pruning); sensitivities add up. Every genotype on the way is evaluated.

    Args:
        cost: name of the objective to lower.
        quality: name of the objective to spare.
        levels: heights at which each gene is probed.
    """
    space = evaluate.space
    archive = empty_archive(evaluate)
    dense = np.asarray(space.dense, np.int32)
    rows = probes(space, levels)
    evaluated(archive, evaluate, rows)

    column, price = evaluate.names.index(quality), evaluate.names.index(cost)
    objectives, _ = archive.lookup(rows)
    heights = [np.unique(choices) for choices in rows.T]
    sensitivity = [{int(choice): 0.0} for choice in dense]
    for row, harm in zip(
        rows[1:], objectives[1:, column] - objectives[0, column], strict=True
    ):
        gene = int(np.argmax(row != dense))
        sensitivity[gene][int(row[gene])] = float(harm)
    if not isinstance(evaluate.objectives[price], Cost):
        raise ValueError(f"greedy: {cost!r} is no cost that a plan alone has")
    current, path = dense.copy(), [dense.copy()]
    while True:
        moves, rates = [], []
        for gene, choices in enumerate(heights):
            place = int(np.searchsorted(choices, current[gene]))
            if place == 0:
                continue
            moved = current.copy()
            moved[gene] = choices[place - 1]
            moves.append(moved)
            rates.append(
                sensitivity[gene][int(moved[gene])] - sensitivity[gene][int(current[gene])]
            )
        if not moves:
            break
        prices, _ = evaluate.costs(np.stack([current, *moves]), len(space) + 1)
        prices = prices[:, price]
        saved = np.maximum(prices[0] - prices[1:], 1e-9)
        current = moves[int(np.argmin(np.maximum(rates, 0.0) / saved - 1e-12 * saved))]
        path.append(current)
    evaluated(archive, evaluate, np.stack(path))
    return result_of(archive, evaluate, measure)
