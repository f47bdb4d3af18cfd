"""A search in legs: between them the weights that plans compress are trained."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import moocore
import numpy as np
from jaxtyping import Int, PRNGKeyArray, PyTree

from jaxcompress.evolution import Algorithm
from jaxcompress.network import Network
from jaxcompress.search.alone import Alone
from jaxcompress.search.archive import Archive
from jaxcompress.search.evaluator import Evaluator
from jaxcompress.search.identity import digest
from jaxcompress.search.loop import Result, search
from jaxcompress.search.measure import Measure
from jaxcompress.search.once import once
from jaxcompress.search.racing import Racing
from jaxcompress.search.state import Generation

Train = Callable[[PRNGKeyArray, PyTree, np.ndarray], PyTree]
_ADDED_UP = ("generation", "evaluations", "asked", "failed", "forwards", "spared")


def search_in_legs(
    key: PRNGKeyArray,
    algorithm: Algorithm,
    evaluate: Evaluator | Racing,
    weights: PyTree,
    train: Train,
    *,
    generations: int,
    every: int,
    measure: Measure | None = None,
    params: Any = None,
    known: Archive | None = None,
    screening: int = 1,
    alone: Alone | None = None,
    on_generation: Callable[[Generation], None] | None = None,
    checkpoint_dir: str | Path | None = None,
    checkpoint_every: int = 5,
    checkpoints_kept: int = 3,
) -> tuple[Result, PyTree]:
    """Runs a `search` that pauses every few generations to train the weights it sees.

    One set of weights for all plans is at its best for the plans it is trained under, and
    those that matter are known only after a while. So after `every` generations the
    weights are trained on under the plans of the front. Errors under other weights do
    not compare, so nothing of the old ones is kept: a new leg begins, a search of its own
    with an archive of its own, and what it evaluates first, counted like all evaluations,
    is the whole front of the leg before and, up to the population size, what comes next
    after the front; under `Racing` as far as each may still be of use. A hypervolume in
    the history is of the leg's own weights, and may fall from one leg to the next.

    Nothing is compiled again for a new leg. Costs are the same functions of a plan in all
    legs: `Size(params=...)` goes on counting codes of the weights that it was given.

    With a `checkpoint_dir` nothing is lost, as in `search`: legs have their checkpoints
    there, and so have the weights after each training; one that was stopped in the middle
    begins again.

    Args:
        key, algorithm, evaluate, measure, params, known, screening, alone, on_generation,
            checkpoint_every, checkpoints_kept: as of `search`; `known` is of the first
            leg, `alone` stays that of the first weights and guides as long as it tells
            errors; an `Evaluator` of other parameters is made for each new leg.
        weights: those of `evaluate`.
        train: (key, weights, genotypes) -> weights, such as a `training.Adapter`; the
            genotypes are a front's, int32 [n, D], from its smallest first objective to
            its largest.
        generations: of all legs together.
        every: generations of a leg, at least 2, for the first only evaluates anew; the
            last leg may have fewer. 0: one leg, which is `search` itself, bit for bit.
        checkpoint_dir: of this search alone; nothing is written if None.

    Returns:
        The result of the last leg, in which the history is that of all legs; and the
        weights under which it was found.

    Raises:
        ValueError: as `search`; a leg ends without anything feasible; `every` is 1 or
            negative; nothing is measured on outputs, so that no weights would matter; or
            the weights in `checkpoint_dir` are of another search.

    Example:
        >>> train = jc.Adapter(network, space, dataset)  # doctest: +SKIP
        >>> evaluate = jc.Evaluator(..., params=shared)  # doctest: +SKIP
        >>> result, shared = jc.search_in_legs(  # doctest: +SKIP
        ...     key, algorithm, evaluate, shared, train, generations=30, every=10
        ... )
    """
    if every < 0 or every == 1:
        raise ValueError(
            f"search_in_legs: every is {every}; allowed: 0, or 2 or more, for the first "
            "generation of a leg only evaluates anew"
        )
    if every and not evaluate.examples:
        raise ValueError(
            f"search_in_legs: every is {every}, and the objectives {list(evaluate.names)} "
            "measure no outputs: there is nothing to train for; add a quality such as "
            "Error(), or set every to 0"
        )
    network = evaluate.network
    place = None if checkpoint_dir is None else Path(checkpoint_dir)
    history: tuple[Generation, ...] = ()
    number, own, first = 0, key, None
    while True:
        left = generations - number * every
        before = history[-1] if history else None

        def tell(generation: Generation, before: Generation | None = before) -> None:
            if on_generation is not None:
                on_generation(_after(before, generation))

        result = search(
            own,
            algorithm,
            evaluate,
            generations=min(every, left) if every else left,
            measure=measure,
            params=params,
            first=first,
            known=None if number else known,
            screening=screening,
            alone=alone,
            on_generation=tell,
            checkpoint_dir=place / f"leg-{number}" if place and number else place,
            checkpoint_every=checkpoint_every,
            checkpoints_kept=checkpoints_kept,
        )
        history += tuple(_after(before, generation) for generation in result.history)
        if not every or left <= every:
            return replace(result, history=history), weights
        measure, number = result.measure, number + 1
        # `search` splits its key in two, which are its numbers 0 and 1 of `fold_in` too.
        own, draw = jax.random.split(jax.random.fold_in(key, 1 + number))
        folder = None if place is None else place / f"weights-{number}"
        weights = _trained(folder, network, train, draw, weights, result.genotypes)
        evaluate = evaluate.under(weights)
        first = carried(result.archive, algorithm.population_size)


def _trained(
    folder: Path | None,
    network: Network,
    train: Train,
    key: PRNGKeyArray,
    weights: PyTree,
    genotypes: np.ndarray,
) -> PyTree:
    """Returns what `train` gives; with a folder it is called once, and that is kept."""
    given = bytes.fromhex(digest((jax.random.key_data(key), weights, genotypes)))
    begin = np.frombuffer(given, np.uint8)

    def compute() -> dict[str, Any]:
        return {"begin": begin, "end": network.leaves(train(key, weights, genotypes))}

    found = compute() if folder is None else once(folder, compute)
    if not np.array_equal(found["begin"], begin):
        raise ValueError(
            f"search_in_legs: {folder} has weights of another search; give the same again, "
            "or another checkpoint_dir"
        )
    leaves = {path: jnp.asarray(leaf) for path, leaf in found["end"].items()}
    return network.unflatten(leaves)


def carried(archive: Archive, size: int) -> Int[np.ndarray, "n genes"]:
    """Returns with what a search of an archive's genotypes begins anew.

    That is the front and, where it has fewer than `size`, the fronts that would follow
    without it; of one that is not taken whole, members evenly spread along the first
    objective. The rest of the first front comes after the `size`.
    """
    objectives = archive.objectives
    usable = np.isfinite(objectives).all(1) & (archive.violation <= 0)
    rows = np.flatnonzero(usable)
    rows = rows[np.lexsort(objectives[rows].T[::-1])]
    ranks = moocore.pareto_rank(np.asarray(objectives[rows], np.float64))
    taken = np.zeros(0, np.int64)
    for rank in range(ranks.max() + 1):
        front = rows[ranks == rank]
        count = min(size - len(taken), len(front))
        places = np.linspace(0, len(front) - 1, count).round().astype(np.int64)
        taken = np.concatenate([taken, front[places]])
    rest = np.setdiff1d(rows[ranks == 0], taken)
    return archive.genotypes[np.concatenate([taken, rest])]


def _after(before: Generation | None, own: Generation) -> Generation:
    """Returns a generation of a leg with what the legs before it did added."""
    if before is None:
        return own
    whole = {name: getattr(before, name) + getattr(own, name) for name in _ADDED_UP}
    return replace(own, **whole, seconds=before.seconds + own.seconds)
