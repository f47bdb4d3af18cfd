"""Where a search of a run begins: computed once, kept, and said."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, PyTree

from jaxcompress.assemble import LEVELS, initial_of
from jaxcompress.config import Config, SearchConfig
from jaxcompress.data import Dataset
from jaxcompress.job import Job
from jaxcompress.search import (
    Alone,
    Archive,
    Evaluator,
    Measure,
    accepted,
    boundary,
    descent,
    empty_archive,
    layerwise,
    levels_alone,
    levels_within,
    probes,
    quick_descent,
    right_or_wrong,
    tried_alone,
)
from jaxcompress.space import importance

EXPANDED = 1024  # training examples of the quadratic form of masks
Loss = Callable[[Any, Any], Any] | None


class StartingPoint(NamedTuple):
    """Where a search begins.

    Attributes:
        rows: int32 [n, D], genotypes.
        known: what was evaluated to find them.
        spent: how many evaluations there were besides.
        alone: what each gene harms alone, where the search is guided by it.
    """

    rows: np.ndarray
    known: Archive
    spent: int
    alone: Alone | None


def starting_point(
    job: Job,
    evaluate: Evaluator,
    shared: PyTree,
    measure: Measure,
    before: int,
    stage: str,
    number: int,
) -> StartingPoint:
    """Finds where a search begins, or reads where it did.

    Args:
        shared: the parameters that are compressed.
        measure: of the search.
        before: how many evaluations there were.
        stage: under which name it is kept; number: of its random key, its own.
    """
    config, given = job.config, job.given
    chosen = config.search
    if chosen.initial == "ladder" and not _guided(chosen, evaluate):
        rows = initial_of(config, evaluate.space)
        return StartingPoint(rows, empty_archive(evaluate), 0, None)
    key = jax.random.fold_in(job.keys["search"], number)

    def compute() -> dict[str, Any]:
        data, loss = given.data, given.loss
        with job.evaluating(f"{stage}: finding where to begin") as progress:
            tell = evaluate.telling(progress.update)
            return start_of(config, tell, measure, data, shared, loss, key, before)

    found = job.place.kept(f"{stage}_initial", compute)
    known = empty_archive(evaluate)
    if "known" in found:
        known.add(**found["known"])
    spent = int(found["evaluations"])
    correlation = {name: float(c) for name, c in found.get("correlation", {}).items()}
    if correlation:
        finite = {n: None if np.isnan(c) else c for n, c in correlation.items()}
        text = json.dumps({"rank_correlation": finite})
        job.place.text("surrogate.json", lambda: text)
        each = ", ".join(f"{name} {c:.2f}" for name, c in correlation.items())
        job.say(f"rank correlation of the quadratic form and the true loss: {each}")
    alone = None
    if "alone" in found:
        alone = Alone(**found["alone"])
        alone = alone._replace(examples=int(alone.examples))
    how = chosen.initial + _in_words(chosen, evaluate, alone)
    job.say(f"{stage}: {spent + len(known)} evaluations to find where to begin, by {how}")
    return StartingPoint(found["rows"], known, spent, alone)


def start_of(
    config: Config,
    evaluate: Evaluator,
    measure: Measure,
    data: Dataset,
    params: PyTree,
    loss: Loss,
    key: Key[Array, ""],
    before: int,
) -> dict[str, Any]:
    """Returns where the search begins, and what guides it.

    Args:
        measure: of the search, by which a descent is judged.
        data: its training split is used for masks; params: what is compressed.
        key: consumed.
        before: evaluations so far, of those that the search may spend.

    Returns:
        "rows": int32 [P, D]; "evaluations": how many there were, of those on some examples
        as many as are as much work, without those that are "known": an archive's columns;
        "correlation": of masks, by group (see `Layerwise`); "alone": what each gene harms
        alone, where that guides the search.
    """
    chosen, space, ran = config.search, evaluate.space, evaluate.forwards
    guided = _guided(chosen, evaluate)
    if chosen.initial == "descent":
        if chosen.descent_examples is None:
            return _descended(chosen, evaluate, measure, before)
        some = min(chosen.descent_examples, evaluate.examples)
        alone: Alone | None = tried_alone(evaluate, some)
        rows = quick_descent(evaluate, alone, chosen.population)
        found: dict[str, Any] = {"rows": rows, "evaluations": 0}
    else:
        if chosen.initial == "ladder":
            found = {"rows": initial_of(config, space), "evaluations": 0}
        elif chosen.initial == "boundary":
            found = _within_boundary(config, evaluate, key)
        else:
            found = _masked(config, evaluate, data, params, loss, key)
        ran = evaluate.forwards
        alone = _tried(chosen, evaluate, before + found["evaluations"]) if guided else None
    found["evaluations"] += -(-(evaluate.forwards - ran) // evaluate.work)
    return found if alone is None or not guided else {**found, "alone": alone._asdict()}


def _guided(search: SearchConfig, evaluate: Evaluator) -> bool:
    """Returns whether what genes harm alone may guide a search.

    A whole descent tells its errors to the surrogate anyway.
    """
    whole = search.initial == "descent" and search.descent_examples is None
    wanted = search.screening > 1 and search.screening_examples > 0
    return wanted and not whole and right_or_wrong(evaluate)


def _tried(search: SearchConfig, evaluate: Evaluator, before: int) -> Alone | None:
    """Tries each gene alone, unless it would take longer than a generation.

    Nor where no generation could be screened for it.
    """
    most = search.population if search.generations > 1 else 0
    if search.evaluations is not None:
        most = min(most, search.evaluations - before - 2 * search.population)
    some = min(search.screening_examples, evaluate.examples)
    levels = levels_alone(evaluate, some, most)
    if levels is None:
        return None
    alone = tried_alone(evaluate, some, levels)
    # Of a dense network that fails nothing tells what a gene adds.
    return alone if np.isfinite(alone.errors[0]) else None


def _descended(
    search: SearchConfig, evaluate: Evaluator, measure: Measure, before: int
) -> dict[str, Any]:
    """Returns a descent by all examples, for half of the evaluations at most."""
    count, most = search.population, search.population * search.generations
    if search.evaluations is not None:
        most = min(most, search.evaluations - before)
    levels = levels_within(evaluate.space, count, most // 2)
    rows, archive = descent(evaluate, measure, count, levels)
    return {"rows": rows, "evaluations": 0, "known": archive.columns}


def _within_boundary(
    config: Config, evaluate: Evaluator, key: Key[Array, ""]
) -> dict[str, Any]:
    """Returns genotypes between the dense one and how far each gene alone can go."""
    chosen, space = config.search, evaluate.space
    cost = "macs" if "macs" in evaluate.names else "size"
    limit = boundary(evaluate, config.space.tolerance, cost=cost, levels=LEVELS)
    most = np.inf if chosen.error_threshold is None else chosen.error_threshold
    rows, drawn = accepted(key, evaluate, limit, chosen.population, most)
    return {"rows": rows, "evaluations": len(probes(space, LEVELS)) + drawn}


def _masked(
    config: Config,
    evaluate: Evaluator,
    data: Dataset,
    params: PyTree,
    loss: Loss,
    key: Key[Array, ""],
) -> dict[str, Any]:
    """Returns genotypes with masks that are best by a quadratic form of the loss."""
    chosen, space, network = config.search, evaluate.space, evaluate.network
    some = data.train.some(EXPANDED, config.data.seed)
    inputs, targets = data.normalize(some.inputs), jnp.asarray(some.targets)
    gated = importance.GatedLoss(network, inputs, targets, loss=loss, params=params)
    masks = space.decode(space.dense).channels
    counts = {name: int(np.sum(mask)) for name, mask in masks.items()}
    free = {n: count for n, count in counts.items() if count < np.size(masks[n])}
    size, generations = chosen.population, chosen.surrogate_generations
    found = layerwise(key, gated, free, population=size, generations=generations)
    rows: Int[np.ndarray, "p genes"]
    rows = np.stack([np.asarray(space.dense, np.int32)] * size)
    for name, own in found.masks.items():
        first = space.names.index(f"channels of {name}[0]")
        rows[:, first : first + own.shape[1]] = own
    return {"rows": rows, "evaluations": 0, "correlation": found.correlation}


def _in_words(search: SearchConfig, evaluate: Evaluator, alone: Alone | None) -> str:
    """Returns whether the search is guided, for whoever asked for a screening."""
    if alone is not None:
        return f", guided by each gene alone on {alone.examples} examples"
    if _guided(search, evaluate):
        return (
            ", not guided by each gene alone: to try them would take longer than a "
            "generation or than may be spent, or the dense network fails"
        )
    return ""
