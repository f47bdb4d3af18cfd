"""What is searched: the space, the weights in it, and what was decided before."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxcompress.assemble import kinds_of, measured, space_of
from jaxcompress.evaluator_of import evaluator_of, measure_of
from jaxcompress.fine_tuned import rows
from jaxcompress.job import Job
from jaxcompress.network import Network
from jaxcompress.search import Evaluator, Measure, cheapest
from jaxcompress.searched import searched
from jaxcompress.space import Plan, Space
from jaxcompress.starting_point import starting_point
from jaxcompress.training import adapt, finetune, pruned_library

FIRST = "first"
FIRST_ALONE = ("generations", "mutation", "error_threshold")  # not those of the search


def prepared(
    job: Job, network: Network, judged: Measure
) -> tuple[Evaluator, PyTree, Measure]:
    """Makes the space, trains the shared weights, and says how both are evaluated.

    Args:
        judged: how fronts of files are measured.

    Returns:
        The evaluator, the weights, and how the search is measured.
    """
    config, place, data = job.config, job.place, job.given.data
    quality, loss = job.given.quality, job.given.loss
    known = place.kept("space", lambda: measured(config, network, data, loss, quality))
    if config.library.members:
        plans, shared = _library(job, network)
        space = space_of(config, network, known, library=plans)
    else:
        space = space_of(config, network, known)

        def compute() -> PyTree:
            params = adapt(job.keys["adapt"], network, space, data, config.adapt, loss)
            return network.leaves(params)

        leaves = jax.tree.map(jnp.asarray, place.kept("adapt", compute))
        shared = network.unflatten(leaves)
    evaluate = evaluator_of(job, network, space, shared)
    measure = measure_of(evaluate, judged)
    if config.first.kinds:
        space, shared = _decided(job, network, known, shared, measure)
        evaluate = evaluator_of(job, network, space, shared)
    return evaluate, shared, measure


def _decided(
    job: Job,
    network: Network,
    known: dict[str, dict[str, np.ndarray]],
    shared: PyTree,
    measure: Measure,
) -> tuple[Space, PyTree]:
    """Searches the kinds that come first, and fine-tunes what they chose.

    Returns:
        The space in which these are fixed, and the fine-tuned parameters.
    """
    config, chosen = job.config, job.config.first
    own = {name: getattr(chosen, name) for name in FIRST_ALONE}
    search = config.search.model_copy(update=own)
    adapt_once = config.adapt.model_copy(update={"every": 0})  # fine-tuned after it
    other = config.model_copy(update={"search": search, "adapt": adapt_once})
    alone = replace(job, config=other)
    kinds = kinds_of(config, network, known)
    others = {name: None for name in kinds if name not in chosen.kinds}
    evaluate = evaluator_of(
        alone, network, space_of(config, network, known, others), shared
    )

    def compute() -> dict[str, PyTree]:
        initial, _ = starting_point(alone, evaluate, shared, FIRST, 3)
        key = jax.random.fold_in(job.keys["search"], 1)
        result, _ = searched(alone, evaluate, shared, measure, initial, key, "first_search")
        found = cheapest(
            result.genotypes, result.objectives, result.names, chosen.error_threshold
        )
        plan = jax.tree.map(lambda leaf: leaf[None], evaluate.space.decode(found))
        job.say("fine-tuning what was decided first")
        key, data = jax.random.fold_in(job.keys["tune"], 1), job.given.data
        # Learned scales would be of a plan that is not the last.
        how = config.finetune.model_copy(update={"scales": "fitted"})
        tuned = finetune(key, network, plan, data, how, shared, job.given.loss)
        return {"genotype": found, "params": network.leaves(rows(tuned, 0))}

    found = job.place.kept(FIRST, compute)
    parts = dict(zip(kinds, evaluate.space.kinds, strict=True))
    fixed = {name: found["genotype"][parts[name]] for name in chosen.kinds}
    leaves = jax.tree.map(jnp.asarray, found["params"])
    return space_of(config, network, known, fixed), network.unflatten(leaves)


def _library(job: Job, network: Network) -> tuple[Plan, PyTree]:
    """Returns plans and parameters of the pruned networks, every leaf [L, ...]."""
    config = job.config.library

    def compute() -> PyTree:
        job.say(f"pruning {config.members} networks in {config.steps} steps each")
        key, loss = job.keys["adapt"], job.given.loss
        plans, params = pruned_library(key, network, job.given.data, config, loss)
        pruned = {"sparsity": plans.sparsity, "channels": plans.channels}
        return {"plans": pruned, "params": network.leaves(params)}

    found = jax.tree.map(jnp.asarray, job.place.kept("library", compute))
    # An empty mapping leaves nothing to save.
    return Plan(**found["plans"]), network.unflatten(found["params"])
