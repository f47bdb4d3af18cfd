"""Which kernels a training step of a compressed network launches, on a GPU.

python scripts/gpu/profile_training.py [--network resnet20] [--batch 256]
    [--scales learned]

Random weights and images; zeros and bits of each layer. Prints milliseconds a step as the
host sees them, then kernels and their milliseconds a step, and those that take longest.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from untrained import NETWORKS, untrained

import jaxcompress as jc
from jaxcompress.data import Dataset, Split
from jaxcompress.training import scaled_plans
from jaxcompress.training.tuner import Tuner

STEPS = 20  # of an epoch
SHOWN = 24


def main() -> None:
    parser = argparse.ArgumentParser(description="Kernels of a training step.")
    parser.add_argument("--network", choices=NETWORKS, default="resnet20")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--scales", choices=["learned", "fitted"], default="learned")
    given = parser.parse_args()
    network = untrained(given.batch, given.network).network
    kinds = (jc.genes.Sparsity((0.0, 0.2, 0.4, 0.6)), jc.genes.WeightBits((2, 3, 4)))
    space = jc.Space(network, kinds)
    rng, count = np.random.default_rng(0), STEPS * given.batch
    images = rng.integers(0, 255, (count, 32, 32, 3)).astype(np.uint8)
    split = Split(images, rng.integers(0, 10, count).astype(np.int32))
    data = Dataset("random", split, split, split, 10, (0.5,) * 3, (0.25,) * 3)
    config = jc.TuneConfig(
        epochs=3,
        batch_size=given.batch,
        shift=4,
        flip=True,
        scales=given.scales,
        batch_norm="trained",
        ema=0.998,
    )
    tuner = Tuner(network, data, config)
    plans = jax.vmap(space.decode)(np.asarray(space.sample(jax.random.key(0), 1)))
    if given.scales == "learned":
        plans = scaled_plans(network, plans, network.params)
    groups = tuner.groups(plans)
    states = [tuner.start(groups[0], network.params)]
    seconds = []
    for epoch in range(2):  # the first compiles
        began = time.perf_counter()
        states = tuner.epoch(jax.random.key(1), epoch, groups, states)
        jax.block_until_ready(states)
        seconds.append(time.perf_counter() - began)
    print(f"{1e3 * seconds[-1] / STEPS:.2f} ms a step")
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            states = tuner.epoch(jax.random.key(1), 2, groups, states)
            jax.block_until_ready(states)
        (file,) = Path(folder).rglob("*.xplane.pb")
        profile = jax.profiler.ProfileData.from_file(str(file))
        for plane in profile.planes:
            for line in plane.lines if "GPU" in plane.name else ():
                report(line.name, [(e.name, e.duration_ns) for e in line.events])


def report(stream: str, events: list[tuple[str, float]]) -> None:
    number, times = Counter(name for name, _ in events), dict.fromkeys(dict(events), 0.0)
    for name, nanoseconds in events:
        times[name] += nanoseconds / 1e6 / STEPS
    kernels, whole = len(events) / STEPS, sum(times.values())
    print(f"{stream}: {kernels:.0f} kernels, {whole:.2f} ms a step")
    for name in sorted(times, key=lambda name: -times[name])[:SHOWN]:
        print(f"  {times[name]:7.3f} ms {number[name] / STEPS:6.0f}  {name[:70]}")


if __name__ == "__main__":
    main()
