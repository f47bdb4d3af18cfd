"""One run from end to end, stage by stage; what a finished stage gave is kept.

A run that was stopped goes on after its last finished stage, and inside the search after
its last checkpoint. A stage takes from those before what they saved and nothing else, so
that it does the same after a stop.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import PyTree
from rich.console import Console

from jaxcompress import models
from jaxcompress.assemble import (
    algorithm_of,
    kinds_of,
    measured,
    objectives_of,
    rates_of,
    space_of,
)
from jaxcompress.config import Config
from jaxcompress.fine_tuned import fine_tuned, rows
from jaxcompress.given import Given, given, traced
from jaxcompress.job import KEYS, Job
from jaxcompress.merging import merging
from jaxcompress.network import Network
from jaxcompress.objectives import Cost, Energy, Size
from jaxcompress.processes import from_first
from jaxcompress.report import (
    Member,
    SearchProgress,
    comparison_table,
    front_table,
    plot_fronts,
    save_and_judge,
    write_csv,
)
from jaxcompress.run_directory import checked, made, new_path, reopened
from jaxcompress.search import (
    Evaluator,
    Generation,
    Measure,
    Racing,
    Result,
    archive_of,
    cheapest,
    greedy,
    grid_steps,
    mesh_for,
    non_dominated,
    random_search,
    result_of,
    search,
    uniform_grid,
)
from jaxcompress.space import Plan, Space
from jaxcompress.starting_point import starting_point
from jaxcompress.training import adapt, finetune, pruned_library, train

OURS = "search"
FIRST = "first"
FIRST_ALONE = ("generations", "mutation", "error_threshold")  # not those of the search
SPLITS = 16  # of the validation examples, for racing


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run found.

    Attributes:
        directory: where everything was written.
        dense: the dense network as a row of the report.
        members: all fine-tuned members of all methods.
        front: the saved and tested members of the search's final front.
        hypervolumes: by method, of its fine-tuned front.
        reference: the point of the hypervolume: validation error, log2 bytes.
        result: of the search, before fine-tuning.
    """

    directory: Path
    dense: Member
    members: tuple[Member, ...]
    front: tuple[Member, ...]
    hypervolumes: dict[str, float]
    reference: tuple[float, float]
    result: Result


def run(config: Config, out: Path | None, console: Console) -> Outcome:
    """Runs a configuration and leaves everything in a directory.

    The test split is read at the very end, once for each saved file. Many processes run it
    together (see `processes`): the search is spread over the devices of all of them, and
    the first writes.

    Args:
        config: what to do.
        out: the run directory, new or empty; `runs/NAME-DATE-TIME` if None. The
            configuration, `metrics.jsonl`, `front.csv`, `front.png`, `artifacts/` and
            `checkpoints/` are written there.
        console: where progress and tables go.

    Raises:
        ValueError: something in the configuration does not fit; the message says what.
        OSError: the run directory cannot be made or written.
    """
    start = _given(config)  # nothing is written before the input has proved good
    with made(config, out or new_path(config)) as place:
        return _run(Job(config, *start, place, console))


def resume(config: Config, directory: Path, console: Console) -> Outcome | None:
    """Goes on with a run that was stopped, to the end it would have had.

    Args:
        config: that of the run, with as many generations or more.
        directory: of the run.
        console: where progress and tables go.

    Returns:
        What the run found; None if it is finished: then no file is touched.

    Raises:
        ValueError: there is no such run, or another process is at it.
        OSError: the run directory cannot be written.
    """
    if checked(config, directory).has("report", config.search.generations):
        return None
    with reopened(config, directory) as place:
        return _run(Job(config, *_given(config), place, console))


def _given(config: Config) -> tuple[Given, dict[str, jax.Array]]:
    """Returns what is named, and the keys."""
    keys = dict(zip(KEYS, jax.random.split(jax.random.key(config.seed), 5), strict=True))
    return given(config, keys["model"]), keys


def _run(job: Job) -> Outcome:
    network = _trained(job)
    reference = (job.config.report.reference_error, float(np.log2(4 * network.size)))
    judged = Measure((0, 1), reference, logged=(1,))
    evaluate, shared, measure = _adapted(job, network, judged)
    initial, spent = starting_point(job, evaluate, shared, OURS, 2)
    ours, chance = jax.random.split(job.keys["search"])
    results = {OURS: _searched(job, evaluate, measure, initial, ours)}
    if job.config.report.baselines:
        count = len(results[OURS].archive) + spent
        results |= _baselines(job, evaluate, measure, initial, chance, count)
    plans, params, members = fine_tuned(job, evaluate, shared, measure, results)
    members = _with_energy(job, network, plans, members)
    dense, members, front = from_first(lambda: _saved(job, network, plans, params, members))
    volumes = {
        method: judged(_points([m for m in members if m.method == method]))
        for method in results
    }
    counts = {method: len(result.archive) for method, result in results.items()}
    counts[OURS] += spent
    job.console.print(front_table(front, dense, job.given.quality.unit))
    job.console.print(comparison_table(volumes, counts))
    job.say(
        "hypervolume of (validation error, log2 bytes of parameters), reference point "
        f"({reference[0]}, log2 of the {4 * network.size:,} bytes of float32 parameters)"
    )
    job.place.kept("report", dict, job.config.search.generations)  # the run is finished
    path, ours = job.place.path, results[OURS]
    return Outcome(path, dense, tuple(members), tuple(front), volumes, reference, ours)


def _trained(job: Job) -> Network:
    """Trains the network, unless it is trained already, and traces it."""
    start = job.given
    apply, params = start.apply, start.params
    if start.module is not None:
        # The function is that of the untrained network, before and after a stop.
        apply, _ = models.as_function(start.module)
        fit = partial(_fit, job, start.module)
        params = jax.tree.map(jnp.asarray, job.place.kept("train", fit))
    assert apply is not None
    network = traced(start, apply, params)
    job.say(str(network))
    return network


def _fit(job: Job, module: nnx.Module) -> PyTree:
    """Returns the parameters of the trained network."""
    config, start = job.config, job.given
    job.say(f"training {config.model} on {start.data.name}")
    module, _ = train(job.keys["train"], module, start.data, config.train, start.loss)
    return models.as_function(module)[1]


def _adapted(
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
    evaluate = _evaluator(job, network, space, shared)
    measure = _measure(evaluate, judged)
    if config.first.kinds:
        space, shared = _decided(job, network, known, shared, measure)
        evaluate = _evaluator(job, network, space, shared)
    return evaluate, shared, measure


def _evaluator(job: Job, network: Network, space: Space, shared: PyTree) -> Evaluator:
    config, data, quality = job.config, job.given.data, job.given.quality
    objectives, constraints = objectives_of(config, network, shared, quality, job.place)
    return Evaluator(
        network,
        space,
        objectives,
        constraints=constraints,
        inputs=data.normalize(data.validation.inputs),
        targets=jnp.asarray(data.validation.targets),
        params=shared,
        calibration=_examples(job, config.search.reestimate),
        splits=1 if config.search.racing is None else SPLITS,
        mesh=mesh_for(config.search.population),
    )


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
    alone = replace(job, config=config.model_copy(update={"search": search}))
    kinds = kinds_of(config, network, known)
    others = {name: None for name in kinds if name not in chosen.kinds}
    evaluate = _evaluator(alone, network, space_of(config, network, known, others), shared)

    def compute() -> dict[str, PyTree]:
        initial, _ = starting_point(alone, evaluate, shared, FIRST, 3)
        key = jax.random.fold_in(job.keys["search"], 1)
        result = _searched(alone, evaluate, measure, initial, key, "first_search")
        found = cheapest(
            result.genotypes, result.objectives, result.names, chosen.error_threshold
        )
        plan = jax.tree.map(lambda leaf: leaf[None], evaluate.space.decode(found))
        job.say("fine-tuning what was decided first")
        key, data = jax.random.fold_in(job.keys["tune"], 1), job.given.data
        tuned = finetune(key, network, plan, data, config.finetune, shared, job.given.loss)
        return {"genotype": found, "params": network.leaves(rows(tuned, 0))}

    found = job.place.kept(FIRST, compute)
    parts = dict(zip(kinds, evaluate.space.kinds, strict=True))
    fixed = {name: found["genotype"][parts[name]] for name in chosen.kinds}
    leaves = jax.tree.map(jnp.asarray, found["params"])
    return space_of(config, network, known, fixed), network.unflatten(leaves)


def _examples(job: Job, count: int) -> Any:
    """Returns training inputs to estimate batch norm by; None if none are asked for."""
    data = job.given.data
    if not count:
        return None
    return data.normalize(data.train.some(count, job.config.data.seed).inputs)


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


def _measure(evaluate: Evaluator, judged: Measure) -> Measure:
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


def _with_energy(
    job: Job, network: Network, plans: Plan, members: list[Member]
) -> list[Member]:
    energy = Energy(job.config.search.dataflow, job.config.search.energy_table)
    found = jax.jit(jax.vmap(lambda plan: energy(network, plan)))(plans)
    return [
        replace(member, energy=value)
        for member, value in zip(members, found.tolist(), strict=True)
    ]


def _searched(
    job: Job,
    evaluate: Evaluator,
    measure: Measure,
    initial: np.ndarray,
    key: jax.Array,
    name: str = OURS,
) -> Result:
    """Runs a search, from its last checkpoint on if it has one."""
    config, width = job.config.search, len(evaluate.objectives)
    racing = config.racing
    way = evaluate if racing is None else Racing(evaluate, racing)
    algorithm = algorithm_of(job.config, evaluate.space, width, initial, evaluate)
    log_name = "metrics.jsonl" if name == OURS else f"metrics_{name}.jsonl"
    with (
        job.place.log(log_name) as log,
        SearchProgress(job.console, name, config.generations) as progress,
    ):

        def on_generation(generation: Generation) -> None:
            log.write(json.dumps(asdict(generation)) + "\n")
            log.flush()
            progress.update(generation)

        return search(
            key,
            algorithm,
            way,
            generations=config.generations,
            measure=measure,
            params=rates_of(job.config, algorithm),
            on_generation=on_generation,
            checkpoint_dir=job.place.checkpoints(name),
            checkpoint_every=config.checkpoint_every,
            checkpoints_kept=config.checkpoints_kept,
        )


def _baselines(
    job: Job,
    evaluate: Evaluator,
    measure: Measure,
    initial: np.ndarray,
    key: jax.Array,
    count: int,
) -> dict[str, Result]:
    """Runs what the search is compared with, about `count` evaluations each."""
    job.say("baselines: uniform grid, greedy, random")
    steps = grid_steps(evaluate.space, count)
    methods: dict[str, Callable[[], Result]] = {
        "uniform": lambda: uniform_grid(evaluate, steps, measure),
        "greedy": lambda: greedy(evaluate, measure, evaluate.names[1]),
        "random": lambda: random_search(key, evaluate, count, initial, measure),
    }
    results = {}
    for name, method in methods.items():

        def compute(method: Callable[[], Result] = method) -> dict[str, np.ndarray]:
            archive = method().archive
            columns = ("genotypes", "objectives", "violation")
            return {column: getattr(archive, column) for column in columns}

        found = job.place.kept(name, compute, job.config.search.generations)
        results[name] = result_of(archive_of(evaluate, **found), evaluate, measure)
    return results


def _saved(
    job: Job, network: Network, plans: Plan, params: PyTree, members: list[Member]
) -> tuple[Member, list[Member], list[Member]]:
    """Saves and tests the search's front; writes the table and plot of all members.

    Returns:
        The dense network, all members and those of the front, with what the tests said.
    """
    config, path = job.config, job.place.path
    job.say("saving and testing the front")
    ours = _points([m for m in members if m.method == OURS])
    wanted = ours
    if "energy" in config.search.objectives:
        own = np.asarray([m.energy for m in members if m.method == OURS], np.float64)
        wanted = np.column_stack([ours, own])
    kept = np.flatnonzero(non_dominated(wanted))
    kept = kept[np.argsort(ours[kept, 1])]
    folder = path / "artifacts"
    shutil.rmtree(folder, ignore_errors=True)  # of fewer generations, or half-written
    folder.mkdir()
    dense, front = save_and_judge(
        network,
        [members[i] for i in kept],
        rows(plans, kept),
        rows(params, kept),
        job.given.data,
        folder,
        config.search.coding,
        job.given.quality,
        {
            "network": config.model,
            "config": hashlib.sha256((path / "config.yaml").read_bytes()).hexdigest(),
        },
        None
        if config.merge == "none"
        else merging(job.given.data, job.given.quality, config.merge),
    )
    energy = Energy(config.search.dataflow, config.search.energy_table)
    whole = jax.jit(lambda: energy(network, Plan()))()
    dense = replace(dense, energy=float(whole))
    members = list(members)
    for place, member in zip(kept, front, strict=True):
        members[place] = member
    write_csv(path / "front.csv", [dense, *members])
    title = f"{config.name}: fronts after fine-tuning"
    plot_fronts(path / "front.png", members, dense, title, job.given.quality.unit)
    return dense, members, front


def _points(members: list[Member]) -> np.ndarray:
    """Returns validation error and bytes of each member, float64 [P, 2]."""
    return np.asarray([[m.validation_error, m.size] for m in members])
