"""One run from end to end: train, search, fine-tune, compact, save, judge."""

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree
from rich.console import Console

from jaxcompress import models
from jaxcompress.artifact import parameter_bytes
from jaxcompress.assemble import Given, given, objectives_of, space_of, traced
from jaxcompress.compress import coded_parameters, compiled_forward, reestimate
from jaxcompress.config import Config, write
from jaxcompress.evolution import MOEAD, NSGA2, NSGA3, Decomposed, Genetic, RandomSearch
from jaxcompress.network import Network
from jaxcompress.objectives import Macs, Quality
from jaxcompress.report import (
    Member,
    SearchProgress,
    comparison_table,
    error_of,
    front_table,
    plot_fronts,
    save_and_judge,
    write_csv,
)
from jaxcompress.search import (
    Evaluator,
    Generation,
    Measure,
    Result,
    greedy,
    grid_steps,
    ladder,
    non_dominated,
    random_search,
    representatives,
    search,
    uniform_grid,
)
from jaxcompress.space import Plan
from jaxcompress.training import adapt, finetune, train

OURS = "search"
ALGORITHMS: dict[str, Any] = {
    "nsga2": NSGA2,
    "nsga3": NSGA3,
    "moead": MOEAD,
    "decomposed": Decomposed,
    "random": RandomSearch,
}


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

    The test split is read at the very end, once for each saved file.

    Args:
        config: what to do.
        out: the run directory, new or empty; `runs/NAME-DATE-TIME` if None. The
            configuration, `metrics.jsonl`, `front.csv`, `front.png` and `artifacts/` are
            written there.
        console: where progress and tables go.

    Raises:
        ValueError: something in the configuration does not fit; the message says what.
        OSError: the run directory cannot be made or written.
    """
    keys = dict(zip(STAGES, jax.random.split(jax.random.key(config.seed), 5), strict=True))
    start = given(config, keys["model"])
    directory = _made(config, out)  # nothing is written before the input has proved good
    try:
        return _run(config, directory, start, keys, console)
    except (ValueError, KeyboardInterrupt):
        shutil.rmtree(directory)  # nothing half-written stays
        if out is None and not any(directory.parent.iterdir()):
            directory.parent.rmdir()
        raise


def _run(
    config: Config,
    directory: Path,
    start: Given,
    keys: Mapping[Any, jax.Array],
    console: Console,
) -> Outcome:
    data, apply, params = start.data, start.apply, start.params
    quality, loss = start.quality, start.loss
    if start.module is not None:
        console.print(f"training {config.model} on {data.name}", highlight=False)
        module, _ = train(keys["train"], start.module, data, config.train, loss)
        apply, params = models.as_function(module)
    assert apply is not None
    network = traced(start, apply, params)
    console.print(str(network), highlight=False, soft_wrap=True)
    space = space_of(config, network, data, loss)
    shared = adapt(keys["adapt"], network, space, data, config.adapt, loss)

    inputs = data.normalize(data.validation.inputs)
    targets = jnp.asarray(data.validation.targets)
    objectives, constraints = objectives_of(config, network, shared, quality, directory)
    evaluate = Evaluator(
        network,
        space,
        objectives,
        constraints=constraints,
        inputs=inputs,
        targets=targets,
        params=shared,
    )
    float_bytes = 4 * network.size
    reference = (config.report.reference_error, float(np.log2(float_bytes)))
    measure = Measure((0, 1), reference, logged=(1,))
    results = _searched(config, evaluate, measure, keys["search"], directory, console)

    console.print("fine-tuning the fronts", highlight=False)
    rows = {
        method: representatives(
            result.genotypes, result.objectives, config.report.members, measure
        )
        for method, result in results.items()
    }
    stacked = np.concatenate(list(rows.values()))
    plans = jax.device_get(jax.jit(jax.vmap(space.decode))(stacked))
    before = jax.tree.map(
        lambda leaf: np.stack([leaf] * len(stacked)), jax.device_get(shared)
    )
    tuned = finetune(keys["tune"], network, plans, data, config.finetune, shared, loss)
    # Early stopping with a few stops: the validation split says which was the best.
    stops = [before, tuned]
    if config.reestimate:
        some = data.train.some(config.reestimate, config.data.seed).inputs
        stops += [_repaired(network, plans, p, data.normalize(some)) for p in stops]
    found = np.stack([_errors(network, plans, p, inputs, targets, quality) for p in stops])
    chosen = len(stops) - 1 - found[::-1].argmin(axis=0)  # the last of equal ones
    errors = found.min(axis=0).tolist()
    every = np.arange(len(stacked))
    params = jax.tree.map(lambda *leaves: np.stack(leaves)[chosen, every], *stops)
    macs = jax.jit(jax.vmap(lambda plan: Macs()(network, plan)))(plans)
    sizes = [
        float(
            parameter_bytes(*coded_parameters(network, _rows(plans, i), _rows(params, i)))
        )
        for i in range(len(stacked))
    ]
    methods = [method for method, part in rows.items() for _ in part]
    columns = zip(methods, errors, sizes, macs.tolist(), strict=True)
    members = [Member(*column) for column in columns]
    volumes = {
        method: measure(_points([m for m in members if m.method == method]))
        for method in rows
    }

    console.print("saving and testing the front", highlight=False)
    ours = _points([m for m in members if m.method == OURS])
    kept = np.flatnonzero(non_dominated(ours))
    kept = kept[np.argsort(ours[kept, 1])]
    folder = directory / "artifacts"
    folder.mkdir()
    dense, front = save_and_judge(
        network,
        [members[i] for i in kept],
        _rows(plans, kept),
        _rows(params, kept),
        data,
        folder,
        config.search.coding,
        quality,
    )
    for place, member in zip(kept, front, strict=True):
        members[place] = member
    write_csv(directory / "front.csv", [dense, *members])
    title = f"{config.name}: fronts after fine-tuning"
    plot_fronts(directory / "front.png", members, dense, title, quality.unit)
    console.print(front_table(front, dense, quality.unit))
    counts = {method: len(result.archive) for method, result in results.items()}
    console.print(comparison_table(volumes, counts))
    console.print(
        "hypervolume of (validation error, log2 bytes of parameters), reference point "
        f"({reference[0]}, log2 of the {float_bytes:,} bytes of float32 parameters)",
        highlight=False,
        soft_wrap=True,
    )
    return Outcome(
        directory, dense, tuple(members), tuple(front), volumes, reference, results[OURS]
    )


def _points(members: list[Member]) -> np.ndarray:
    """Returns validation error and bytes of each member, float64 [P, 2]."""
    return np.asarray([[m.validation_error, m.size] for m in members])


STAGES = ("model", "train", "adapt", "search", "tune")


def _made(config: Config, out: Path | None) -> Path:
    """Makes the run directory, with the configuration in it."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = out or Path("runs") / f"{config.name}-{stamp}"
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"--out {path}: is not an empty directory; name a new one")
    path.mkdir(parents=True, exist_ok=True)
    write(config, path / "config.yaml")
    return path.resolve()


def _searched(
    config: Config,
    evaluate: Evaluator,
    measure: Measure,
    key: jax.Array,
    directory: Path,
    console: Console,
) -> dict[str, Result]:
    """Runs the search and, if wanted, the baselines, all with the same first genotypes."""
    space = evaluate.space
    heights = 3 if 3 ** len(space.kinds) <= config.search.population else 2
    initial = ladder(space, (heights,) * len(space.kinds))[: config.search.population]
    kind = ALGORITHMS[config.search.algorithm]
    options: dict[str, Any] = {}
    if issubclass(kind, Genetic):
        options["crossover"] = config.search.crossover
    algorithm = kind(
        config.search.population,
        space,
        len(evaluate.objectives),
        initial=initial,
        **options,
    )
    ours, chance = jax.random.split(key)
    with (
        (directory / "metrics.jsonl").open("w", encoding="utf-8") as log,
        SearchProgress(console, OURS, config.search.generations) as progress,
    ):

        def on_generation(generation: Generation) -> None:
            log.write(json.dumps(asdict(generation)) + "\n")
            log.flush()
            progress.update(generation)

        results = {
            OURS: search(
                ours,
                algorithm,
                evaluate,
                generations=config.search.generations,
                measure=measure,
                on_generation=on_generation,
            )
        }
    if config.report.baselines:
        console.print("baselines: uniform grid, greedy, random", highlight=False)
        steps = grid_steps(space, len(results[OURS].archive))
        results["uniform"] = uniform_grid(evaluate, steps, measure)
        results["greedy"] = greedy(evaluate, measure)
        count = len(results[OURS].archive)
        results["random"] = random_search(chance, evaluate, count, initial, measure)
    return results


def _errors(
    network: Network,
    plans: Plan,
    params: PyTree,
    inputs: Array,
    targets: Array,
    quality: Quality,
) -> np.ndarray:
    """Returns the validation error of every member, float64 [P]; inf: not finite."""
    run = compiled_forward(network)

    def error(i: int) -> float:
        plan, own = _rows(plans, i), _rows(params, i)
        return error_of(lambda x: run(plan, x, own), quality, inputs, np.asarray(targets))

    errors = [error(i) for i in range(jax.tree.leaves(plans)[0].shape[0])]
    return np.nan_to_num(errors, nan=np.inf, posinf=np.inf)


def _repaired(network: Network, plans: Plan, params: PyTree, inputs: Array) -> PyTree:
    """Returns every member's parameters with the batch-norm statistics of its plan."""
    run = jax.jit(lambda plan, params: reestimate(network, plan, inputs, params))
    count = jax.tree.leaves(plans)[0].shape[0]
    trees = [jax.device_get(run(_rows(plans, i), _rows(params, i))) for i in range(count)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def _rows(tree: PyTree, places: Any) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[places], tree)
