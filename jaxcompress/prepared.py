"""What is searched: the space, the weights in it, and what was decided before."""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxcompress.assemble import kinds_of, measured, space_of
from jaxcompress.evaluator_of import evaluator_of, measure_of
from jaxcompress.fine_tuned import rows
from jaxcompress.job import Job
from jaxcompress.network import Network
from jaxcompress.search import (
    Evaluator,
    Measure,
    cheapest,
    grid_steps,
    ladder,
    non_dominated,
)
from jaxcompress.searched import searched
from jaxcompress.space import Plan, Space, importance
from jaxcompress.starting_point import starting_point
from jaxcompress.training import Adapter, adapt, finetune, pruned_library

GRID = 72  # uniform plans, at most, of which the good ones are trained for
MIXED = 0.25  # share of the genes of each of these that another one gives
FIRST = "first"
FIRST_ALONE = ("generations", "mutation", "error_threshold")  # not those of the search


class Prepared(NamedTuple):
    """What a search needs.

    Attributes:
        evaluate: how plans are evaluated, under `shared`.
        shared: the weights that the search sees.
        begin: those with which fine-tuning begins, before focus. It shows the search
            which plans of few bits are worth it, but makes the weights worse for others.
        measure: how the search is measured.
        spent: how many evaluations there were so far.
    """

    evaluate: Evaluator
    shared: PyTree
    begin: PyTree
    measure: Measure
    spent: int


def prepared(job: Job, network: Network, judged: Measure) -> Prepared:
    """Makes the space, trains the shared weights, and says how both are evaluated.

    Args:
        judged: how fronts of files are measured.
    """
    config, place, data = job.config, job.place, job.given.data
    quality, loss = job.given.quality, job.given.loss
    known = place.kept("space", lambda: measured(config, network, data, loss, quality))
    spent = sum(int(count) for count in known.get("evaluations", {}).values())
    if config.library.members:
        plans, shared = _library(job, network)
        begin = shared
        space = space_of(config, network, known, library=plans)
    else:
        space = space_of(config, network, known)

        def compute() -> PyTree:
            key, how = job.keys["adapt"], config.adapt
            if not how.epochs:
                return network.leaves()
            with job.training("training the weights for all plans") as progress:
                found = adapt(key, network, space, data, how, loss, progress.update)
            return network.leaves(found)

        leaves = jax.tree.map(jnp.asarray, place.kept("adapt", compute))
        shared = begin = network.unflatten(leaves)
        if config.adapt.focus:
            shared, own = _focused(job, network, space, shared)
            spent += own
    evaluate = evaluator_of(job, network, space, shared)
    measure = measure_of(evaluate, judged)
    if config.first.kinds:
        space, shared, own = _decided(job, network, known, shared, begin, measure)
        evaluate, spent = evaluator_of(job, network, space, shared), spent + own
        begin = shared
    return Prepared(evaluate, shared, begin, measure, spent)


def _focused(
    job: Job, network: Network, space: Space, shared: PyTree
) -> tuple[PyTree, int]:
    """Trains the shared weights on under uniform plans that are worth it.

    Returns:
        The weights, and how many evaluations it took to find the plans.
    """
    config = job.config
    rows = ladder(space, grid_steps(space, GRID))

    def compute() -> PyTree:
        evaluate = evaluator_of(job, network, space, shared)
        with job.evaluating("finding uniform plans to train the weights for") as progress:
            told = evaluate.telling(progress.update)(rows)
        objectives = np.asarray(told.objectives)
        error, cost = objectives[:, 0], objectives[:, 1]
        good = (error <= config.report.reference_error) & (told.violation <= 0)
        places = np.flatnonzero(good)[non_dominated(objectives[good])]
        if not len(places):
            job.say("no uniform plan has an error of at most report.reference_error")
            return network.leaves(shared)
        chosen = rows[places[np.argsort(-cost[places])]]  # from the least compressing
        key, how = jax.random.fold_in(job.keys["adapt"], 1), config.adapt.focused
        train = Adapter(network, space, job.given.data, how, job.given.loss)
        what = f"training the weights for {len(chosen)} uniform plans on the front"
        with job.training(what) as progress:
            found = train(key, shared, chosen, progress.update, MIXED)
        return network.leaves(found)

    leaves = jax.tree.map(jnp.asarray, job.place.kept("focus", compute))
    return network.unflatten(leaves), len(rows)


def by_magnitude(job: Job, evaluate: Evaluator, shared: PyTree) -> Evaluator | None:
    """Returns an evaluator in whose space the channels with the least weights go first.

    As in Li et al. 2017, Pruning Filters for Efficient ConvNets; see `importance.l1`.

    Returns:
        None where that is the space of the search, or has no place in it: no channel
        counts are searched, or something was decided before.
    """
    config, chosen = job.config, job.config.space
    if not chosen.channels or chosen.masks or chosen.importance == "l1":
        return None
    if config.library.members or config.first.kinds:
        return None
    network = evaluate.network
    known = job.place.kept("space", dict)
    space = space_of(config, network, known | {"scores": importance.l1(network)})
    return evaluator_of(job, network, space, shared)


def _decided(
    job: Job,
    network: Network,
    known: dict[str, dict[str, np.ndarray]],
    shared: PyTree,
    begin: PyTree,
    measure: Measure,
) -> tuple[Space, PyTree, int]:
    """Searches the kinds that come first, and fine-tunes what they chose.

    Args:
        shared, begin, measure: see `Prepared`.

    Returns:
        The space in which these are fixed, the fine-tuned parameters, and how many
        evaluations it took.
    """
    config, chosen = job.config, job.config.first
    own = {name: getattr(chosen, name) for name in FIRST_ALONE}
    if config.search.evaluations is not None:
        own["evaluations"] = config.search.evaluations // 2
    search = config.search.model_copy(update=own)
    adapt_once = config.adapt.model_copy(update={"every": 0})  # fine-tuned after it
    other = config.model_copy(update={"search": search, "adapt": adapt_once})
    own_job = replace(job, config=other)
    kinds = kinds_of(config, network, known)
    others = {name: None for name in kinds if name not in chosen.kinds}
    evaluate = evaluator_of(
        own_job, network, space_of(config, network, known, others), shared
    )

    def compute() -> dict[str, PyTree]:
        start = starting_point(own_job, evaluate, shared, measure, 0, FIRST, 3)
        key = jax.random.fold_in(job.keys["search"], 1)
        result, _ = searched(
            own_job, evaluate, shared, measure, start, key, 0, "first_search"
        )
        found = cheapest(
            result.genotypes, result.objectives, result.names, chosen.error_threshold
        )
        plan = jax.tree.map(lambda leaf: leaf[None], evaluate.space.decode(found))
        key, data = jax.random.fold_in(job.keys["tune"], 1), job.given.data
        # Learned scales would be of a plan that is not the last.
        how = config.finetune.model_copy(update={"scales": "fitted"})
        with job.training("fine-tuning what was decided first") as progress:
            tell, loss = progress.update, job.given.loss
            tuned = finetune(key, network, plan, data, how, begin, loss=loss, on_batch=tell)
        return {
            "genotype": found,
            "params": network.leaves(rows(tuned, 0)),
            "evaluations": np.int32(start.spent + len(result.archive)),
        }

    found = job.place.kept(FIRST, compute)
    parts = dict(zip(kinds, evaluate.space.kinds, strict=True))
    fixed = {name: found["genotype"][parts[name]] for name in chosen.kinds}
    leaves = jax.tree.map(jnp.asarray, found["params"])
    space = space_of(config, network, known, fixed)
    return space, network.unflatten(leaves), int(found["evaluations"])


def _library(job: Job, network: Network) -> tuple[Plan, PyTree]:
    """Returns plans and parameters of the pruned networks, every leaf [L, ...]."""
    config = job.config.library

    def compute() -> PyTree:
        what = f"pruning {config.members} networks in {config.steps} steps each"
        key, loss = job.keys["adapt"], job.given.loss
        # Of many processes each prunes all members; none of them has the files.
        place = job.place.checkpoints("pruning") if jax.process_count() == 1 else None
        data = job.given.data
        with job.training(what) as progress:
            plans, params = pruned_library(
                key, network, data, config, loss, place, progress.update
            )
        pruned = {"sparsity": plans.sparsity, "channels": plans.channels}
        return {"plans": pruned, "params": network.leaves(params)}

    found = jax.tree.map(jnp.asarray, job.place.kept("library", compute))
    # An empty mapping leaves nothing to save.
    return Plan(**found["plans"]), network.unflatten(found["params"])
