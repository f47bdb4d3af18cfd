"""One run from end to end, stage by stage; what a finished stage gave is kept.

A run that was stopped goes on after its last finished stage, and inside the search after
its last checkpoint. A stage takes from those before what they saved and nothing else, so
that it does the same after a stop.
"""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import PyTree
from rich.console import Console

from jaxcompress import models
from jaxcompress.assemble import initial_of
from jaxcompress.config import Config
from jaxcompress.fine_tuned import fine_tuned, rows, with_test_errors
from jaxcompress.given import Given, given, traced
from jaxcompress.job import KEYS, Job
from jaxcompress.merging import merging
from jaxcompress.network import Network
from jaxcompress.objectives import Energy
from jaxcompress.prepared import by_magnitude, prepared
from jaxcompress.processes import from_first
from jaxcompress.report import (
    Member,
    comparison_table,
    front_table,
    plot_fronts,
    save_and_judge,
    write_csv,
)
from jaxcompress.run_directory import (
    CONFIG,
    check_new,
    checked,
    made,
    new_path,
    reopened,
)
from jaxcompress.search import (
    Evaluator,
    Measure,
    Result,
    archive_of,
    greedy,
    grid_steps,
    non_dominated,
    random_search,
    result_of,
    uniform_grid,
)
from jaxcompress.searched import OURS, searched
from jaxcompress.space import Plan
from jaxcompress.starting_point import starting_point
from jaxcompress.training import train


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run found.

    Attributes:
        directory: where everything was written.
        network: the dense network.
        dense: the dense network as a row of the report.
        members: all fine-tuned members of all methods.
        front: the saved and tested members of the search's final front.
        hypervolumes: by method, of its fine-tuned front, by validation errors.
        test_hypervolumes: likewise, of the same members by test errors.
        reference: the point of the hypervolumes: error, log2 bytes.
        result: of the search, before fine-tuning.
        evaluations: of different genotypes, by the search and all that came before it:
            how sensitive groups are, what was decided first, where to begin.
    """

    directory: Path
    network: Network
    dense: Member
    members: tuple[Member, ...]
    front: tuple[Member, ...]
    hypervolumes: dict[str, float]
    test_hypervolumes: dict[str, float]
    reference: tuple[float, float]
    result: Result
    evaluations: int


def run(config: Config, out: Path | None, console: Console) -> Outcome:
    """Runs a configuration and leaves everything in a directory.

    The test split is read at the very end, once for each member. Many processes run it
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
    path = out or new_path(config)
    from_first(partial(check_new, path))
    start = _given(config)  # nothing is written before the input has proved good
    with made(config, path) as place:
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
        console.print(f"going on with {directory}", highlight=False, soft_wrap=True)
        return _run(Job(config, *_given(config), place, console))


def _given(config: Config) -> tuple[Given, dict[str, jax.Array]]:
    """Returns what is named, and the keys."""
    keys = dict(zip(KEYS, jax.random.split(jax.random.key(config.seed), 5), strict=True))
    return given(config, keys["model"]), keys


def _run(job: Job) -> Outcome:
    network = _trained(job)
    reference = (job.config.report.reference_error, float(np.log2(4 * network.size)))
    judged = Measure((0, 1), reference, logged=(1,))
    evaluate, shared, begin, measure, before = prepared(job, network, judged)
    job.say(f"individuals are evaluated {evaluate} (the first call compiles)")
    start = starting_point(job, evaluate, shared, measure, before, OURS, 2)
    ours, chance = jax.random.split(job.keys["search"])
    found, shared = searched(job, evaluate, shared, measure, start, ours, before)
    evaluate = evaluate.under(shared)  # those of the end for all that it is compared with
    if job.config.adapt.every:  # trained under what was found
        begin = shared
    results, spaces = {OURS: found}, {}
    if job.config.report.baselines:
        count = before + start.spent + found.evaluations
        initial = start.rows
        if job.config.search.initial == "descent":  # chance does not know it
            initial = initial_of(job.config, evaluate.space)
        other = by_magnitude(job, evaluate, shared)
        results |= _baselines(job, evaluate, other, measure, initial, chance, count)
        if other is not None:
            spaces["magnitude"] = other.space
    plans, params, members = fine_tuned(
        job, evaluate, shared, begin, measure, results, spaces
    )
    members = _with_energy(job, network, plans, members)
    dense, members, front = from_first(lambda: _saved(job, network, plans, params, members))
    volumes, test_volumes = (
        {
            method: judged(_points([m for m in members if m.method == method], error))
            for method in results
        }
        for error in ("validation_error", "test_error")
    )
    counts = {method: result.evaluations for method, result in results.items()}
    counts[OURS] += before + start.spent
    job.console.print(front_table(front, dense, job.given.quality.unit))
    most, tuned = job.config.report.members, job.config.finetune.epochs > 0
    job.console.print(comparison_table(volumes, test_volumes, counts, most, tuned))
    job.say(
        "hypervolumes of (error, log2 bytes of parameters), reference point "
        f"({reference[0]}, log2 of the {4 * network.size:,} bytes of float32 parameters)"
    )
    job.place.kept("report", dict, job.config.search.generations)  # the run is finished
    path, ours = job.place.path, results[OURS]
    return Outcome(
        directory=path,
        network=network,
        dense=dense,
        members=tuple(members),
        front=tuple(front),
        hypervolumes=volumes,
        test_hypervolumes=test_volumes,
        reference=reference,
        result=ours,
        evaluations=counts[OURS],
    )


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
    key, data, how = job.keys["train"], start.data, config.train
    with job.training(f"training {config.model} on {data.name}") as progress:
        module, _ = train(key, module, data, how, start.loss, progress.update)
    return models.as_function(module)[1]


def _with_energy(
    job: Job, network: Network, plans: Plan, members: list[Member]
) -> list[Member]:
    energy = Energy(job.config.search.dataflow, job.config.search.energy_table)
    found = jax.jit(jax.vmap(lambda plan: energy(network, plan)))(plans)
    return [
        replace(member, energy=value)
        for member, value in zip(members, found.tolist(), strict=True)
    ]


def _baselines(
    job: Job,
    evaluate: Evaluator,
    other: Evaluator | None,
    measure: Measure,
    initial: np.ndarray,
    key: jax.Array,
    count: int,
) -> dict[str, Result]:
    """Runs what the search is compared with, at most about `count` evaluations each.

    Args:
        other: see `by_magnitude`.
    """
    steps = grid_steps(evaluate.space, count)
    grid = partial(uniform_grid, steps=steps, measure=measure)
    methods: dict[str, tuple[Evaluator, Callable[[Evaluator], Result]]] = {
        "uniform": (evaluate, grid),
        "greedy": (evaluate, partial(greedy, measure=measure, cost=evaluate.names[1])),
        "random": (
            evaluate,
            lambda telling: random_search(key, telling, count, initial, measure),
        ),
    }
    if other is not None:
        methods["magnitude"] = other, grid
    results = {}
    for name, (own, method) in methods.items():

        def compute(
            name: str = name,
            own: Evaluator = own,
            method: Callable[[Evaluator], Result] = method,
        ) -> dict[str, np.ndarray]:
            with job.evaluating(f"baseline: {name}") as progress:
                return method(own.telling(progress.update)).archive.columns

        found = job.place.kept(name, compute, job.config.search.generations)
        results[name] = result_of(archive_of(own, **found), own, measure)
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
    ours = _points([m for m in members if m.method == OURS], "validation_error")
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
            "config": hashlib.sha256((path / CONFIG).read_bytes()).hexdigest(),
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
    members = with_test_errors(job, network, plans, params, members)
    write_csv(path / "front.csv", [dense, *members])
    title = f"{config.name}: fronts after fine-tuning"
    plot_fronts(path / "front.png", members, dense, title, job.given.quality.unit)
    return dense, members, front


def _points(members: list[Member], error: str) -> np.ndarray:
    """Returns that error and the bytes of each member, float64 [P, 2]."""
    return np.asarray([[getattr(m, error), m.size] for m in members])
