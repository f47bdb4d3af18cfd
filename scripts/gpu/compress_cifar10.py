"""One network on CIFAR-10 from end to end on an accelerator: search, fine-tune, test.

python scripts/gpu/compress_cifar10.py resnet56 [--tune-epochs 60] [--json FILE]

Each network has a task of its own (see `TASKS`): ResNet-56 loses MACs, ResNet-20 bytes,
VGG-16 energy and bytes. The published ResNets are taken as they are; VGG-16 is trained
first. Channels are ranked, one set of weights is trained a little for all plans, and
NSGA-II minimises what is bounded and the error, for which the batch normalisation of every
plan is estimated anew. The least validation error within each bound is fine-tuned with
learned scales. As training makes codes that take fewer bytes, a bound on bytes has several
candidates: within the bound, and some per cent above it. They are trained for
`--trial-epochs`, and the least validation error of those that are within the bound then is
what is fine-tuned, from the start. The published networks saw the validation images in
their training, so once all is chosen they are fine-tuned on them too (`--apart`: they are
not). The test split is read once for the dense network and once for each saved file, by the
loaded file. Data: see CONTRIBUTING.md.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from published_networks import DATA, RESULTS, WEIGHTS, command, versions

import jaxcompress as jc
from jaxcompress import data, models
from jaxcompress.compress import compiled_forward, verify
from jaxcompress.models.published import PUBLISHED, load
from jaxcompress.objectives import Constraint
from jaxcompress.report import error_of
from jaxcompress.search import ladder
from jaxcompress.space import genes
from jaxcompress.training import members_mesh, train, tune


@dataclass(frozen=True)
class Task:
    """What is searched.

    Attributes:
        kinds: (scores, ranges) -> genes.
        bounds: objective name -> share of the dense network's, at most; of the size,
            share of its file.
        bits: whether weights have bits, and scales are learned.
        whole: whether the dense network was trained on the validation images.
    """

    kinds: Callable[[Any, Any], list[Any]]
    bounds: dict[str, float]
    bits: bool
    whole: bool


# Candidates of a bound on bytes are within these multiples of it before they are trained.
SLACK = (1.0, 1.07, 1.14, 1.22)
TASKS = {
    "resnet56": Task(
        lambda scores, ranges: [genes.KeepBlock(), genes.ChannelCount(scores, minimum=4)],
        {"macs": 1 / 2.57},
        False,
        True,
    ),
    "resnet20": Task(
        lambda scores, ranges: [
            genes.Sparsity((0.0, 0.2, 0.4, 0.6)),
            genes.WeightBits((2, 3, 4, 8)),
        ],
        {"size": 1 / 16},
        True,
        True,
    ),
    "vgg16_bn": Task(
        lambda scores, ranges: [
            genes.ChannelCount(scores, multiple_of=8, minimum=16),
            genes.WeightBits((2, 3, 4, 6)),
            genes.ActivationBits(ranges, (4, 6, 8)),
        ],
        {"energy": 1 / 20, "size": 1 / 50},
        True,
        False,
    ),
}


class Clock:
    """Says what began, and keeps how long each stage took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began, self._stage = time.perf_counter(), "start"

    def __call__(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[self._stage] = round(now - self._began, 1)
        self._began, self._stage = now, stage
        print(f"{sum(self.seconds.values()):6.1f} s  {stage}", flush=True)


def dense(given: argparse.Namespace, clock: Clock) -> tuple[data.Dataset, Any, Any]:
    """Returns the images and the dense network."""
    images = data.load("cifar10", data_dir=DATA)
    if given.train_examples:
        images = images.some(given.train_examples, given.validation, given.seed)
    name = f"{given.network}_cifar10"
    if name in PUBLISHED:
        how = PUBLISHED[name]
        images = replace(images, mean=how.mean, std=how.std)
        return images, *models.as_function(load(name, WEIGHTS))
    clock("train")
    config = jc.TrainConfig(
        epochs=given.train_epochs,
        batch_size=256,
        learning_rate=2e-3,
        weight_decay=5e-2,
        shift=4,
        flip=True,
    )
    module = models.create(given.network, given.seed, images)
    module, _ = train(jax.random.key(given.seed), module, images, config)
    return images, *models.as_function(module)


def energy_at_16_bits(network: jc.Network) -> float:
    """Returns the energy with 16-bit weights, what the EMOMC paper compares with."""
    bits = {layer.weight: jnp.int32(16) for layer in network.layers}
    return float(jc.objectives.Energy("X:Y")(network, jc.Plan(weight_bits=bits)))


def main() -> None:
    parser = argparse.ArgumentParser(description="A network of CIFAR-10, compressed.")
    parser.add_argument("network", choices=TASKS)
    parser.add_argument("--train-epochs", type=int, default=60, help="of VGG-16")
    parser.add_argument("--train-examples", type=int, help="all if None")
    parser.add_argument("--validation", type=int, default=2000, help="images of the search")
    parser.add_argument("--calibration", type=int, default=512, help="images, <= 1024")
    parser.add_argument("--adapt-epochs", type=int, default=2)
    parser.add_argument("--population", type=int, default=48)
    parser.add_argument("--generations", type=int, default=16)
    parser.add_argument("--trial-epochs", type=int, default=5)
    parser.add_argument("--tune-epochs", type=int, default=60)
    parser.add_argument("--tune-rate", type=float, default=2e-3)
    parser.add_argument("--tune-decay", type=float, default=2e-2)
    parser.add_argument("--distillation", type=float, default=0.7)
    parser.add_argument("--temperature", type=float, default=4.0)
    parser.add_argument(
        "--apart", action="store_true", help="fine-tune without the validation images"
    )
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    clock, task = Clock(), TASKS[given.network]
    keys = jax.random.split(jax.random.key(given.seed), 4)
    images, apply, params = dense(given, clock)
    clock("trace and score")
    network = jc.trace(apply, params, jnp.zeros((2, 32, 32, 3)))
    some = images.train.some(1024, given.seed)
    x = images.normalize(some.inputs)
    scores = jc.importance.taylor(network, x, jnp.asarray(some.targets))
    space = jc.Space(network, task.kinds(scores, jc.calibrate(network, x)))
    clock("adapt")
    shift = {"shift": 4, "flip": True, "batch_size": given.batch}
    config = jc.TuneConfig(
        epochs=given.adapt_epochs, learning_rate=1e-3, batch_norm="trained", **shift
    )
    shared = jc.adapt(keys[0], network, space, images, config)
    clock("search")
    costs = {
        "macs": jc.objectives.Macs(),
        "size": jc.objectives.Size("range", shared),
        "energy": jc.objectives.Energy("X:Y"),
    }
    with tempfile.TemporaryDirectory() as folder:
        whole = replace(network, apply=network.interpret)
        dense_sizes = jc.save(Path(folder) / "dense.jcz", whole, coding="range")
    of_dense = {
        "macs": float(network.macs),
        "size": float(dense_sizes.file),
        "energy": energy_at_16_bits(network),
    }
    bounds = {name: share * of_dense[name] for name, share in task.bounds.items()}
    if "size" in bounds:  # of the parameter part, which is what the objective estimates
        bounds["size"] -= dense_sizes.file - dense_sizes.parameters
    few = slice(given.validation)
    evaluate = jc.Evaluator(
        network,
        space,
        (jc.objectives.Error(), *(costs[name] for name in bounds)),
        constraints=[
            Constraint(costs[name], bounds[name] * 2) for name in list(bounds)[:-1]
        ],
        inputs=images.normalize(images.validation.inputs[few]),
        targets=images.validation.targets[few],
        params=shared,
        calibration=x[: given.calibration],
    )
    initial = ladder(space, (3,) * len(space.kinds))[: given.population]
    algorithm = jc.NSGA2(given.population, space, 1 + len(bounds), initial=initial)
    result = jc.search(
        keys[1],
        algorithm,
        evaluate,
        generations=given.generations,
        on_generation=lambda done: print(f"  {done}", flush=True),
    )
    clock("trials")
    candidates = {}
    for place, (name, limit) in enumerate(bounds.items(), 1):
        found = []
        for slack in SLACK if name == "size" else (1.0,):
            fits = np.flatnonzero(result.objectives[:, place] <= slack * limit)
            if len(fits):
                found.append(fits[np.argmin(result.objectives[fits, 0])])
        if not found:
            raise SystemExit(f"nothing found within {limit} of {name}")
        candidates[name] = list(dict.fromkeys(found))
    quality, run = jc.objectives.Error(), compiled_forward(network)

    def fine_tuned(
        places: list[int], epochs: int, fitted: data.Dataset
    ) -> dict[int, tuple[jc.Plan, Any]]:
        """Returns plan and parameters of each, on the host."""
        config = jc.TuneConfig(
            epochs=epochs,
            learning_rate=given.tune_rate,
            weight_decay=given.tune_decay,
            distillation=given.distillation,
            temperature=given.temperature,
            batch_norm="trained",
            scales="learned" if task.bits else "fitted",
            ema=0.998,
            **shift,
        )
        plans = jax.vmap(space.decode)(result.genotypes[np.asarray(places)])
        mesh = members_mesh(len(places))
        tuned = tune(keys[2], network, plans, fitted, config, shared, mesh=mesh)
        trees = (tuned.plans, tuned.params)
        return {
            place: jax.tree.map(lambda leaf, i=i: leaf[i], trees)
            for i, place in enumerate(places)
        }

    def right(plan: jc.Plan, own: Any) -> float:
        """Returns the share of the validation images that are right."""
        forward = lambda x: run(plan, x, own)  # noqa: E731
        return 1.0 - error_of(forward, quality, validation, images.validation.targets)

    def file_bytes(plan: jc.Plan, own: Any) -> int:
        with tempfile.TemporaryDirectory() as folder:
            small = jc.compact(network, plan, own)
            return jc.save(Path(folder) / "trial.jcz", small, coding="range").file

    validation = images.normalize(images.validation.inputs)
    chosen, trials = {}, []
    for name, places in candidates.items():
        chosen[name] = places[0]
        if len(places) == 1:
            continue
        tried = fine_tuned(places, given.trial_epochs, images)
        told = {p: (right(*own), file_bytes(*own)) for p, own in tried.items()}
        trials += [{"validation": v, "file_bytes": size} for v, size in told.values()]
        limit = task.bounds[name] * of_dense[name]
        within = [p for p, (_, size) in told.items() if size <= limit]
        chosen[name] = max(within or places[:1], key=lambda p: told[p][0])
        print(f"  {trials}", flush=True)
    clock("fine-tune")
    whole, fitted = task.whole and not given.apart, images
    if whole:
        pairs = (images.train.inputs, images.validation.inputs)
        targets = (images.train.targets, images.validation.targets)
        every = data.Split(np.concatenate(pairs), np.concatenate(targets))
        fitted = replace(images, train=every)
    tuned = fine_tuned(list(dict.fromkeys(chosen.values())), given.tune_epochs, fitted)
    clock("judge")
    test = images.normalize(images.test.inputs)

    def accuracy(forward: Callable[[Any], Any]) -> float:
        return 1.0 - error_of(forward, quality, test, images.test.targets)

    dense_run = jax.jit(network.apply)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, place in chosen.items():
            plan, own = tuned[place]
            small = jc.compact(network, plan, own)
            verify(network, plan, small, validation[:200], own)
            path = Path(folder) / f"{name}.jcz"
            sizes = jc.save(path, small, coding="range")
            rows.append(
                {
                    "bound": name,
                    "searched_accuracy": 1 - float(result.objectives[place, 0]),
                    "validation": None if whole else right(plan, own),
                    "test": accuracy(jc.load(path)),
                    "macs": small.macs,
                    "macs_ratio": network.macs / small.macs,
                    "parameters_bytes": sizes.parameters,
                    "file_bytes": sizes.file,
                    "bytes_ratio": dense_sizes.parameters / sizes.parameters,
                    "file_ratio": dense_sizes.file / sizes.file,
                    "energy_ratio_to_16_bits": of_dense["energy"]
                    / float(costs["energy"](network, plan)),
                }
            )
            print(rows[-1], flush=True)
    found = {
        "command": command(f"gpu/{Path(__file__).stem}"),
        "device": jax.devices()[0].device_kind,
        "versions": versions(),
        "seed": given.seed,
        "network": given.network,
        "bounds": task.bounds,
        "dense": {
            "test": accuracy(lambda x: dense_run(network.params, x)),
            "macs": network.macs,
            "parameters_bytes": dense_sizes.parameters,
            "file_bytes": dense_sizes.file,
        },
        "evaluations": len(result.archive),
        "trained_on_validation": whole,
        "trials": trials,
        "rows": rows,
    }
    clock("end")
    found["seconds"] = clock.seconds
    file = given.json or RESULTS / "gpu" / f"{given.network}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
