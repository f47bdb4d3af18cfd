"""Where a search of a run begins: computed once, kept, and said."""

import json
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from jaxcompress.assemble import initial_of, start_of
from jaxcompress.job import Job
from jaxcompress.search import Alone, Archive, Evaluator, Measure, empty_archive


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
    if config.search.initial == "ladder" and config.search.screening == 1:
        rows = initial_of(config, evaluate.space)
        return StartingPoint(rows, empty_archive(evaluate), 0, None)
    key = jax.random.fold_in(job.keys["search"], number)

    how = config.search.initial
    what = "try each gene alone" if how == "ladder" else f"find where to begin, by {how}"

    def compute() -> dict[str, Any]:
        data, loss = given.data, given.loss
        with job.evaluating(f"{stage}: to {what}") as progress:
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
    elif spent + len(known):
        job.say(f"{stage}: {spent + len(known)} evaluations to {what}")
    alone = None
    if "alone" in found:
        alone = Alone(**found["alone"])
        alone = alone._replace(examples=int(alone.examples))
    return StartingPoint(found["rows"], known, spent, alone)
