"""A few members of every front, fine-tuned: what is saved, shown and compared."""

import warnings
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from jaxcompress.artifact import parameter_bytes
from jaxcompress.compress import coded_parameters, compiled_forward, reestimate
from jaxcompress.data import Split
from jaxcompress.evaluator_of import batch_norm_inputs
from jaxcompress.job import Job
from jaxcompress.network import Network
from jaxcompress.objectives import Error, Macs
from jaxcompress.report import Member, error_of
from jaxcompress.search import Evaluator, Measure, Result, representatives
from jaxcompress.search.identity import digest
from jaxcompress.space import Plan, Space
from jaxcompress.training import members_mesh, scaled_plans, tune

LEFT = 2 / 3  # of an error as searched, after fine-tuning: docs/results/cifar10.md


def fine_tuned(
    job: Job,
    evaluate: Evaluator,
    shared: PyTree,
    begin: PyTree,
    measure: Measure,
    results: dict[str, Result],
    spaces: dict[str, Space],
) -> tuple[Plan, PyTree, list[Member]]:
    """Fine-tunes a few members of every front; a plan of several fronts once.

    Args:
        evaluate, shared, measure: of the search.
        begin: weights with which training begins.
        results: by method.
        spaces: by method, where it is not that of the search.

    Returns:
        Plans and parameters, every leaf [P, ...], and the P members.

    Raises:
        ValueError: other members were fine-tuned in the run's directory.
    """
    config, network = job.config, evaluate.network
    if config.finetune.epochs:
        measure = expecting_training(measure, _chance(job))
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
    names = [
        f"member {i + 1} of {m}" for m, part in chosen.items() for i in range(len(part))
    ]
    first, same = _distinct(every)
    plans = rows(every, first)
    mark = np.frombuffer(bytes.fromhex(digest(plans)), np.uint8)

    def compute() -> dict[str, Any]:
        alike = [np.flatnonzero(same == i) for i in range(len(first))]
        called = [" and ".join(names[place] for place in places) for places in alike]
        return _best(job, network, plans, shared, begin, called) | {"plans": mark}

    found = job.place.kept("finetune", compute, config.search.generations)
    if not np.array_equal(found.get("plans", ()), mark):
        raise ValueError(
            f"{job.place.path}: the members that were fine-tuned there are not those that "
            "this version chooses; remove "
            f"{job.place.checkpoints('finetune')} to fine-tune anew"
        )
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
    sizes = [float(parameter_bytes(*each, config.search.coding)) for each in stored]
    columns = [np.asarray(c)[same].tolist() for c in (found["errors"], sizes, macs)]
    members = [Member(*column) for column in zip(methods, *columns, strict=True)]
    return rows(plans, same), rows(params, same), members


def expecting_training(measure: Measure, most: float = np.inf) -> Measure:
    """Returns a measure under which errors as searched rank as what training leaves.

    The volume of errors that shrink to a share is that share of their volume up to a
    reference point as much farther away. The error is the first objective.

    Args:
        most: the error of chance: what has that as searched tells nothing.
    """
    error, *others = measure.reference
    return replace(measure, reference=(max(error, min(error / LEFT, most)), *others))


def _chance(job: Job) -> float:
    classes = job.given.data.num_classes
    if job.given.quality == Error() and classes is not None:
        return 1.0 - 1.0 / classes
    return np.inf


def _best(
    job: Job,
    network: Network,
    plans: Plan,
    shared: PyTree,
    begin: PyTree,
    names: list[str],
) -> dict[str, Any]:
    """Returns each member's parameters at the best of a few stops, and their errors.

    Early stopping: untrained or trained, with batch norm estimated anew or not, as the
    validation split says.
    """
    config, data, taken = job.config, job.given.data, plans.member
    before = jax.tree.map(
        # Of a library each begins with the parameters of its member.
        lambda leaf: np.stack([leaf] * len(names)) if taken is None else leaf[taken],
        jax.device_get(shared),
    )
    fitted = plans
    if config.finetune.epochs and config.finetune.scales == "learned":
        fitted = scaled_plans(network, plans, shared)
    stops = [(fitted.replace(member=None), before)]
    if config.finetune.epochs:
        stops.append(_trained(job, network, plans, begin, names))
    if count := max(config.reestimate, config.search.reestimate):
        some = batch_norm_inputs(job, count)
        stops += [(own, _repaired(network, own, params, some)) for own, params in stops]
    errors = np.stack([_errors(job, network, *stop, data.validation) for stop in stops])
    best = len(stops) - 1 - errors[::-1].argmin(axis=0)  # the last of equals
    own, params = jax.tree.map(
        lambda *leaves: np.stack(leaves)[best, np.arange(len(names))], *stops
    )
    return {
        "params": network.leaves(params),
        "errors": errors.min(axis=0),
        "scales": dict(own.scales),
        "ranges": dict(own.activation_ranges),
    }


def _trained(
    job: Job, network: Network, plans: Plan, begin: PyTree, names: list[str]
) -> tuple[Plan, PyTree]:
    """Returns plans and parameters of the members after training; says who stopped."""
    config = job.config
    stage = f"tuning-{config.search.generations}"  # its members depend on them
    what = f"fine-tuning the fronts, {len(names)} members"
    with warnings.catch_warnings(), job.training(what) as progress:
        # Said below, by the name of the front.
        warnings.filterwarnings("ignore", "member .* stopped", RuntimeWarning)
        tuned = tune(
            job.keys["tune"],
            network,
            plans,
            job.given.data,
            config.finetune,
            begin,
            job.given.loss,
            members_mesh(len(names)),
            # Of many processes each trains all members; none has the files.
            job.place.checkpoints(stage) if jax.process_count() == 1 else None,
            progress.update,
        )
    for place in np.flatnonzero(tuned.stopped):
        job.say(
            f"{names[place]} stopped after {tuned.steps[place]} steps: its loss or "
            "gradient was not finite; of the weights then and those before training the "
            "better ones are kept"
        )
    return tuned.plans, tuned.params


def _distinct(plans: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Returns where each plan comes first, in this order, and which of these each is."""
    leaves = jax.tree.leaves(plans)
    numbers = np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)
    _, places, which = np.unique(numbers, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(places)
    return places[order], np.argsort(order)[which]


def with_test_errors(
    job: Job, network: Network, plans: Plan, params: PyTree, members: list[Member]
) -> list[Member]:
    """Returns members that all have a test error: those without a file their own.

    Equal plans are run once. What a file says is of its network alone, for values of it
    may have been merged.

    Args:
        plans, params: of the members, in the same order, every leaf [P, ...].
    """
    places = np.asarray([i for i, m in enumerate(members) if m.test_error is None], int)
    if not len(places):
        return members
    first, same = _distinct(rows(plans, places))
    some = rows(plans, places[first]), rows(params, places[first])
    errors = _errors(job, network, *some, job.given.data.test)[same]
    found = dict(zip(places.tolist(), errors.tolist(), strict=True))
    return [
        replace(member, test_error=found[i]) if i in found else member
        for i, member in enumerate(members)
    ]


def _errors(
    job: Job, network: Network, plans: Plan, params: PyTree, split: Split
) -> np.ndarray:
    """Returns the error of every member on a split, float64 [P]; inf: not finite."""
    start, run = job.given, compiled_forward(network)
    inputs, targets = split.inputs, np.asarray(split.targets)

    def error(i: int) -> float:
        plan, own = rows(plans, i), rows(params, i)

        def outputs(x: Any) -> Any:  # batch by batch: all may be too large for a device
            return run(plan, start.data.normalize(x), own)

        return error_of(outputs, start.quality, inputs, targets)

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
