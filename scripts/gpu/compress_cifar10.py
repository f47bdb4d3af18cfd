"""One network on CIFAR-10 from end to end on an accelerator: search, fine-tune, test.

python scripts/gpu/compress_cifar10.py resnet56 [--tune-epochs 60] [--json FILE]

Each network has a task of its own (see `TASKS`): ResNet-56 loses MACs, ResNet-20 bytes,
VGG-16 energy and bytes. The published ResNets are taken as they are; VGG-16 is trained
first. Channels are ranked, one set of weights is trained a little for all plans, NSGA-II
minimises what is bounded and the error, for which the batch normalisation of every plan
is estimated anew, the least validation errors within each bound are fine-tuned together
with learned scales, and the one with the least validation error after that is saved for
each bound. The test split is read once for the dense network and once for each saved file,
by the loaded file. Data: see CONTRIBUTING.md.
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
        bounds: objective name -> share of the dense network's, at most.
        bits: whether weights have bits, and scales are learned.
    """

    kinds: Callable[[Any, Any], list[Any]]
    bounds: dict[str, float]
    bits: bool


TASKS = {
    "resnet56": Task(
        lambda scores, ranges: [genes.KeepBlock(), genes.ChannelCount(scores, minimum=4)],
        {"macs": 1 / 2.57},
        False,
    ),
    "resnet20": Task(
        lambda scores, ranges: [
            genes.Sparsity((0.0, 0.2, 0.4, 0.6)),
            genes.WeightBits((2, 3, 4)),
        ],
        {"size": 1 / 16},
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
    parser.add_argument("--members", type=int, default=1, help="tuned for each bound")
    parser.add_argument("--tune-epochs", type=int, default=60)
    parser.add_argument("--tune-rate", type=float, default=2e-3)
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
        "size": float(dense_sizes.parameters),
        "energy": energy_at_16_bits(network),
    }
    bounds = {name: share * of_dense[name] for name, share in task.bounds.items()}
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
    clock("fine-tune")
    within = {}
    for place, (name, limit) in enumerate(bounds.items(), 1):
        fits = np.flatnonzero(result.objectives[:, place] <= limit)
        best = fits[np.argsort(result.objectives[fits, 0], kind="stable")]
        if not len(best):
            raise SystemExit(f"nothing found within {limit} of {name}")
        within[name] = best[: given.members].tolist()
    places = sorted({place for found in within.values() for place in found})
    genotypes = result.genotypes[places]
    config = jc.TuneConfig(
        epochs=given.tune_epochs,
        learning_rate=given.tune_rate,
        batch_norm="trained",
        scales="learned" if task.bits else "fitted",
        ema=0.998,
        **shift,
    )
    plans = jax.vmap(space.decode)(genotypes)
    mesh = members_mesh(len(genotypes))
    tuned = tune(keys[2], network, plans, images, config, shared, mesh=mesh)
    clock("judge")
    validation = images.normalize(images.validation.inputs)
    test = images.normalize(images.test.inputs)
    quality = jc.objectives.Error()

    def accuracy(run: Callable[[Any], Any], x: Any, y: np.ndarray) -> float:
        return 1.0 - error_of(run, quality, x, y)

    dense_run = jax.jit(network.apply)
    run = compiled_forward(network)

    def member(i: int) -> tuple[Any, Any]:
        return jax.tree.map(lambda leaf: leaf[i], (tuned.plans, tuned.params))

    def on_validation(i: int) -> float:
        plan, own = member(i)
        targets = images.validation.targets
        return accuracy(lambda x: run(plan, x, own), validation, targets)

    right = [on_validation(i) for i in range(len(places))]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, found in within.items():
            i = max((places.index(place) for place in found), key=lambda i: right[i])
            plan, own = member(i)
            small = jc.compact(network, plan, own)
            verify(network, plan, small, validation[:200], own)
            path = Path(folder) / f"{name}.jcz"
            sizes = jc.save(path, small, coding="range")
            rows.append(
                {
                    "bound": name,
                    "searched_accuracy": 1 - float(result.objectives[places[i], 0]),
                    "validation": right[i],
                    "test": accuracy(jc.load(path), test, images.test.targets),
                    "macs": small.macs,
                    "macs_ratio": network.macs / small.macs,
                    "parameters_bytes": sizes.parameters,
                    "file_bytes": sizes.file,
                    "bytes_ratio": dense_sizes.parameters / sizes.parameters,
                    "file_ratio": dense_sizes.file / sizes.file,
                    "energy_ratio_to_16_bits": of_dense["energy"]
                    / float(costs["energy"](network, plan)),
                    "steps": int(tuned.steps[i]),
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
            "test": accuracy(
                lambda x: dense_run(network.params, x), test, images.test.targets
            ),
            "macs": network.macs,
            "parameters_bytes": dense_sizes.parameters,
            "file_bytes": dense_sizes.file,
        },
        "evaluations": len(result.archive),
        "rows": rows,
    }
    clock("end")
    found["seconds"] = clock.seconds
    file = given.json or RESULTS / "gpu" / f"{given.network}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
