"""Times all costs of 256 plans in one compiled program, on one core.

python scripts/benchmark_costs.py [--plans 256] [--networks ...] [--spaces bits zeros ...]

Every plan of a space (`SPACES`) removes channels. In "bits" it also chooses bits, in
"zeros" it sets entries to zero, too, in "codebook" it shares values: all that is counted of
the weights is prepared once, and the plans are a batch. In the others it lowers ranks:
every plan codes the weights anew, and the plans are costed one after the other, as a search
does it.
"""

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

# Before JAX starts its threads.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import jaxcompress as jc
from jaxcompress.data import Task
from jaxcompress.models import ResNet, as_function
from jaxcompress.objectives import Bops, Cost, Energy, Macs, Parameters, Size
from jaxcompress.objectives.dataflow import DATAFLOWS
from jaxcompress.objectives.measure_latency import fastest

VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
COSTS = (
    Parameters(),
    Macs(),
    Bops(),
    *(Energy(dataflow) for dataflow in DATAFLOWS),
    Energy(table="eyeriss"),
    Energy(table="tpu"),
)
BITS, ZEROS = jc.genes.WeightBits((2, 4, 8)), jc.genes.Sparsity((0.0, 0.5, 0.9))
BOOK = jc.genes.Codebook((4, 16, 64))
SPACES: dict[str, tuple[jc.genes.Gene, ...]] = {
    "bits": (BITS,),
    "zeros": (ZEROS, BITS),
    "codebook": (BOOK,),
    "ranks": (jc.genes.Rank(), BITS),
    "joint": (jc.genes.Rank(), ZEROS, BOOK),
}
PREPARED = ("bits", "zeros", "codebook")
IMAGES = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)


def resnet(depth: int) -> jc.Network:
    task = Task((32, 32, 3), 10)
    module = nnx.eval_shape(lambda: ResNet(task, depth, rngs=nnx.Rngs(0)))
    graph, state = nnx.split(module)
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), state)
    return jc.trace(*as_function(nnx.merge(graph, zeros)), IMAGES)


def vgg16() -> jc.Network:
    """13 convolutions and one dense layer, without normalisation."""
    widths = [width for width in VGG16 if width]
    params: dict[str, np.ndarray] = {
        f"conv{n:02}": np.zeros((3, 3, i, o), np.float32)
        for n, (i, o) in enumerate(zip([3, *widths], widths, strict=False))
    }
    params["dense"] = np.zeros((512, 10), np.float32)

    def apply(p: Any, x: Any) -> Any:
        names = iter(sorted(p))
        for width in VGG16:
            if width:
                w, numbers = p[next(names)], ("NHWC", "HWIO", "NHWC")
                x = jax.lax.conv_general_dilated(
                    x, w, (1, 1), "SAME", dimension_numbers=numbers
                )
            else:
                x = nnx.max_pool(x, (2, 2), (2, 2))
        return x.reshape(x.shape[0], -1) @ p["dense"]

    return jc.trace(apply, params, IMAGES)


def main() -> None:
    parser = argparse.ArgumentParser(description="All costs of many plans.")
    parser.add_argument("--plans", type=int, default=256)
    names = ["ResNet-20", "ResNet-56", "VGG-16"]
    parser.add_argument("--networks", nargs="+", choices=names, default=names)
    parser.add_argument("--spaces", nargs="+", choices=SPACES, default=["bits"])
    given = parser.parse_args()
    made = {"ResNet-20": lambda: resnet(20), "ResNet-56": lambda: resnet(56)}
    for name in given.networks:
        network = made.get(name, vgg16)()
        for kind in given.spaces:
            space = jc.Space(network, (jc.genes.ChannelCount(), *SPACES[kind]))
            genotypes = space.sample(jax.random.key(0), given.plans)
            every = jax.vmap if kind in PREPARED else in_turn
            for label, costs in (("without size", COSTS), ("all costs", (*COSTS, Size()))):
                report(f"{name}, {kind}, {label}", network, space, genotypes, costs, every)
        if name == "VGG-16":
            baselines = [f"{Energy(d).baseline(network):.3f}" for d in DATAFLOWS]
            print(f"{name}: 32-bit float, one memory: {', '.join(baselines)} mJ")


def in_turn(one: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array], jax.Array]:
    return lambda genotypes: jax.lax.map(one, genotypes)


def report(
    label: str,
    network: jc.Network,
    space: jc.Space,
    genotypes: jax.Array,
    costs: tuple[Cost, ...],
    every: Callable[..., Any],
) -> None:
    def one(genotype: jax.Array) -> jax.Array:
        plan = space.decode(genotype)
        return jnp.stack([cost(network, plan) for cost in costs])

    run = jax.jit(every(one))
    began = time.perf_counter()
    jax.block_until_ready(run(genotypes))
    compiled = time.perf_counter() - began
    plan = 1e3 * fastest([lambda: run(genotypes)], repeats=5)[0] / len(genotypes)
    figures = f"{plan:.4f} ms a plan, compiled in {compiled:.1f} s"
    print(f"{label}: {figures}", flush=True)


if __name__ == "__main__":
    main()
