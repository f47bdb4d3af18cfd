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
from jaxcompress.artifact import Sizes
from jaxcompress.compress import compiled_forward, reestimate, verify
from jaxcompress.models.published import PUBLISHED, load
from jaxcompress.objectives import Constraint
from jaxcompress.report import error_of
from jaxcompress.search import ladder
from jaxcompress.space import genes
from jaxcompress.training import members_mesh, seen_inputs, train, tune


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


@dataclass(frozen=True)
class Prepared:
    """A network, what may be done to it, and shared weights for all plans.

    Attributes:
        x: normalised training images, as training sees them, to estimate batch norm by.
        dense: the sizes of the dense network's file.
        of_dense: by objective what the dense network has.
    """

    given: argparse.Namespace
    task: Task
    images: data.Dataset
    network: jc.Network
    space: jc.Space
    shared: Any
    x: Any
    dense: Sizes
    of_dense: dict[str, float]

    @property
    def bounds(self) -> dict[str, float]:
        """Of each bounded objective the largest value.

        Of the size that of the parameter part, which is what the objective estimates.
        """
        shares = self.task.bounds.items()
        bounds = {name: share * self.of_dense[name] for name, share in shares}
        if "size" in bounds:
            bounds["size"] -= self.dense.file - self.dense.parameters
        return bounds

    def cost(self, name: str) -> jc.objectives.Cost:
        """Returns the objective of a name."""
        if name == "size":
            return jc.objectives.Size("range", self.shared)
        return jc.objectives.Macs() if name == "macs" else jc.objectives.Energy("X:Y")

    def key(self, use: int) -> Any:
        """Returns the key of a use: 0 shared weights, 1 the search, 2 fine-tuning."""
        return jax.random.split(jax.random.key(self.given.seed), 4)[use]

    def saved(self, path: Path, plan: jc.Plan, own: Any) -> tuple[jc.Network, Sizes]:
        """Saves a member; returns it and the sizes of its file."""
        small = jc.compact(self.network, plan, own)
        return small, jc.save(path, small, coding="range")


def energy_at_16_bits(network: jc.Network) -> float:
    """Returns the energy with 16-bit weights, what the EMOMC paper compares with."""
    bits = {layer.weight: jnp.int32(16) for layer in network.layers}
    return float(jc.objectives.Energy("X:Y")(network, jc.Plan(weight_bits=bits)))


def prepared(given: argparse.Namespace, clock: Clock) -> Prepared:
    """Returns the network and its space, ready to be searched."""
    task = TASKS[given.network]
    images, apply, params = dense(given, clock)
    clock("trace and score")
    network = jc.trace(apply, params, jnp.zeros((2, 32, 32, 3)))
    some = images.train.some(1024, given.seed)
    x = images.normalize(some.inputs)
    scores = jc.importance.taylor(network, x, jnp.asarray(some.targets))
    space = jc.Space(network, task.kinds(scores, jc.calibrate(network, x)))
    with tempfile.TemporaryDirectory() as folder:
        whole = replace(network, apply=network.interpret)
        sizes = jc.save(Path(folder) / "dense.jcz", whole, coding="range")
    of_dense = {
        "macs": float(network.macs),
        "size": float(sizes.file),
        "energy": energy_at_16_bits(network),
    }
    config = tuning(given, given.adapt_epochs, learning_rate=1e-3)
    seen = seen_inputs(images, 1024, given.seed, config)
    before = Prepared(given, task, images, network, space, params, seen, sizes, of_dense)
    clock("adapt")
    shared = jc.adapt(before.key(0), network, space, images, config)
    return replace(before, shared=shared)


def tuning(given: argparse.Namespace, epochs: int, **more: Any) -> jc.TuneConfig:
    """Returns how weights are trained under the statistics of each batch."""
    return jc.TuneConfig(
        epochs=epochs,
        batch_size=given.batch,
        shift=4,
        flip=True,
        batch_norm="trained",
        **more,
    )


def searched(p: Prepared) -> jc.Result:
    """Returns what NSGA-II found for the error and what is bounded."""
    given, few, names = p.given, slice(p.given.validation), list(p.bounds)
    evaluate = jc.Evaluator(
        p.network,
        p.space,
        (jc.objectives.Error(), *map(p.cost, names)),
        constraints=[Constraint(p.cost(name), p.bounds[name] * 2) for name in names[:-1]],
        inputs=p.images.normalize(p.images.validation.inputs[few]),
        targets=p.images.validation.targets[few],
        params=p.shared,
        calibration=p.x[: given.calibration],
    )
    initial = ladder(p.space, (3,) * len(p.space.kinds))[: given.population]
    algorithm = jc.NSGA2(given.population, p.space, 1 + len(names), initial=initial)
    return jc.search(
        p.key(1),
        algorithm,
        evaluate,
        generations=given.generations,
        on_generation=lambda done: print(f"  {done}", flush=True),
    )


def candidates(p: Prepared, result: jc.Result) -> dict[str, list[int]]:
    """Returns for each bound the places on the front of what may meet it."""
    found: dict[str, list[int]] = {}
    for column, (name, limit) in enumerate(p.bounds.items(), 1):
        for slack in SLACK if name == "size" else (1.0,):
            fits = np.flatnonzero(result.objectives[:, column] <= slack * limit)
            if len(fits):
                best = int(fits[np.argmin(result.objectives[fits, 0])])
                found[name] = list(dict.fromkeys([*found.get(name, []), best]))
        if name not in found:
            raise SystemExit(f"nothing found within {limit} of {name}")
    return found


def fine_tuned(
    p: Prepared, result: jc.Result, places: list[int], epochs: int, fitted: data.Dataset
) -> dict[int, tuple[jc.Plan, Any]]:
    """Returns plan and parameters of each, on the host.

    Averaged weights have other statistics than those of the last batches.
    """
    given = p.given
    config = tuning(
        given,
        epochs,
        learning_rate=given.tune_rate,
        weight_decay=given.tune_decay,
        distillation=given.distillation,
        temperature=given.temperature,
        scales="learned" if p.task.bits else "fitted",
        ema=0.998,
    )
    plans = jax.vmap(p.space.decode)(result.genotypes[np.asarray(places)])
    mesh = members_mesh(len(places))
    tuned = tune(p.key(2), p.network, plans, fitted, config, p.shared, mesh=mesh)
    found = {}
    for i, place in enumerate(places):
        trees = (tuned.plans, tuned.params)
        plan, own = jax.tree.map(lambda leaf, i=i: leaf[i], trees)
        found[place] = plan, jax.device_get(reestimate(p.network, plan, p.x, own))
    return found


def chosen(p: Prepared, result: jc.Result) -> tuple[dict[str, int], list[dict[str, float]]]:
    """Returns the place for each bound, and what was tried for it."""
    best, trials = {}, []
    for name, places in candidates(p, result).items():
        best[name] = places[0]
        if len(places) == 1:
            continue
        tried = fine_tuned(p, result, places, p.given.trial_epochs, p.images)
        told = {}
        for place, own in tried.items():
            with tempfile.TemporaryDirectory() as folder:
                _, sizes = p.saved(Path(folder) / "trial.jcz", *own)
            told[place] = {"validation": right(p, *own), "file_bytes": sizes.file}
        limit = p.task.bounds[name] * p.dense.file
        within = [place for place in places if told[place]["file_bytes"] <= limit]
        best[name] = max(within or places[:1], key=lambda at: told[at]["validation"])
        trials += told.values()
        print(f"  {trials}", flush=True)
    return best, trials


def right(p: Prepared, plan: jc.Plan, own: Any) -> float:
    """Returns the share of the validation images that are right."""
    run = compiled_forward(p.network)
    return accuracy(lambda x: run(plan, x, own), p.images, p.images.validation)


def accuracy(forward: Callable[[Any], Any], images: data.Dataset, split: Any) -> float:
    error = jc.objectives.Error()
    return 1.0 - error_of(forward, error, images.normalize(split.inputs), split.targets)


def whole(images: data.Dataset) -> data.Dataset:
    """Returns the images with those of the validation among the training's."""
    parts = (images.train, images.validation)
    inputs, targets = ([getattr(s, f) for s in parts] for f in ("inputs", "targets"))
    every = data.Split(np.concatenate(inputs), np.concatenate(targets))
    return replace(images, train=every)


def judged(p: Prepared, name: str, plan: jc.Plan, own: Any) -> dict[str, Any]:
    """Returns what a member's file holds and how good it is on the test images."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.jcz"
        small, sizes = p.saved(path, plan, own)
        some = p.images.normalize(p.images.validation.inputs[:200])
        verify(p.network, plan, small, some, own)
        test = accuracy(jc.load(path), p.images, p.images.test)
    energy = float(p.cost("energy")(p.network, plan))
    amount = {"macs": small.macs, "size": sizes.file, "energy": energy}
    of_dense = p.of_dense
    return {
        "bound": name,
        "met": amount[name] <= p.task.bounds[name] * of_dense[name],
        "test": test,
        "macs": small.macs,
        "macs_ratio": p.network.macs / small.macs,
        "parameters_bytes": sizes.parameters,
        "file_bytes": sizes.file,
        "bytes_ratio": p.dense.parameters / sizes.parameters,
        "file_ratio": p.dense.file / sizes.file,
        "energy_mj": energy,
        "energy_ratio_to_16_bits": of_dense["energy"] / energy,
    }


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
    clock = Clock()
    p = prepared(given, clock)
    clock("search")
    result = searched(p)
    clock("trials")
    best, trials = chosen(p, result)
    clock("fine-tune")
    all_images = p.task.whole and not given.apart
    fitted = whole(p.images) if all_images else p.images
    places = list(dict.fromkeys(best.values()))
    tuned = fine_tuned(p, result, places, given.tune_epochs, fitted)
    clock("judge")
    rows = []
    for name, place in best.items():
        seen = 1 - float(result.objectives[place, 0])
        validation = None if all_images else right(p, *tuned[place])
        row = {"searched_accuracy": seen, "validation": validation}
        rows.append(row | judged(p, name, *tuned[place]))
        print(rows[-1], flush=True)
    run = jax.jit(p.network.apply)
    found = {
        "command": command(f"gpu/{Path(__file__).stem}"),
        "device": jax.devices()[0].device_kind,
        "versions": versions(),
        "seed": given.seed,
        "network": given.network,
        "bounds": p.task.bounds,
        "dense": {
            "test": accuracy(lambda x: run(p.network.params, x), p.images, p.images.test),
            "macs": p.network.macs,
            "parameters_bytes": p.dense.parameters,
            "file_bytes": p.dense.file,
            "energy_16_bits_mj": p.of_dense["energy"],
        },
        "evaluations": len(result.archive),
        "trained_on_validation": all_images,
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
