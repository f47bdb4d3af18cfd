"""A few members of every front, fine-tuned: what is saved, shown and compared."""

import warnings
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
from jaxcompress.space import Plan, Space
from jaxcompress.training import members_mesh, scaled_plans, tune


def fine_tuned(
    job: Job,
    evaluate: Evaluator,
    shared: PyTree,
    measure: Measure,
    results: dict[str, Result],
    spaces: dict[str, Space],
) -> tuple[Plan, PyTree, list[Member]]:
    """Fine-tunes a few members of every front; a plan of several fronts once.

    Args:
        evaluate, shared, measure: of the search.
        results: by method.
        spaces: by method, where it is not that of the search.

    Returns:
        Plans and parameters, every leaf [P, ...], and the P members.
    """
    config, network = job.config, evaluate.network
    chosen = {
        method: representatives(
            result.genotypes, result.objectives, config.report.members, measure
        )
        for method, result in results.items()
    }
    decoded = [
        jax.device_get(jax.jit(jax.vmap(spaces.get(method, evaluate.space).decode))(part))
        for method, part in chosen.items()
    ]
    every: Plan = jax.tree.map(lambda *leaves: np.concatenate(leaves), *decoded)
    methods = [method for method, part in chosen.items() for _ in part]
    first, same = _distinct(every)
    plans, taken = rows(every, first), rows(every.member, first)

    def compute() -> dict[str, Any]:
        before = jax.tree.map(
            # Of a library each begins with the parameters of its member.
            lambda leaf: np.stack([leaf] * len(first)) if taken is None else leaf[taken],
            jax.device_get(shared),
        )
        key, data, how = job.keys["tune"], job.given.data, config.finetune
        stage = f"tuning-{config.search.generations}"  # its members depend on them
        fitted = plans
        if how.epochs and how.scales == "learned":
            fitted = scaled_plans(network, plans, shared)
        # Early stopping with a few stops: the validation split says which was the best.
        stops = [(fitted.replace(member=None), before)]
        if how.epochs:
            what = f"fine-tuning the fronts, {len(first)} members"
            with warnings.catch_warnings(), job.training(what) as progress:
                # Said below, by the name of the front.
                warnings.filterwarnings("ignore", "member .* stopped", RuntimeWarning)
                tuned = tune(
                    key,
                    network,
                    plans,
                    data,
                    how,
                    shared,
                    job.given.loss,
                    members_mesh(len(first)),
                    # Of many processes each trains all members; none has the files.
                    job.place.checkpoints(stage) if jax.process_count() == 1 else None,
                    progress.update,
                )
            for place in np.flatnonzero(tuned.stopped):
                method = methods[first[place]]
                number = first[place] - methods.index(method) + 1
                job.say(
                    f"member {number} of {method} stopped after "
                    f"{tuned.steps[place]} steps: its loss or gradient was not finite; of "
                    "the weights then and those before training the better ones are kept"
                )
            stops.append((tuned.plans, tuned.params))
        if count := max(config.reestimate, config.search.reestimate):
            some = data.normalize(data.train.some(count, config.data.seed).inputs)
            stops += [(own, _repaired(network, own, params, some)) for own, params in stops]
        errors = np.stack([_errors(job, network, *stop) for stop in stops])
        best_stop = len(stops) - 1 - errors[::-1].argmin(axis=0)  # the last of equals
        own, params = jax.tree.map(
            lambda *leaves: np.stack(leaves)[best_stop, np.arange(len(first))], *stops
        )
        return {
            "params": network.leaves(params),
            "errors": errors.min(axis=0),
            "scales": dict(own.scales),
            "ranges": dict(own.activation_ranges),
        }

    found = job.place.kept("finetune", compute, config.search.generations)
    params = network.unflatten(found["params"])
    plans = plans.replace(
        member=None,
        scales=found.get("scales", {}),
        activation_ranges=found.get("ranges", {}),
    )
    macs = jax.jit(jax.vmap(lambda plan: Macs()(network, plan)))(plans)
    stored = (
        coded_parameters(network, rows(plans, i), rows(params, i))
        for i in range(len(first))
    )
    sizes = np.asarray([parameter_bytes(*each, config.search.coding) for each in stored])
    columns = [column[same].tolist() for column in (found["errors"], 1.0 * sizes, macs)]
    members = [Member(*column) for column in zip(methods, *columns, strict=True)]
    return rows(plans, same), rows(params, same), members


def _distinct(plans: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Returns where each plan comes first, in this order, and of all which of these it is."""
    leaves = jax.tree.leaves(plans)
    numbers = np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)
    _, places, which = np.unique(numbers, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(places)
    return places[order], np.argsort(order)[which]


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
    trees = [
        jax.device_get(reestimate(network, rows(plans, i), inputs, rows(params, i)))
        for i in range(jax.tree.leaves(plans)[0].shape[0])
    ]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def rows(tree: PyTree, places: Any) -> PyTree:
    """Returns one member, or some of them."""
    return jax.tree.map(lambda leaf: leaf[places], tree)
