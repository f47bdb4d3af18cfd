"""A few members of every front, fine-tuned: what is saved, shown and compared."""

from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from jaxcompress.artifact import parameter_bytes
from jaxcompress.compress import coded_parameters, compiled_forward, reestimate
from jaxcompress.job import Job
from jaxcompress.network import Network
from jaxcompress.objectives import Macs
from jaxcompress.report import Member, error_of
from jaxcompress.search import Evaluator, Measure, Result, representatives
from jaxcompress.space import Plan
from jaxcompress.training import finetune


def fine_tuned(
    job: Job,
    evaluate: Evaluator,
    shared: PyTree,
    measure: Measure,
    results: dict[str, Result],
) -> tuple[Plan, PyTree, list[Member]]:
    """Fine-tunes a few members of every front.

    Returns:
        Plans and parameters, every leaf [P, ...], and the P members.
    """
    config, network, space = job.config, evaluate.network, evaluate.space
    chosen = {
        method: representatives(
            result.genotypes, result.objectives, config.report.members, measure
        )
        for method, result in results.items()
    }
    stacked = np.concatenate(list(chosen.values()))
    plans = jax.device_get(jax.jit(jax.vmap(space.decode))(stacked))
    taken, plans = plans.member, plans.replace(member=None)

    def compute() -> dict[str, Any]:
        job.say("fine-tuning the fronts")
        before = jax.tree.map(
            # Of a library each begins with the parameters of its member.
            lambda leaf: np.stack([leaf] * len(stacked)) if taken is None else leaf[taken],
            jax.device_get(shared),
        )
        key, data = job.keys["tune"], job.given.data
        # Early stopping with a few stops: the validation split says which was the best.
        stops = [before]
        if config.finetune.epochs:
            tune = config.finetune
            stops.append(finetune(key, network, plans, data, tune, shared, job.given.loss))
        if config.reestimate:
            some = data.normalize(
                data.train.some(config.reestimate, config.data.seed).inputs
            )
            stops += [_repaired(network, plans, params, some) for params in stops]
        errors = np.stack([_errors(job, network, plans, params) for params in stops])
        best_stop = len(stops) - 1 - errors[::-1].argmin(axis=0)  # the last of equals
        every = np.arange(len(stacked))
        best = jax.tree.map(lambda *leaves: np.stack(leaves)[best_stop, every], *stops)
        return {"params": network.leaves(best), "errors": errors.min(axis=0)}

    found = job.place.kept("finetune", compute, config.search.generations)
    params = network.unflatten(found["params"])
    macs = jax.jit(jax.vmap(lambda plan: Macs()(network, plan)))(plans)
    sizes = [
        float(parameter_bytes(*coded_parameters(network, rows(plans, i), rows(params, i))))
        for i in range(len(stacked))
    ]
    methods = [method for method, part in chosen.items() for _ in part]
    columns = zip(methods, found["errors"].tolist(), sizes, macs.tolist(), strict=True)
    return plans, params, [Member(*column) for column in columns]


def _errors(job: Job, network: Network, plans: Plan, params: PyTree) -> np.ndarray:
    """Returns the validation error of every member, float64 [P]; inf: not finite."""
    start, run = job.given, compiled_forward(network)
    inputs = start.data.normalize(start.data.validation.inputs)
    targets = np.asarray(start.data.validation.targets)

    def error(i: int) -> float:
        plan, own = rows(plans, i), rows(params, i)
        return error_of(lambda x: run(plan, x, own), start.quality, inputs, targets)

    errors = [error(i) for i in range(jax.tree.leaves(plans)[0].shape[0])]
    return np.nan_to_num(errors, nan=np.inf, posinf=np.inf)


def _repaired(network: Network, plans: Plan, params: PyTree, inputs: Any) -> PyTree:
    """Returns every member's parameters with the batch-norm statistics of its plan."""
    run = jax.jit(lambda plan, params: reestimate(network, plan, inputs, params))
    count = jax.tree.leaves(plans)[0].shape[0]
    trees = [jax.device_get(run(rows(plans, i), rows(params, i))) for i in range(count)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def rows(tree: PyTree, places: Any) -> PyTree:
    """Returns one member, or some of them."""
    return jax.tree.map(lambda leaf: leaf[places], tree)
