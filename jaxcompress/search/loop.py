"""The search: ask, evaluate what is not known yet, tell."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from jaxcompress.evolution import Algorithm, Evaluation
from jaxcompress.processes import many
from jaxcompress.search.alone import Alone
from jaxcompress.search.archive import Archive
from jaxcompress.search.evaluator import Evaluator
from jaxcompress.search.identity import check_agreement, settings_of
from jaxcompress.search.measure import Measure
from jaxcompress.search.racing import Racing
from jaxcompress.search.resume import kept
from jaxcompress.search.screen import Screen
from jaxcompress.search.state import Generation, SearchState
from jaxcompress.space.importance import rank_correlation


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

    @property
    def evaluations(self) -> int:
        """How many it took, those of earlier legs included (see `search_in_legs`)."""
        return self.history[-1].evaluations if self.history else len(self.archive)

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
    evaluate: Evaluator | Racing,
    *,
    generations: int,
    measure: Measure | None = None,
    params: Any = None,
    first: Int[np.ndarray, "n genes"] | None = None,
    known: Archive | None = None,
    screening: int = 1,
    alone: Alone | None = None,
    on_generation: Callable[[Generation], None] | None = None,
    checkpoint_dir: str | Path | None = None,
    checkpoint_every: int = 5,
    checkpoints_kept: int = 3,
) -> Result:
    """Runs an algorithm for some generations and returns the front it found.

    The front comes from everything evaluated, not from the last population. A genotype
    that was evaluated before is not run again.

    With a `checkpoint_dir` nothing is lost: the same call in another process goes on from
    the last checkpoint, also for more generations, and ends bit for bit where it would
    have ended without a stop. Besides the regular checkpoints, SIGTERM and SIGINT leave
    one of the last finished generation, at once; then they do what they always do.

    Many processes that call this with the same arguments, and an evaluator on a mesh of
    all their devices, find together what one would find. The first has the checkpoints.

    Args:
        key: consumed; the same key gives the same front.
        algorithm: from `jaxcompress.evolution`.
        evaluate: gives objectives to genotypes.
        generations: how many, the initial population and those before a resume included;
            at least 1.
        measure: for the hypervolume; all objectives against the worst of what is known
            after the first generation in which something is feasible if None.
        params: the algorithm's rates; its `default_params` if None.
        first: int32 [n, D], any n: evaluated in the first generation. The algorithm is
            told of as many as it has members, in the place of those it asked for.
        known: what `evaluate` has found before, on all examples; it counts as evaluated by
            this search.
        screening: how many offspring are drawn for each that is evaluated; of more than 1
            those that promise most are (see `Screen`).
        alone: guides the screening, see `tried_alone`; None: nothing but what this search
            evaluates does.
        on_generation: called after each generation, and for each that a checkpoint knows.
        checkpoint_dir: of this search alone; nothing is written if None.
        checkpoint_every: generations from one checkpoint to the next, at least 1.
        checkpoints_kept: how many checkpoints stay, at least 1.

    Returns:
        The front, the hypervolume and the history.

    Raises:
        ValueError: `generations` is below 1 or less than were done; `first` is no
            genotypes; `screening` does not go with the algorithm, or `alone` with it;
            every evaluation failed; the checkpoints are of another search, or in use.
        OSError: a checkpoint cannot be written; those before it stay whole.
    """
    if generations < 1:
        raise ValueError(f"search: generations is {generations}; allowed: 1 or more")
    if first is not None and np.shape(first)[1:] != (len(evaluate.space),):
        raise ValueError(
            f"search: first has shape {np.shape(first)}; wanted genotypes, (any, "
            f"{len(evaluate.space)})"
        )
    params = algorithm.default_params if params is None else params
    screen = Screen(algorithm, evaluate, screening, alone)
    state = _first(key, algorithm, evaluate, measure, params, known)
    tell_all = on_generation or (lambda _: None)
    with ExitStack() as stack:
        keeper = None
        settings = {}
        if many() or checkpoint_dir is not None:
            given = None if known is None else known.columns
            settings = settings_of(
                key, algorithm, evaluate, measure, params, first, given, screening, alone
            )
            check_agreement(settings)
        if checkpoint_dir is not None:
            every, keep = checkpoint_every, checkpoints_kept
            files = kept(checkpoint_dir, settings, state, every, keep)
            keeper = stack.enter_context(files)
            state = keeper.state
        done = len(state.history)
        if done > generations:
            raise ValueError(
                f"search: generations is {generations}; {checkpoint_dir} has {done} "
                "already: give as many or more"
            )
        for generation in state.history:
            tell_all(generation)
        archive = archive_of(evaluate, state.genotypes, state.objectives, state.violation)
        if not done and isinstance(evaluate, Racing) and evaluate.used:
            raise ValueError(
                "search: this Racing has learned from another search, and stops what that "
                "one dominates; make a new one, Racing(evaluate)"
            )
        if done and isinstance(evaluate, Racing):
            evaluate.recall(state.raced)
        began = time.perf_counter() - (state.history[-1].seconds if done else 0.0)
        if max(done, 1) < generations:  # the first is not screened
            screen.prepare()
        for number in range(done + 1, generations + 1):
            begin = first if number == 1 else None
            state = _next(state, archive, algorithm, evaluate, screen, params, began, begin)
            if keeper is not None:
                keeper.saw(state, last=number == generations)
            tell_all(state.history[-1])
    return result_of(archive, evaluate, state.measure, state.history)


def _first(
    key: PRNGKeyArray,
    algorithm: Algorithm,
    evaluate: Evaluator | Racing,
    measure: Measure | None,
    params: Any,
    known: Archive | None,
) -> SearchState:
    """Returns the state before the first generation."""
    key, start = jax.random.split(key)
    nothing = empty_archive(evaluate)
    if known is None:
        known = nothing
    elif (known.genes, known.width) != (nothing.genes, nothing.width):
        raise ValueError(
            f"search: known has {known.genes} genes and {known.width} objectives; the "
            f"evaluator has {nothing.genes} and {nothing.width}"
        )
    elif isinstance(evaluate, Racing):
        evaluate.learn(known)
    return SearchState(
        key=key,
        algorithm=algorithm.compiled.init(start, params),
        genotypes=known.genotypes,
        objectives=known.objectives,
        violation=known.violation,
        raced=_memory(evaluate),
        measure=measure,
    )


def _next(
    state: SearchState,
    archive: Archive,
    algorithm: Algorithm,
    evaluate: Evaluator | Racing,
    screen: Screen,
    params: Any,
    began: float,
    first: Int[np.ndarray, "n genes"] | None,
) -> SearchState:
    """Returns the state one generation later; the archive takes in what is new.

    Args:
        archive: everything in `state`, ready to be asked.
        began: when the search began, by `time.perf_counter`.
        first: see `search`; None: only what the algorithm asks for.
    """
    _, ask, tell = algorithm.compiled
    tick, before, measure = time.perf_counter(), len(archive), state.measure
    ran_before = evaluate.forwards
    key, ask_key, tell_key = jax.random.split(state.key, 3)
    genotypes, asked = ask(ask_key, state.algorithm, params)
    rows, expected = np.asarray(genotypes), None
    if state.history:
        rows, expected = screen(ask_key, rows, state.algorithm, params, archive)
        genotypes = rows
    elif first is not None:
        rows = np.concatenate([first, rows[len(first) :]]).astype(np.int32)
        genotypes = rows[: algorithm.population_size]
    evaluated(archive, evaluate, rows)
    objectives, violation = archive.lookup(np.asarray(genotypes))
    evaluation = Evaluation(objectives=objectives, violation=violation)  # type: ignore[arg-type]
    told, metrics = tell(tell_key, genotypes, evaluation, asked, params)
    if measure is None and archive.front().size:
        measure = Measure.worst(archive.objectives)
    asked, forwards = len(rows), evaluate.forwards - ran_before
    spared = len(rows) * evaluate.work - forwards
    if state.history:
        last = state.history[-1]
        asked, forwards = asked + last.asked, forwards + last.forwards
        spared += last.spared
    counted = {name: value.item() for name, value in metrics.items()}
    if expected is not None:
        agreed = rank_correlation(expected, objectives[:, screen.quality])
        counted |= {"rank_correlation": agreed} if np.isfinite(agreed) else {}
    now = time.perf_counter()
    generation = Generation(
        generation=len(state.history) + 1,
        asked=asked,
        **_standing(archive, evaluate.names, measure),
        forwards=forwards,
        spared=spared,
        rate=(len(archive) - before) / max(now - tick, 1e-9),
        seconds=now - began,
        metrics=counted,
    )
    return SearchState(
        key=key,
        algorithm=told,
        genotypes=archive.genotypes,
        objectives=archive.objectives,
        violation=archive.violation,
        raced=_memory(evaluate),
        history=(*state.history, generation),
        measure=measure,
    )


def _memory(evaluate: Evaluator | Racing) -> Any:
    return evaluate.memory if isinstance(evaluate, Racing) else ()


def empty_archive(evaluate: Evaluator | Racing) -> Archive:
    """Returns an archive for what `evaluate` will find."""
    space = evaluate.space
    return Archive(len(space), len(evaluate.objectives), space.canonical_rows)


def archive_of(
    evaluate: Evaluator | Racing,
    genotypes: Int[np.ndarray, "n genes"],
    objectives: Float[np.ndarray, "n m"],
    violation: Float[np.ndarray, " n"],
) -> Archive:
    """Returns an archive of what `evaluate` has found, in this order."""
    archive = empty_archive(evaluate)
    archive.add(genotypes, objectives, violation)
    return archive


def evaluated(archive: Archive, evaluate: Evaluator | Racing, rows: np.ndarray) -> None:
    """Evaluates the rows that the archive does not know, and adds them."""
    new = archive.unknown(np.asarray(rows, np.int32))
    if len(new):
        values = evaluate(new)
        archive.add(new, np.asarray(values.objectives), np.asarray(values.violation))


def result_of(
    archive: Archive,
    evaluate: Evaluator | Racing,
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


def _standing(
    archive: Archive, names: tuple[str, ...], measure: Measure | None
) -> dict[str, Any]:
    """Returns what a generation says of everything evaluated so far."""
    objectives = archive.objectives
    finite = np.isfinite(objectives).all(1) & np.isfinite(archive.violation)
    usable = finite & (archive.violation <= 0)
    smallest: Any = objectives[usable].min(0) if usable.any() else [np.inf] * len(names)
    return {
        "evaluations": len(archive),
        "failed": int((~finite).sum()),
        "best": {n: float(v) for n, v in zip(names, smallest, strict=True)},
        "hypervolume": measure(objectives[archive.front()]) if measure else 0.0,
    }
