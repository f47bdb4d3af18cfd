"""Where a search starts: genotypes that are worth trying first.

All are int32 [n, D] and can be joined for the `initial` of an algorithm. `ladder` and
`corners` need the space alone, `encoded` plans of the user, `way_down`, `boundary` and
`accepted` what the network can bear.
"""

from collections.abc import Sequence
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from jaxcompress.objectives import Cost
from jaxcompress.search.evaluator import Evaluator
from jaxcompress.search.racing import Racing
from jaxcompress.space import Plan, Space


def ladder(space: Space, steps: tuple[int, ...]) -> Int[np.ndarray, "n genes"]:
    """Returns uniform genotypes: within a gene kind every gene at the same height.

    All combinations of heights over the gene kinds: uniform widths times uniform bits.
    The corners (least and most compressed) are among them.

    Args:
        steps: for each gene kind the number of heights, at least 2, spread from the
            most to the least compressing choice.
    """
    if len(steps) != len(space.kinds) or min(steps) < 2:
        raise ValueError(
            f"ladder: steps {steps} must give each of {len(space.kinds)} gene kinds at "
            "least 2 heights"
        )
    rows = []
    for heights in product(*(np.linspace(0.0, 1.0, n) for n in steps)):
        row = np.zeros(len(space), np.int32)
        for part, height in zip(space.kinds, heights, strict=True):
            row[part] = np.round(height * space.dense[part]).astype(np.int32)
        rows.append(row)
    return np.unique(np.asarray(space.repair(jnp.asarray(np.stack(rows)))), axis=0)


def grid_steps(space: Space, count: int, most: int = 6) -> tuple[int, ...]:
    """Returns as many heights for each gene kind as `ladder` may have in `count` rows.

    Args:
        count: rows, at least 2 ** kinds to have any effect; most: heights of a kind.
    """
    steps = [min(most, int(max(space.cardinality[kind]))) for kind in space.kinds]
    while np.prod(steps) > count and max(steps) > 2:
        steps[int(np.argmax(steps))] -= 1
    return tuple(max(2, step) for step in steps)


def corners(space: Space) -> Int[np.ndarray, "n genes"]:
    """Returns every gene kind at its least or its most compressing choice, combined.

    Between 1 and 2 ** kinds rows, the dense genotype among them.
    """
    return ladder(space, (2,) * len(space.kinds))


def encoded(space: Space, plans: Sequence[Plan]) -> Int[np.ndarray, "n genes"]:
    """Returns the genotypes of plans that the user knows to be good.

    Args:
        plans: complete, such as `space.decode(space.dense)` with other entries.

    Raises:
        ValueError: a plan is not one of this space.
    """
    rows = np.zeros((len(plans), len(space)), np.int32)
    wanted = jax.tree.structure(space.decode(space.dense))
    for i, plan in enumerate(plans):
        same = jax.tree.structure(plan) == wanted
        if same:
            rows[i] = np.asarray(space.encode(plan))
            # A choice that a gene does not have may be encoded as one beyond its last.
            inside = np.minimum(rows[i], space.cardinality - 1)
            pairs = zip(
                jax.tree.leaves(plan), jax.tree.leaves(space.decode(inside)), strict=True
            )
            same = all(np.array_equal(a, b) for a, b in pairs)
        if not same:
            raise ValueError(
                f"encoded: plans[{i}] is not in the space; start from "
                "space.decode(space.dense) and use choices that the genes have"
            )
    return rows


def probes(space: Space, levels: int | None = None) -> Int[np.ndarray, "n genes"]:
    """Returns the dense genotype, then every gene alone at each of its other choices.

    Genes of which a fixed number is 1 have none: no such gene changes alone.

    Args:
        levels: at most so many choices of an ordered gene, evenly spread, at least 2;
            all of them if None.

    Raises:
        ValueError: `levels` is below 2.
    """
    if levels is not None and levels < 2:
        raise ValueError(f"probes: levels is {levels}; it must be 2 or more, or None")
    dense = np.asarray(space.dense, np.int32)
    rows = [dense]
    for gene in np.flatnonzero(space.exchange < 0):
        top = dense[gene]
        choices = np.arange(space.cardinality[gene])
        if space.ordered[gene]:
            count = top + 1 if levels is None else min(levels, top + 1)
            choices = np.unique(np.round(np.linspace(0, top, count)).astype(np.int32))
        for choice in choices[choices != top]:
            rows.append(dense.copy())
            rows[-1][gene] = choice
    return np.stack(rows)


def harms(errors: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Returns how far errors are above the first, which is the dense network's.

    One that is not finite counts as more than any other.

    Raises:
        ValueError: the dense network has no finite error.
    """
    if not np.isfinite(errors[0]):
        raise ValueError(
            f"the dense network's error is {errors[0]}: nothing tells what a gene adds to "
            "that"
        )
    more = errors - errors[0]
    finite = np.isfinite(more)
    return np.where(finite, more, 1.0 + np.abs(more[finite]).max())


def way_down(
    evaluate: Evaluator | Racing,
    rows: Int[np.ndarray, "n genes"],
    errors: Float[np.ndarray, " n"],
    cost: str = "size",
) -> tuple[Int[np.ndarray, "m genes"], Float[np.ndarray, " m"]]:
    """Lowers, again and again, the gene that costs least error for what it saves.

    The sensitivity of a gene is the error when it alone is lowered (as in HAWQ and in
    layer-wise pruning); sensitivities add up.

    Args:
        rows: see `probes`; errors: of each.
        cost: name of the objective to lower.

    Returns:
        int32 [M, D], from the dense genotype to the lowest that it can reach gene by gene,
        and what each costs.

    Raises:
        ValueError: there is no such cost, or the dense network has no finite error.
    """
    costly = [o.name for o in evaluate.objectives if isinstance(o, Cost)]
    if cost not in costly:
        raise ValueError(f"way_down: cost is {cost!r}; allowed: {', '.join(costly)}")
    price = evaluate.names.index(cost)
    more = harms(errors)
    harm = [{int(choice): 0.0} for choice in rows[0]]
    for row, lost in zip(rows[1:], more[1:], strict=True):
        gene = int(np.argmax(row != rows[0]))
        harm[gene][int(row[gene])] = float(lost)
    heights = [np.unique(choices) for choices in rows.T]
    path, costs = [rows[0]], [evaluate.costs(rows[:1])[0][0, price]]
    while path[-1].tolist() != [choices[0] for choices in heights]:
        moves, rates = [], []
        for gene, choices in enumerate(heights):
            place = int(np.searchsorted(choices, path[-1][gene]))
            if place > 0:
                lower, now = int(choices[place - 1]), int(choices[place])
                moves.append(path[-1].copy())
                moves[-1][gene] = lower
                rates.append(max(0.0, harm[gene][lower] - harm[gene][now]))
        prices = evaluate.costs(np.stack(moves))[0][:, price]
        saved = np.maximum(costs[-1] - prices, 1e-9)
        best = int(np.argmin(rates / saved - 1e-12 * saved))
        path.append(moves[best])
        costs.append(prices[best])
    return np.stack(path), np.asarray(costs)


def spread(
    path: Int[np.ndarray, "m genes"], costs: Float[np.ndarray, " m"], count: int
) -> Int[np.ndarray, "n genes"]:
    """Returns the ends of a `way_down`, and others evenly in the logarithm of the cost.

    Args:
        count: how many, at most, at least 2.
    """
    heights = np.log(np.maximum(costs, 1e-9))
    wanted = np.linspace(heights[0], heights[-1], count)
    nearest = np.abs(heights - wanted[:, None]).argmin(1)
    nearest[-1] = len(path) - 1  # of several that cost the same the first was nearest
    return path[np.unique(nearest)]


def boundary(
    evaluate: Evaluator,
    within: float,
    *,
    quality: str = "error",
    cost: str = "size",
    levels: int | None = None,
) -> Int[np.ndarray, " genes"]:
    """Returns for each gene how far it can go when all others stay dense.

    That is the cheapest choice whose quality is within a threshold of the dense one
    (the boundary of GeneCAI, Javaheripi et al. 2020). All choices are evaluated in one
    batched call. Together the genes harm more than each alone: see `up_to`.

    Args:
        within: by how much the quality may be worse, in its own unit, >= 0.
        quality: name of the objective to keep.
        cost: name of the objective that says what is cheap; of equal costs the choice
            with the better quality counts.
        levels: see `probes`.

    Returns:
        int32 [D]; a genotype, but as a rule no good one.

    Raises:
        ValueError: no such objectives, a negative threshold, or the dense network has
            no finite quality.
    """
    for name in (quality, cost):
        if name not in evaluate.names:
            raise ValueError(f"boundary: no objective {name!r}; got {evaluate.names}")
    if not within >= 0:
        raise ValueError(f"boundary: within is {within}; it must be 0 or more")
    rows = probes(evaluate.space, levels)
    objectives = np.asarray(evaluate(rows).objectives, np.float64)
    harm = objectives[:, evaluate.names.index(quality)]
    price = objectives[:, evaluate.names.index(cost)]
    if not np.isfinite(harm[0]):
        raise ValueError(f"boundary: the dense network's {quality} is {harm[0]}")
    harm = harm - harm[0]
    # Float32 objectives: a threshold that is met exactly must not fail by rounding.
    allowed = np.isfinite(price) & (harm <= within + 1e-6)
    found = rows[0].copy()
    for gene in range(rows.shape[1]):
        tried = np.flatnonzero(allowed & ((rows != rows[0]).argmax(1) == gene))
        tried = np.append(tried[tried > 0], 0)  # row 0 is dense: no gene's own
        best = tried[np.lexsort((harm[tried], price[tried]))[0]]
        found[gene] = rows[best, gene]
    return found


def up_to(
    key: PRNGKeyArray,
    space: Space,
    limit: Int[np.ndarray, " genes"],
    count: int,
) -> Int[np.ndarray, "count genes"]:
    """Returns random genotypes between the dense one and a limit such as `boundary`.

    Each ordered gene goes a share of its way that is normal around a half with
    deviation a quarter, within [0, 1] (the directed initialisation of GeneCAI); others
    take the one choice or the other.

    Args:
        key: consumed.
        limit: int32 [D], how far each gene may go.
        count: how many.
    """
    dense = np.asarray(space.dense, np.int32)
    draw = np.asarray(jax.random.normal(key, (count, len(space))), np.float64)
    share = np.clip(0.5 + 0.25 * draw, 0.0, 1.0)
    share = np.where(space.ordered, share, np.round(share))
    return np.round(dense + share * (limit - dense)).astype(np.int32)


def accepted(
    key: PRNGKeyArray,
    evaluate: Evaluator,
    limit: Int[np.ndarray, " genes"],
    count: int,
    most: float,
    *,
    quality: str = "error",
    rounds: int = 10,
) -> tuple[Int[np.ndarray, "count genes"], int]:
    """Returns genotypes from `up_to` whose quality is good enough, and the evaluations.

    Those that are not are drawn again (the rejection of GeneCAI); after some rounds the
    best of the rejected fill up.

    Args:
        key: consumed.
        limit: see `up_to`.
        count: how many.
        most: the largest quality that will do, in its own unit.
        quality: name of the objective.
        rounds: how often `count` genotypes are drawn, at most.

    Raises:
        ValueError: no such objective.
    """
    if quality not in evaluate.names:
        raise ValueError(f"accepted: no objective {quality!r}; got {evaluate.names}")
    column, drawn, values = evaluate.names.index(quality), [], []
    for number in range(rounds):
        drawn.append(up_to(jax.random.fold_in(key, number), evaluate.space, limit, count))
        values.append(np.asarray(evaluate(drawn[-1]).objectives)[:, column])
        if sum((value <= most + 1e-6).sum() for value in values) >= count:
            break
    rows, value = np.concatenate(drawn), np.concatenate(values)
    good = value <= most + 1e-6
    # Those that will do in the order in which they came, then the others by quality.
    order = np.lexsort((np.where(good, 0.0, np.nan_to_num(value, nan=np.inf)), ~good))
    return rows[order[:count]], len(rows)
