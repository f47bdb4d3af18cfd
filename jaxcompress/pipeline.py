"""One run from end to end: train, search, fine-tune, compact, save, judge."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree
from rich.console import Console

from jaxcompress import data as datasets, models
from jaxcompress.artifact import Sizes, load, save
from jaxcompress.compress import compact, forward, verify
from jaxcompress.config import Config
from jaxcompress.data import Dataset
from jaxcompress.evolution import NSGA2
from jaxcompress.network import Network, trace
from jaxcompress.objectives import Constraint, Cost, Error, Macs, Quality, Size
from jaxcompress.report import (
    Member,
    SearchProgress,
    comparison_table,
    front_table,
    plot_fronts,
    write_csv,
)
from jaxcompress.search import (
    Evaluator,
    Generation,
    Measure,
    Result,
    greedy,
    ladder,
    non_dominated,
    random_search,
    search,
    uniform_grid,
)
from jaxcompress.space import Plan, Space, genes, importance
from jaxcompress.training import accuracy, adapt, finetune, train

OURS = "search"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run found.

    Attributes:
        dense: the dense network as a row of the report.
        members: all fine-tuned members of all methods.
        front: the saved and tested members of the search's final front.
        hypervolumes: by method, of its fine-tuned front.
        reference: the point of the hypervolume: validation error, log2 bytes.
        result: of the search, before fine-tuning.
    """

    dense: Member
    members: tuple[Member, ...]
    front: tuple[Member, ...]
    hypervolumes: dict[str, float]
    reference: tuple[float, float]
    result: Result


def run(config: Config, directory: Path, console: Console) -> Outcome:
    """Runs a configuration and leaves everything in a directory.

    The test split is read at the very end, once for each saved file.

    Args:
        config: what to do.
        directory: exists; `metrics.jsonl`, `front.csv`, `front.png` and `artifacts/` are
            written there.
        console: where progress and tables go.

    Raises:
        ValueError: something in the configuration does not fit; the message says what.
    """
    keys = dict(zip(STAGES, jax.random.split(jax.random.key(config.seed), 5), strict=True))
    data = datasets.load(
        config.data.name, data_dir=config.data.directory, seed=config.data.seed
    )
    console.print(f"training {config.model} on {data.name}", highlight=False)
    network = _trained(config, data, keys["train"])
    console.print(str(network), highlight=False, soft_wrap=True)
    space = _space(config, network, data)
    shared = adapt(keys["adapt"], network, space, data, config.adapt)

    inputs = data.normalize(data.validation.inputs)
    targets = jnp.asarray(data.validation.targets)
    objectives, constraints = _objectives(config)
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
        method: spread(result.genotypes, result.objectives, config.report.members)
        for method, result in results.items()
    }
    stacked = jnp.asarray(np.concatenate(list(rows.values())))
    plans = jax.vmap(space.decode)(stacked)
    params = finetune(keys["tune"], network, plans, data, config.finetune, shared)
    quality = _validated(network, plans, params, inputs, targets)
    costs = evaluate(np.asarray(stacked)).objectives
    members = [
        Member(method, float(value), float(cost[1]), macs, bits)
        for method, value, cost, macs, bits in zip(
            [m for m, r in rows.items() for _ in r],
            quality,
            np.asarray(costs),
            *_described(network, plans),
            strict=True,
        )
    ]
    hypervolumes = {
        method: measure(
            np.asarray([[1 - m.validation, m.size] for m in members if m.method == method])
        )
        for method in rows
    }

    console.print("saving and testing the front", highlight=False)
    ours = np.asarray([[1 - m.validation, m.size] for m in members if m.method == OURS])
    kept = np.flatnonzero(non_dominated(ours))
    dense, front = _saved(
        network, plans, params, members, kept, data, directory, float_bytes
    )
    for place, member in zip(kept, front, strict=True):
        members[place] = member
    write_csv(directory / "front.csv", [dense, *members])
    title = f"{config.name}: fronts after fine-tuning"
    plot_fronts(directory / "front.png", members, dense, title)
    console.print(front_table(front, dense))
    counts = {method: len(result.archive) for method, result in results.items()}
    console.print(comparison_table(hypervolumes, counts))
    console.print(
        f"hypervolume of (validation error, log2 bytes), reference point "
        f"({reference[0]}, log2 {float_bytes:,}); float32 parameters: {float_bytes:,} bytes",
        highlight=False,
        soft_wrap=True,
    )
    return Outcome(
        dense, tuple(members), tuple(front), hypervolumes, reference, results[OURS]
    )


STAGES = ("model", "train", "adapt", "search", "tune")


def _trained(config: Config, data: Dataset, key: jax.Array) -> Network:
    made, fitted = jax.random.split(key)
    module = models.create(config.model, made, data)
    module, _ = train(fitted, module, data, config.train)
    apply, params = models.as_function(module)
    return trace(apply, params, data.normalize(data.validation.inputs[:2]))


def _space(config: Config, network: Network, data: Dataset) -> Space:
    chosen = config.space
    kinds: list[genes.Gene] = []
    if chosen.channels:
        if chosen.importance == "taylor":
            inputs = data.normalize(data.train.inputs)
            scores = importance.taylor(network, inputs, jnp.asarray(data.train.targets))
        else:
            scores = getattr(importance, chosen.importance)(network)
        kinds.append(genes.ChannelCount(scores, chosen.multiple_of, chosen.minimum))
    kinds.append(genes.WeightBits(chosen.weight_bits, chosen.granularity))
    return Space(network, kinds)


def _objectives(
    config: Config,
) -> tuple[list[Cost | Quality], list[Constraint]]:
    known: dict[str, Cost | Quality] = {"error": Error(), "size": Size(), "macs": Macs()}
    constraints = []
    if config.search.max_size is not None:
        constraints.append(Size() <= config.search.max_size)
    if config.search.max_macs is not None:
        constraints.append(Macs() <= config.search.max_macs)
    return [known[name] for name in config.search.objectives], constraints


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
    initial = ladder(space, (3,) * len(space.kinds))[: config.search.population]
    algorithm = NSGA2(
        config.search.population, space, len(evaluate.objectives), initial=initial
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
        steps = tuple(min(6, int(max(space.cardinality[k]))) for k in space.kinds)
        results["uniform"] = uniform_grid(evaluate, steps, measure)
        results["greedy"] = greedy(evaluate, measure)
        count = len(results[OURS].archive)
        results["random"] = random_search(chance, evaluate, count, initial, measure)
    return results


def spread(genotypes: np.ndarray, objectives: np.ndarray, count: int) -> np.ndarray:
    """Returns members of the front of the first two objectives, spread evenly in size.

    Args:
        genotypes: int32 [F, D]; objectives: float32 [F, M], error and size first.
        count: how many at most.
    """
    rows = np.flatnonzero(non_dominated(objectives[:, :2]))
    sizes = np.log2(objectives[rows, 1])
    wanted = np.linspace(sizes.min(), sizes.max(), count)
    chosen: list[int] = []
    for size in wanted:
        free = [i for i in range(len(rows)) if i not in chosen]
        if free:
            chosen.append(min(free, key=lambda i, s=size: abs(sizes[i] - s)))
    return genotypes[rows[chosen]]


def _validated(
    network: Network, plans: Plan, params: PyTree, inputs: Any, targets: Any
) -> np.ndarray:
    """Returns the validation accuracy of every member, float64 [P]."""

    @jax.jit
    def correct(plan: Plan, member: PyTree, x: Any, y: Any) -> jax.Array:
        outputs = forward(network, plan, x, member)
        return (jnp.argmax(outputs, axis=-1) == y).sum()

    count = jax.tree.leaves(plans)[0].shape[0]
    counts = [
        int(correct(_member(plans, i), _member(params, i), inputs, targets))
        for i in range(count)
    ]
    return np.asarray(counts) / len(targets)


def _described(network: Network, plans: Plan) -> tuple[list[float], list[float]]:
    """Returns MACs and mean bits of a surviving weight, of every member."""

    def one(plan: Plan) -> tuple[jax.Array, jax.Array]:
        alive = network.alive(plan.channels)
        total, entries = jnp.zeros(()), jnp.zeros(())
        for path, bits in plan.weight_bits.items():
            count = jnp.ones(())
            for column in network.columns(path):
                count = count * network.layout.mask(column, alive).sum()
            total, entries = total + bits * count, entries + count
        return network.count_macs(alive), total / jnp.maximum(entries, 1.0)

    macs, bits = jax.jit(jax.vmap(one))(plans)
    return [float(m) for m in macs], [float(b) for b in bits]


def _member(tree: Any, place: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[place], tree)


def _saved(
    network: Network,
    plans: Plan,
    params: PyTree,
    members: list[Member],
    kept: np.ndarray,
    data: Dataset,
    directory: Path,
    float_bytes: int,
) -> tuple[Member, list[Member]]:
    """Compacts, checks, saves and tests; returns the dense network and the front."""
    folder = directory / "artifacts"
    folder.mkdir()
    inputs = data.normalize(data.validation.inputs)
    labels = data.validation.targets
    dense = Member(
        "dense",
        accuracy(network.apply, network.params, inputs, labels),
        float(float_bytes),
        float(network.macs),
        32.0,
    )
    dense = _judged(dense, network, folder / "dense.jcz", data)
    front = []
    for number, place in enumerate(sorted(kept, key=lambda i: members[i].size)):
        plan, own = _member(plans, place), _member(params, place)
        small = compact(network, plan, own)
        verify(network, plan, small, inputs, own)
        member = members[place]
        front.append(_judged(member, small, folder / f"front-{number:02}.jcz", data))
    by_size = {m.size: m for m in front}
    return dense, [by_size[members[place].size] for place in kept]


def _judged(member: Member, network: Network, path: Path, data: Dataset) -> Member:
    """Saves a network and tests the file: the one place where the test split is read."""
    sizes: Sizes = save(
        path,
        network,
        {
            "validation_accuracy": member.validation,
            "macs": network.macs,
            "mean": list(data.mean),
            "std": list(data.std),
        },
    )
    loaded = load(path)
    call: Callable[..., Any] = lambda _, x: loaded(x)  # noqa: E731
    inputs = data.normalize(data.test.inputs)
    test = accuracy(call, None, inputs, data.test.targets)
    return replace(
        member,
        test=test,
        parameters=sizes.parameters,
        file=sizes.file,
        path=f"artifacts/{path.name}",
    )
