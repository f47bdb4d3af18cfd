"""How fast networks are trained: one from scratch, and a front of compressed ones together.

python scripts/benchmark_training.py [--networks resnet20] [--members 1 4 8 16]
    [--batch 128] [--steps 20] [--rounds 3] [--json docs/results/training.json]
    [--table docs/results/training.md]

Random images of CIFAR-10's shape: only the time matters. Dense training stands beside a
plain loop as one would write it: `nnx.Optimizer` with AdamW at one rate, `nnx.jit`, the
same images and augmentation, every batch taken from host memory. A front has channels and
bits drawn at random, learned scales, batch norm and distillation; its members share every
batch and the teacher's forward pass, and lie on as many devices as there are. Median of
some rounds after one that compiles.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx
from published_networks import RESULTS, command, versions, write
from untrained import NETWORKS, untrained

import jaxcompress as jc
from jaxcompress.data import Dataset, Split
from jaxcompress.training import members_mesh, train
from jaxcompress.training.augment import augment
from jaxcompress.training.finetune import scaled_plans
from jaxcompress.training.tuner import Tuner


def random_images(count: int) -> Dataset:
    rng = np.random.default_rng(0)

    def split(size: int) -> Split:
        x = rng.integers(0, 256, (size, 32, 32, 3)).astype(np.uint8)
        return Split(x, rng.integers(0, 10, size).astype(np.int32))

    return Dataset(
        "random", split(count), split(10), split(10), 10, (127.0,) * 3, (64.0,) * 3
    )


def by_us(name: str, images: Dataset, given: argparse.Namespace) -> float:
    """Returns images a second."""
    kind, depth = NETWORKS[name]
    module = kind(images.task, depth, rngs=nnx.Rngs(0))
    config = jc.TrainConfig(
        epochs=1 + given.rounds, batch_size=given.batch, shift=4, flip=True
    )
    _, history = train(jax.random.key(0), module, images, config)
    return given.steps * given.batch / float(np.median(history.seconds[1:]))


def by_flax(name: str, images: Dataset, given: argparse.Namespace) -> float:
    """Returns images a second of the loop that one would write."""
    kind, depth = NETWORKS[name]
    module = kind(images.task, depth, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(module, optax.adamw(1e-3), wrt=nnx.Param)

    @nnx.jit
    def step(module: Any, optimizer: Any, key: Any, x: Any, y: Any) -> Any:
        x = images.normalize(augment(key, x, shift=4, flip=True))

        def loss(module: Any) -> Any:
            logits = module(x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        value, gradients = nnx.value_and_grad(loss)(module)
        optimizer.update(module, gradients)
        return value

    def epoch() -> None:
        order = np.random.default_rng(0).permutation(len(images.train))
        for number, rows in enumerate(order.reshape(given.steps, given.batch)):
            x, y = images.train.inputs[rows], images.train.targets[rows]
            value = step(module, optimizer, jax.random.key(number), x, y)
            if number + 1 == given.steps:
                jax.block_until_ready(value)

    return given.steps * given.batch / median(epoch, given.rounds)


def front(name: str, images: Dataset, members: int, given: argparse.Namespace) -> float:
    """Returns images a second, each counted once for each member."""
    known = untrained(2, name)
    network, space = known.network, known.joint
    config = jc.TuneConfig(
        epochs=1,
        batch_size=given.batch,
        batch_norm="trained",
        scales="learned",
        shift=4,
        flip=True,
    )
    plans = jax.vmap(space.decode)(space.sample(jax.random.key(0), members))
    plans = scaled_plans(network, plans, network.params)
    tuner = Tuner(network, images, config, mesh=members_mesh(members))
    groups = tuner.groups(plans)
    states = [tuner.start(group, network.params) for group in groups]

    def epoch() -> None:
        nonlocal states
        states = tuner.epoch(jax.random.key(0), 0, groups, states)
        jax.block_until_ready(states)

    return members * given.steps * given.batch / median(epoch, given.rounds)


def median(run: Callable[[], None], rounds: int) -> float:
    run()
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


def page(found: dict[str, Any]) -> str:
    """Returns the Markdown page."""
    setting, members = found["setting"], found["setting"]["members"]
    heads = [f"{n} members" for n in members]
    lines = [
        "# Speed of training",
        "",
        f"`{found['command']}` on {setting['device']}, {setting['cores']} cores, "
        f"{setting['devices']} devices: images a second, batch {setting['batch']}. Of a "
        "front, images are counted once for each member: per member the cost falls where "
        "the number grows.",
        "",
        f"| network | dense | plain Flax loop | {' | '.join(heads)} |",
        "|---" * (3 + len(members)) + "|",
    ]
    for row in found["rows"]:
        cells = [row["dense"], row["flax"], *row["front"]]
        lines.append(f"| {row['network']} | {' | '.join(f'{c:,.0f}' for c in cells)} |")
    text = ", ".join(f"{name} {number}" for name, number in setting["versions"].items())
    return "\n".join([*lines, "", f"{text}."]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of training.")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=["resnet20"])
    parser.add_argument("--members", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--devices", type=int, default=cores, help="of a CPU")
    parser.add_argument("--json", type=Path, default=RESULTS / "training.json")
    parser.add_argument("--table", type=Path, default=RESULTS / "training.md")
    given = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", given.devices)
    images = random_images(given.steps * given.batch)
    found: dict[str, Any] = {
        "command": command("benchmark_training"),
        "setting": {
            "device": jax.devices()[0].device_kind,
            "cores": cores,
            "devices": len(jax.devices()),
            "members": given.members,
            "batch": given.batch,
            "steps": given.steps,
            "rounds": given.rounds,
            "versions": versions(),
        },
        "rows": [],
    }
    for name in given.networks:
        row = {
            "network": name,
            "dense": by_us(name, images, given),
            "flax": by_flax(name, images, given),
            "front": [front(name, images, n, given) for n in given.members],
        }
        found["rows"].append(row)
        print(row, flush=True)
        write(given.json, found, given.table, page(found))


if __name__ == "__main__":
    main()
