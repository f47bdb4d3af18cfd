"""How near the evaluation of a population comes to the speed of one network.

python scripts/benchmark_evaluation.py [--network resnet20] [--population 32]
    [--images 1000] [--rounds 3] [--sizes ...] [--steps ...] [--devices N]
    [--json docs/results/performance.json] [--table docs/results/performance.md]

A network for CIFAR-10 with random weights and images: only the time matters. The ceiling is
the best rate of one network with one set of weights over several batch sizes: one batch
after the other, over whose operations XLA spreads all cores; and, stricter, its batches
dealt out to all devices, which run side by side. The engine runs on as many devices as
there are cores, as a run of the command line does, and on one; bytes of a step are tried
too, on a CPU with fewer individuals. These ways run in turn, round after round, in this one
process, the naive one after them; medians. Memory is the largest resident size of the
process before the naive way is built. On a GPU the same command gives the same table and,
for the cards in `PEAKS`, the share of the peak; and how the order of the errors differs
from that in full float32 precision. There 10,000 images and more are sensible.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from published_networks import RESULTS, command, versions, write
from scipy.stats import spearmanr
from untrained import NETWORKS, untrained

import jaxcompress as jc
from jaxcompress.compress import Products, masked, neighbours
from jaxcompress.search import batches

SIZES = (25, 50, 100, 250, 500, 1000, 2500, 5000)
STEPS_CPU = (1 << 19, 1 << 20, 1 << 21, 1 << 22, 1 << 24)
STEPS = (1 << 24, 1 << 26, 1 << 30)
# FLOP/s of dense tensor-core products of float32 rounded to tf32, as in NVIDIA's data
# sheets of H100 SXM and H200 (half of what they give for sparse ones).
PEAKS = {"NVIDIA H100 80GB HBM3": 494.5e12, "NVIDIA H200": 494.5e12}
NAIVE = "naive vmap"
ALONE = "joint, nothing by neighbours"
FEW = 4  # individuals, to try steps and the naive way
FIRST = "channels before rows"
EVERYWHERE = "one network on every device"
STAGES = ((32, 16), (16, 32), (8, 64))
# Side, channels into and out of convolutions that are small.
SMALL = (
    *((32, 3, 16), (32, 4, 4), (32, 8, 8), (32, 12, 12), (32, 8, 16), (32, 16, 8)),
    *((32, 16, 16), (32, 4, 16), (32, 16, 4), (16, 8, 8), (8, 8, 8)),
)
LAYOUT = ("NHWC", "HWIO", "NHWC")


def timed(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - began


def medians(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Returns the median seconds of each, run in turn after one that compiles."""
    for run in ways.values():
        timed(run)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            seconds[name].append(timed(run))
    return {name: float(np.median(found)) for name, found in seconds.items()}


def traced(run: Callable[[], Any]) -> Callable[[], Any]:
    """Returns the same with all convolutions as they were traced."""

    def without() -> Any:
        usual, neighbours.FEW = neighbours.FEW, 0  # read as it compiles, the first time
        try:
            return run()
        finally:
            neighbours.FEW = usual

    return without


def evaluations(given: argparse.Namespace) -> dict[str, Any]:
    """Returns images a second of every way."""
    known = untrained(given.images, given.network)
    network, joint, x, y = known.network, known.joint, known.inputs, known.targets
    pruning = jc.Space(network, (jc.genes.ChannelCount(),))

    def engine(
        space: jc.Space,
        devices: int,
        population: int = given.population,
        narrow: bool | None = None,
    ) -> tuple[jc.Evaluator, Callable[[], Any]]:
        rows = np.asarray(space.sample(jax.random.key(0), given.population))[:population]
        evaluate = jc.Evaluator(
            network,
            space,
            (jc.objectives.Error(), jc.objectives.Macs()),
            inputs=x,
            targets=y,
            mesh=None if devices == 1 else jax.make_mesh((devices,), ("population",)),
            narrow=narrow,
        )
        return evaluate, lambda: evaluate(rows).objectives

    run = jax.jit(network.apply)
    ways: dict[str, Callable[[], Any]] = {}
    forwards: dict[str, int] = {}
    for size in (size for size in given.sizes if size <= given.images):
        parts = jnp.asarray(x[: given.images // size * size]).reshape(
            -1, size, *x.shape[1:]
        )
        ways[f"one network, batch {size}"] = lambda p=parts: [
            run(network.params, b) for b in p
        ]
        forwards[f"one network, batch {size}"] = parts.shape[0] * size
    evaluators = {}
    several = min(len(jax.devices()), given.devices)
    for size in (size for size in given.sizes if size * several <= given.images):
        if several == 1:
            break
        places = jax.devices()[:several]
        own = [jax.device_put(network.params, place) for place in places]
        cut = x[: given.images // size * size].reshape(-1, size, *x.shape[1:])
        dealt = [jax.device_put(b, places[i % several]) for i, b in enumerate(cut)]
        name = f"{EVERYWHERE}, batch {size}"
        ways[name] = lambda dealt=dealt, own=own: [
            run(own[i % several], b) for i, b in enumerate(dealt)
        ]
        forwards[name] = len(cut) * size
    chosen = {"joint": (joint, several), "pruning": (pruning, several)}
    if several > 1:
        chosen["joint, one device"] = (joint, 1)
    for name, (space, devices) in chosen.items():
        evaluators[name], ways[name] = engine(space, devices)
        forwards[name] = given.population * given.images
        if evaluators[name].products.narrow:
            whole = f"{name}, in full widths"
            _, ways[whole] = engine(space, devices, narrow=False)
            forwards[whole] = forwards[name]
    cpu = jax.default_backend() == "cpu"
    if cpu:
        ways[ALONE] = traced(engine(joint, several)[1])
        forwards[ALONE] = forwards["joint"]
    what, some = ("STEP_BYTES_CPU", FEW) if cpu else ("STEP_BYTES", given.population)
    usual = getattr(batches, what)
    for size in given.steps or (STEPS_CPU if cpu else STEPS):
        setattr(batches, what, size)
        name = f"joint, {size / 2**20:g} MiB a step"
        _, ways[name] = engine(joint, several, some)
        forwards[name] = some * given.images
    setattr(batches, what, usual)
    seconds = medians(ways, given.rounds)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    images = jnp.asarray(x[: min(given.images, 250)])
    for name, space, size in (
        (NAIVE, joint, len(images)),
        (f"{NAIVE} of masks", pruning, min(len(images), 50)),
    ):
        plans = jax.vmap(space.decode)(space.sample(jax.random.key(0), FEW))
        over = jax.jit(jax.vmap(partial(jc.forward, network), in_axes=(0, None)))
        parts = jnp.split(images, len(images) // size)
        each = partial(over, plans)
        way = {name: lambda each=each, parts=parts: [each(part) for part in parts]}
        seconds |= medians(way, given.rounds)
        forwards[name] = FEW * len(images)
    rates = {name: forwards[name] / seconds[name] for name in seconds}
    compilations = {name: e.compilations for name, e in evaluators.items()}
    told = {} if cpu else {"ranks": ranks(evaluators["joint"], joint, given.population)}
    return told | {
        "images_a_second": rates,
        "flops_an_image": 2 * network.macs,
        "ceiling": best(rates, "one network, batch"),
        "ceiling_everywhere": best(rates, EVERYWHERE),
        "compilations": compilations,
        "peak_bytes": memory,
    }


def best(rates: dict[str, float], begin: str) -> float | None:
    """Returns the best of the rates whose names begin so; None if there are none."""
    return max((r for name, r in rates.items() if name.startswith(begin)), default=None)


def ranks(evaluate: jc.Evaluator, space: jc.Space, population: int) -> float:
    """Returns Spearman's correlation of errors by default and in full precision."""
    rows = np.asarray(space.sample(jax.random.key(1), population))
    usual = evaluate(rows).objectives[:, 0]
    with jax.default_matmul_precision("highest"):
        full = evaluate(rows).objectives[:, 0]
    return float(spearmanr(usual, full)[0])  # type: ignore[arg-type]


def convolutions(rounds: int) -> dict[str, dict[str, float]]:
    """Returns GFLOP/s of ways to write a 3 x 3 convolution, for each stage."""

    def direct(x: Any, w: Any) -> Any:
        return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=LAYOUT)

    def windows(x: Any) -> list[Any]:
        _, height, width, _ = x.shape
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        return [
            padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)
        ]

    def one_product(x: Any, w: Any) -> Any:
        return jnp.concatenate(windows(x), -1) @ w.reshape(-1, w.shape[-1])

    def nine_products(x: Any, w: Any) -> Any:
        products = [v @ w[i // 3, i % 3] for i, v in enumerate(windows(x))]
        total = products[0]
        for product in products[1:]:
            total = total + product
        return total

    def channels_first(x: Any, w: Any) -> Any:
        return jax.lax.conv(x, w, (1, 1), "SAME")

    kinds = {
        "XLA's convolution": direct,
        FIRST: channels_first,
        "one product of windows": one_product,
        "nine products": nine_products,
    }
    found = {}
    for side, width in STAGES:
        x, w = images_and_kernel(side, width, width)
        turned = x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1)
        ways = {
            name: partial(jax.jit(kind), *(turned if name == FIRST else (x, w)))
            for name, kind in kinds.items()
        }
        flops = 2 * 9 * width * width * side * side * 64
        seconds = medians(ways, 4 * rounds)
        found[f"{side}x{side}x{width}"] = {n: flops / s / 1e9 for n, s in seconds.items()}
    return found


def images_and_kernel(side: int, into: int, out: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(64, side, side, into)), jnp.float32)
    return x, jnp.asarray(rng.normal(size=(3, 3, into, out)), jnp.float32)


def as_evaluated(side: int, into: int, out: int, products: Products) -> Any:
    """Returns (images, kernel) -> a 3 x 3 convolution of them as an evaluation runs it."""

    def apply(params: Any, x: Any) -> Any:
        return jax.lax.conv_general_dilated(
            x, params["w"], (1, 1), "SAME", dimension_numbers=LAYOUT
        )

    x, w = jnp.zeros((2, side, side, into)), jnp.zeros((3, 3, into, out))
    network = jc.trace(apply, {"w": w}, x)
    return lambda x, w: masked(network, jc.Plan(), x, {"w": w}, products=products)


def small(rounds: int) -> dict[str, dict[str, float]]:
    """Returns GFLOP/s of small convolutions, as they stand and by neighbouring outputs."""
    found = {}
    for side, into, out in SMALL:
        given = images_and_kernel(side, into, out)
        ways = {
            name: partial(
                jax.jit(as_evaluated(side, into, out, Products(neighbours=by))), *given
            )
            for name, by in (("as it stands", False), ("by neighbours", True))
        }
        flops = 2 * 9 * into * out * side * side * 64
        seconds = medians(ways, 4 * rounds)
        found[f"{side}x{side}, {into} into {out}"] = {
            name: flops / s / 1e9 for name, s in seconds.items()
        }
    return found


def widths(rounds: int) -> dict[str, dict[str, float]]:
    """Returns how long a 3 x 3 convolution takes with fewer channels, of its whole time."""
    products = Products(neighbours=jax.default_backend() == "cpu")

    def convolved(into: int, out: int, x: Any, w: Any) -> Any:
        missing = w.shape[3] - out
        run = as_evaluated(x.shape[1], into, out, products)
        y = run(x[..., :into], w[:, :, :into, :out])
        return jnp.pad(y, ((0, 0), (0, 0), (0, 0), (0, missing)))

    found = {}
    for side, width in STAGES:
        x, w = images_and_kernel(side, width, width)
        ways = {}
        for share in (1.0, 0.75, 0.5, 0.25):
            less = round(share * width)
            for name, into, out in (
                ("outputs", width, less),
                ("inputs", less, width),
                ("both", less, less),
            ):
                run = jax.jit(partial(convolved, into, out))
                ways[f"{share:g} of {name}"] = partial(run, x, w)
        seconds = medians(ways, 4 * rounds)
        whole = seconds["1 of both"]
        found[f"{side}x{side}x{width}"] = {
            name: s / whole for name, s in seconds.items() if not name.startswith("1 ")
        }
    return found


def peak(found: dict[str, Any]) -> list[str]:
    """Returns the line on the card's peak, and on ranks, where they are known."""
    told, device = found["evaluation"], found["setting"]["device"]
    if device not in PEAKS:
        return []
    fastest = max(told["ceiling"], told["images_a_second"]["joint"])
    share = fastest * told["flops_an_image"] / PEAKS[device]
    return [
        f"The fastest runs at {100 * share:.1f} % of the {PEAKS[device] / 1e12:.0f} "
        "TFLOP/s that the card's data sheet has for tf32. Rank correlation of the errors "
        f"with those in full float32 precision: {told['ranks']:.4f}, of random weights on "
        "random labels.",
        "",
    ]


def everywhere(told: dict[str, Any]) -> list[str]:
    """Returns the lines on the stricter ceiling, where there are several devices."""
    ceiling, rates = told["ceiling_everywhere"], told["images_a_second"]
    if ceiling is None:
        return []
    return [
        "",
        "*The ceiling* is one network, one batch after the other; XLA spreads each "
        "operation over the cores. With its batches dealt out to all devices, which run "
        f"side by side, it has {ceiling:,.0f} images/s: joint / that "
        f"{rates['joint'] / ceiling:.2f}, pruning / that {rates['pruning'] / ceiling:.2f}"
        + "".join(
            f", {name} / that {rates[name] / ceiling:.2f}"
            for name in ("joint, in full widths", "pruning, in full widths")
            if name in rates
        )
        + ".",
    ]


def table(stages: dict[str, dict[str, float]], form: str) -> list[str]:
    """Returns a line for each stage."""
    names = list(next(iter(stages.values())))
    lines = [f"| stage | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for stage, row in stages.items():
        cells = [form.format(row[name]) for name in names]
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    return lines


def page(found: dict[str, Any]) -> str:
    """Returns the Markdown page."""
    told, setting = found["evaluation"], found["setting"]
    rates, ceiling = told["images_a_second"], told["ceiling"]
    lines = [
        "# Speed of evaluation",
        "",
        f"`{found['command']}` on {setting['device']}, {setting['cores']} cores, "
        f"{setting['devices']} devices: {setting['network']}, population "
        f"{setting['population']}, {setting['images']:,} images, "
        f"medians of {setting['rounds']} interleaved rounds.",
        "",
        "*joint* is a space of channels and bits (every individual has weights of its",
        "own), *pruning* one of channels alone. *Naive vmap* maps the forward over plans",
        f"of both; *of masks* over plans of channels, where {FEW} individuals share",
        "weights and 50 images of each are one batch, on one device. These and the single",
        "networks run convolutions as they were traced; on a CPU the others run small ones",
        "by two or four neighbouring outputs, where it does not say otherwise.",
        "On a CPU layers of 16 channels and more run at the first of up to four widths",
        "that holds what an individual keeps of them, but for those *in full widths*.",
        "",
        "| way | images/s | of the ceiling |",
        "|---|---|---|",
        *(f"| {n} | {rate:,.0f} | {rate / ceiling:.2f} |" for n, rate in rates.items()),
        "",
        f"joint / ceiling {rates['joint'] / ceiling:.2f}, pruning / ceiling "
        f"{rates['pruning'] / ceiling:.2f}, joint / naive vmap "
        f"{rates['joint'] / rates[NAIVE]:.1f}. Programs compiled by the evaluators: "
        f"{told['compilations']}. Peak memory {told['peak_bytes'] / 2**30:.2f} GiB.",
        *everywhere(told),
        "",
        *peak(found),
        "Ways to write a 3x3 convolution, 64 images, GFLOP/s (64 x the stage's shape):",
        "",
    ]
    lines += table(found["convolutions"], "{:.0f}")
    lines += ["", "Small ones, GFLOP/s (see `compress/neighbours.py`):", ""]
    lines += table(found["small"], "{:.0f}")
    lines += [
        "",
        "Those of the stages with fewer channels, by neighbours where these are small, of "
        "the time of all (an evaluation takes multiples of 8):",
        "",
    ]
    lines += table(found["widths"], "{:.2f}")
    text = ", ".join(f"{name} {number}" for name, number in setting["versions"].items())
    return "\n".join([*lines, "", f"{text}."]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of evaluation.")
    parser.add_argument("--network", choices=NETWORKS, default="resnet20")
    parser.add_argument("--population", type=int, default=32)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="of a batch")
    parser.add_argument(
        "--steps", type=int, nargs="+", help="bytes of a step that are tried"
    )
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--devices", type=int, default=cores, help="of a CPU")
    parser.add_argument("--json", type=Path, default=RESULTS / "performance.json")
    parser.add_argument("--table", type=Path, default=RESULTS / "performance.md")
    given = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", given.devices)
    found = {
        "command": command("benchmark_evaluation"),
        "setting": {
            "device": jax.devices()[0].device_kind,
            "cores": cores,
            "devices": len(jax.devices()),
            "network": given.network,
            "population": given.population,
            "images": given.images,
            "rounds": given.rounds,
            "versions": versions(),
        },
        "evaluation": evaluations(given),
        "convolutions": convolutions(given.rounds),
        "small": small(given.rounds),
        "widths": widths(given.rounds),
    }
    print(json.dumps(found["evaluation"], indent=1))
    write(given.json, found, given.table, page(found))


if __name__ == "__main__":
    main()
