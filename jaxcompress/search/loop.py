"""The search: ask, evaluate what is not known yet, tell."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from jaxcompress.evolution import Algorithm, Evaluation
from jaxcompress.search.archive import Archive
from jaxcompress.search.evaluator import Evaluator
from jaxcompress.search.measure import Measure


@dataclass(frozen=True)
class Generation:
    """What one generation did; a line of metrics.jsonl.

    Attributes:
        generation: counted from 1.
        evaluations: genotypes evaluated so far, known ones not counted again.
        asked: genotypes asked for so far.
        failed: of those evaluated, how many had an objective or a violation that is not
            finite.
        best: by objective name the smallest value of a feasible genotype so far.
        hypervolume: of everything evaluated so far (see `Measure`); 0 as long as nothing
            is feasible.
        rate: evaluations a second in this generation.
        seconds: since the search began.
        metrics: what the algorithm says of its generation (see its `tell`).
    """

    generation: int
    evaluations: int
    asked: int
    failed: int
    best: dict[str, float]
    hypervolume: float
    rate: float
    seconds: float
    metrics: dict[str, float | int]


@dataclass(frozen=True, eq=False)
class Result:
    """What a search found: the front of everything evaluated.

    Attributes:
        names: of the objectives.
        genotypes: int32 [F, D], sorted by the first objective.
        objectives: float32 [F, M].
        hypervolume: of the front, by `measure`.
        history: one entry for each generation.
        measure: how the hypervolume is computed: which objectives, which reference.
        archive: everything that was evaluated.
    """

    names: tuple[str, ...]
    genotypes: Int[np.ndarray, "f genes"]
    objectives: Float[np.ndarray, "f m"]
    hypervolume: float
    history: tuple[Generation, ...]
    measure: Measure
    archive: Archive

    def best(self, **limits: float) -> Int[np.ndarray, " genes"]:
        """Returns the genotype with the smallest first objective within limits.

        Args:
            limits: by objective name the largest allowed value, such as `size=20_000`.

        Raises:
            ValueError: no such objective, or nothing on the front keeps the limits.
        """
        fits = np.ones(len(self.genotypes), bool)
        for name, limit in limits.items():
            if name not in self.names:
                raise ValueError(f"best: no objective {name!r}; there are {self.names}")
            fits &= self.objectives[:, self.names.index(name)] <= limit
        if not fits.any():
            lowest = dict(zip(self.names, self.objectives.min(0).tolist(), strict=True))
            raise ValueError(f"best: nothing keeps {limits}; the smallest are {lowest}")
        return self.genotypes[fits][np.argmin(self.objectives[fits, 0])]


def search(
    key: PRNGKeyArray,
    algorithm: Algorithm,
    evaluate: Evaluator,
    *,
    generations: int,
    measure: Measure | None = None,
    params: Any = None,
    on_generation: Callable[[Generation], None] | None = None,
) -> Result:
    """Runs an algorithm for some generations and returns the front it found.

    The front comes from everything evaluated, not from the last population. A genotype
    that was evaluated before is not run again.

    Args:
        key: consumed; the same key gives the same front.
        algorithm: from `jaxcompress.evolution`.
        evaluate: gives objectives to genotypes.
        generations: how many, the initial population included; at least 1.
        measure: for the hypervolume; all objectives against the worst of the first
            generation in which something is feasible if None.
        params: the algorithm's rates; its `default_params` if None.
        on_generation: called after each generation.

    Returns:
        The front, the hypervolume and the history.

    Raises:
        ValueError: `generations` is below 1, or every evaluation failed.
    """
    if generations < 1:
        raise ValueError(f"search: generations is {generations}; allowed: 1 or more")
    archive = empty_archive(evaluate)
    params = algorithm.default_params if params is None else params
    init, ask, tell = algorithm.compiled
    key, start = jax.random.split(key)
    state = init(start, params)
    history: list[Generation] = []
    asked, began = 0, time.perf_counter()
    for number in range(1, generations + 1):
        tick = time.perf_counter()
        key, ask_key, tell_key = jax.random.split(key, 3)
        genotypes, state = ask(ask_key, state, params)
        rows = np.asarray(genotypes)
        before = len(archive)
        evaluated(archive, evaluate, rows)
        objectives, violation = archive.lookup(rows)
        evaluation = Evaluation(objectives=objectives, violation=violation)  # type: ignore[arg-type]
        state, metrics = tell(tell_key, genotypes, evaluation, state, params)
        asked += len(rows)
        if measure is None and archive.front().size:
            measure = Measure.worst(archive.objectives)
        history.append(
            _generation(
                number,
                archive,
                evaluate.names,
                measure,
                asked,
                before,
                tick,
                began,
                {name: value.item() for name, value in metrics.items()},
            )
        )
        if on_generation is not None:
            on_generation(history[-1])
    return result_of(archive, evaluate, measure, tuple(history))


def empty_archive(evaluate: Evaluator) -> Archive:
    """Returns an archive for what `evaluate` will find."""
    space = evaluate.space
    return Archive(len(space), len(evaluate.objectives), space.canonical_rows)


def evaluated(archive: Archive, evaluate: Evaluator, rows: np.ndarray) -> None:
    """Evaluates the rows that the archive does not know, and adds them."""
    new = archive.unknown(np.asarray(rows, np.int32))
    if len(new):
        values = evaluate(new)
        archive.add(new, np.asarray(values.objectives), np.asarray(values.violation))


def result_of(
    archive: Archive,
    evaluate: Evaluator,
    measure: Measure | None,
    history: tuple[Generation, ...] = (),
) -> Result:
    """Returns the front of an archive."""
    rows = archive.front()
    if not rows.size:
        raise ValueError(
            f"search: none of {len(archive)} evaluations gave finite objectives within "
            "the constraints; loosen them, or look at the network's outputs"
        )
    objectives = archive.objectives[rows]
    order = np.lexsort(objectives.T[::-1])
    measure = Measure.worst(archive.objectives) if measure is None else measure
    return Result(
        names=evaluate.names,
        genotypes=archive.genotypes[rows][order],
        objectives=objectives[order],
        hypervolume=measure(objectives),
        history=history,
        measure=measure,
        archive=archive,
    )


def _generation(
    number: int,
    archive: Archive,
    names: tuple[str, ...],
    measure: Measure | None,
    asked: int,
    before: int,
    tick: float,
    began: float,
    metrics: dict[str, float | int],
) -> Generation:
    objectives, now = archive.objectives, time.perf_counter()
    finite = np.isfinite(objectives).all(1) & np.isfinite(archive.violation)
    usable = finite & (archive.violation <= 0)
    smallest: Any = objectives[usable].min(0) if usable.any() else [np.inf] * len(names)
    return Generation(
        generation=number,
        evaluations=len(archive),
        asked=asked,
        failed=int((~finite).sum()),
        best={n: float(v) for n, v in zip(names, smallest, strict=True)},
        hypervolume=measure(objectives[archive.front()]) if measure else 0.0,
        rate=(len(archive) - before) / max(now - tick, 1e-9),
        seconds=now - began,
        metrics=metrics,
    )
