"""One search of a run: it goes on from its last checkpoint, and is logged and shown."""

import json
from dataclasses import asdict

import jax
import numpy as np

from jaxcompress.assemble import algorithm_of, rates_of
from jaxcompress.job import Job
from jaxcompress.report import SearchProgress
from jaxcompress.search import Evaluator, Generation, Measure, Racing, Result, search

OURS = "search"


def searched(
    job: Job,
    evaluate: Evaluator,
    measure: Measure,
    initial: np.ndarray,
    key: jax.Array,
    spent: int,
    name: str = OURS,
) -> Result:
    """Runs a search, from its last checkpoint on if it has one.

    Args:
        spent: evaluations before it; those of a population each are left for the rest.
    """
    config, width = job.config.search, len(evaluate.objectives)
    racing, generations = config.racing, config.generations
    if config.evaluations is not None:
        left = (config.evaluations - spent) // config.population
        generations = min(generations, max(left, 1))
    way = evaluate if racing is None else Racing(evaluate, racing)
    algorithm = algorithm_of(job.config, evaluate.space, width, initial, evaluate)
    log_name = "metrics.jsonl" if name == OURS else f"metrics_{name}.jsonl"
    with (
        job.place.log(log_name) as log,
        SearchProgress(job.console, name, generations) as progress,
    ):

        def on_generation(generation: Generation) -> None:
            log.write(json.dumps(asdict(generation)) + "\n")
            log.flush()
            progress.update(generation)

        return search(
            key,
            algorithm,
            way,
            generations=generations,
            measure=measure,
            params=rates_of(job.config, algorithm),
            on_generation=on_generation,
            checkpoint_dir=job.place.checkpoints(name),
            checkpoint_every=config.checkpoint_every,
            checkpoints_kept=config.checkpoints_kept,
        )
