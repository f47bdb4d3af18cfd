"""How the plans of a run are evaluated, and how a search of them is measured."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxcompress.assemble import objectives_of
from jaxcompress.job import Job
from jaxcompress.network import Network
from jaxcompress.objectives import Cost, Size
from jaxcompress.search import POPULATION, Evaluator, Measure, mesh_for
from jaxcompress.space import Space
from jaxcompress.training import seen_inputs

CHUNK = 16  # individuals of a call on each device, at most
SPLITS = 16  # of the validation examples, for racing


def evaluator_of(job: Job, network: Network, space: Space, shared: PyTree) -> Evaluator:
    config, data, quality = job.config, job.given.data, job.given.quality
    population = config.search.population
    mesh = mesh_for(population)
    rows = 1 if mesh is None else mesh.shape[POPULATION]
    objectives, constraints = objectives_of(config, network, shared, quality, job.place)
    return Evaluator(
        network,
        space,
        objectives,
        constraints=constraints,
        inputs=data.normalize(data.validation.inputs),
        targets=jnp.asarray(data.validation.targets),
        params=shared,
        calibration=batch_norm_inputs(job, config.search.reestimate),
        # No call of more individuals than there are: all of it is gathered.
        chunk=min(CHUNK, -(-population // rows)),
        splits=1 if config.search.racing is None else SPLITS,
        mesh=mesh,
        precision=config.search.precision,
    )


def measure_of(evaluate: Evaluator, judged: Measure) -> Measure:
    """Returns the hypervolume of the search: of the error and the second objective.

    The reference is that of the files if that is their size; else what the least
    compressing plan costs.
    """
    second, space = evaluate.objectives[1], evaluate.space
    if isinstance(second, Size) or not isinstance(second, Cost):
        return judged
    cost = jax.jit(lambda: second(evaluate.network, space.decode(space.dense)))
    reference = (judged.reference[0], float(np.log2(cost())))
    return replace(judged, reference=reference)


def batch_norm_inputs(job: Job, count: int) -> Any:
    """Returns training inputs to estimate batch norm by; None if none are asked for."""
    config = job.config
    if not count:
        return None
    return seen_inputs(job.given.data, count, config.data.seed, config.finetune)
