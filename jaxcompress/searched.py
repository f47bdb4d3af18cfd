"""One search of a run: it goes on from its last checkpoint, and is logged and shown."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from jaxcompress.assemble import algorithm_of, rates_of
from jaxcompress.job import Job
from jaxcompress.report import SearchProgress
from jaxcompress.search import (
    Evaluator,
    Generation,
    Measure,
    Racing,
    Result,
    Train,
    search_in_legs,
)
from jaxcompress.starting_point import StartingPoint
from jaxcompress.training import Adapter

OURS = "search"


def searched(
    job: Job,
    evaluate: Evaluator,
    shared: PyTree,
    measure: Measure,
    start: StartingPoint,
    key: jax.Array,
    before: int,
    name: str = OURS,
) -> tuple[Result, PyTree]:
    """Runs a search, from its last checkpoint on if it has one.

    Args:
        shared: the weights of `evaluate`.
        start: where it begins.
        before: evaluations before those of `start`. All count where these are bounded.

    Returns:
        What it found, and under which weights: those given, unless `adapt.every` trains
        them within the search.
    """
    config, width = job.config.search, len(evaluate.objectives)
    initial, known = start.rows, start.known
    racing, generations = config.racing, config.generations
    if len(known):
        generations += 1  # the first tells the algorithm what is known
    if config.evaluations is not None:
        new = config.population - (len(initial) if len(known) else 0)
        left = config.evaluations - before - start.spent - len(known) - new
        generations = min(generations, 1 + max(left // config.population, 0))
    way = evaluate if racing is None else Racing(evaluate, racing)
    saves = [] if racing is None else [f"racing at a confidence of {racing:g}"]
    if config.screening > 1:
        saves.append(f"screening, {config.screening} offspring for each that is evaluated")
    if saves:
        job.say(f"{name}: {'; '.join(saves)}")
    algorithm = algorithm_of(job.config, evaluate.space, width, initial, evaluate)
    log_name = "metrics.jsonl" if name == OURS else f"metrics_{name}.jsonl"
    with (
        job.place.log(log_name) as log,
        SearchProgress(job.console, name, generations) as progress,
    ):

        def on_generation(generation: Generation) -> None:
            log.write(json.dumps(_plain(asdict(generation))) + "\n")
            log.flush()
            progress.update(generation)

        return search_in_legs(
            key,
            algorithm,
            way,
            shared,
            _trainer(job, evaluate, name),
            generations=generations,
            every=job.config.adapt.every,
            measure=measure,
            params=rates_of(job.config, algorithm),
            known=known if len(known) else None,
            screening=config.screening,
            alone=start.alone,
            on_generation=on_generation,
            checkpoint_dir=job.place.checkpoints(name),
            checkpoint_every=config.checkpoint_every,
            checkpoints_kept=config.checkpoints_kept,
        )


def _trainer(job: Job, evaluate: Evaluator, name: str) -> Train:
    """Returns what trains the weights within a search; nothing is compiled before that."""

    @cache
    def adapter() -> Adapter:
        how, given = job.config.adapt.within, job.given
        return Adapter(evaluate.network, evaluate.space, given.data, how, given.loss)

    def train(key: jax.Array, weights: PyTree, genotypes: np.ndarray) -> PyTree:
        what = f"{name}: training the weights under the {len(genotypes)} plans of the front"
        with job.training(what) as progress:
            return adapter()(key, weights, genotypes, progress.update)

    return train


def _plain(told: Any) -> Any:
    """Returns what JSON can hold: null for what is not finite, as nothing feasible is."""
    if isinstance(told, Mapping):
        return {name: _plain(value) for name, value in told.items()}
    if isinstance(told, float) and not math.isfinite(told):
        return None
    return told
