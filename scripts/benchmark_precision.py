"""What evaluation in bfloat16 does to speed, to errors and to the order of plans.

python scripts/benchmark_precision.py [--plans 64] [--images 1000] [--rounds 3]
    [--json docs/results/precision.json] [--table docs/results/precision.md]

Published ResNet-20 for CIFAR-10, channels and bits. Plans from light to heavy, each gene
near the same share of its choices, are evaluated on validation images in both precisions,
in turn; medians of the times, the first round not counted. Data: see CONTRIBUTING.md.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from published_networks import RESULTS, command, held_out, versions, write

import jaxcompress as jc
from jaxcompress.compress import PRECISIONS
from jaxcompress.search import Measure, mesh_for, non_dominated
from jaxcompress.space.importance import rank_correlation

NAME = "resnet20_cifar10"
DEVIATION = 0.15  # of a gene's share of its choices around that of its plan


def compared(plain: np.ndarray, rounded: np.ndarray) -> dict[str, float]:
    """Returns how errors and sizes [P, 2] of both precisions differ."""
    before, after = plain[:, 0], rounded[:, 0]
    apart = np.abs(after - before)
    order, other = (np.sign(x[:, None] - x) for x in (before, after))
    pairs = order != 0  # each twice
    measure = Measure((0, 1), (1.0, float(np.log2(plain[:, 1].max()))), logged=(1,))
    chosen, best = (plain[non_dominated(x)] for x in (rounded, plain))
    return {
        "rank_correlation": rank_correlation(before, after),
        "mean_difference": float(apart.mean()),
        "largest_difference": float(apart.max()),
        "pairs_turned": float((order * other < 0).sum() / pairs.sum()),
        "hypervolume": measure(chosen[non_dominated(chosen)]) / measure(best),
    }


def page(found: dict[str, Any]) -> str:
    """Returns the Markdown page."""
    setting, told = found["setting"], found["compared"]
    lines = [
        "# Evaluation in bfloat16",
        "",
        f"`{found['command']}` on {setting['device']}, {setting['cores']} cores: published "
        f"ResNet-20, {setting['plans']} plans of channels and bits from light to heavy, "
        f"{setting['images']:,} validation images, errors of {found['least_error']:.1%} "
        f"to {found['most_error']:.1%}.",
        "",
        "| precision of products | images/s |",
        "|---|---|",
        *(f"| {name} | {rate:,.0f} |" for name, rate in found["images_a_second"].items()),
        "",
        f"Rank correlation of errors {told['rank_correlation']:.4f}; they differ by "
        f"{told['mean_difference']:.2%} of the images on average, by "
        f"{told['largest_difference']:.2%} at most; of the pairs that differ in float32 "
        f"{told['pairs_turned']:.2%} are in the other order. The front found in bfloat16 "
        f"has, measured in float32, {told['hypervolume']:.4f} of the hypervolume.",
    ]
    text = ", ".join(f"{name} {number}" for name, number in setting["versions"].items())
    return "\n".join([*lines, "", f"{text}."]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Evaluation in bfloat16.")
    parser.add_argument("--plans", type=int, default=64)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=RESULTS / "precision.json")
    parser.add_argument("--table", type=Path, default=RESULTS / "precision.md")
    given = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    jax.config.update("jax_num_cpu_devices", cores)

    network, x, y = held_out(NAME, given.images)
    kinds = (
        jc.genes.ChannelCount(jc.importance.l2(network)),
        jc.genes.WeightBits((2, 3, 4, 6, 8)),
    )
    space = jc.Space(network, kinds)
    ways = {
        precision: jc.Evaluator(
            network,
            space,
            (jc.objectives.Error(), jc.objectives.Size("dense")),
            inputs=x,
            targets=y,
            mesh=mesh_for(given.plans),
            precision=precision,
        )
        for precision in PRECISIONS
    }
    shares = np.linspace(0.0, 0.5, given.plans)[:, None]
    noise = np.random.default_rng(0).normal(0.0, DEVIATION, (given.plans, len(space)))
    heights = np.clip(shares + noise * (shares > 0), 0.0, 1.0)
    top = np.asarray(space.cardinality) - 1
    ends = np.where(space.dense > 0, 0, top)
    rows = np.rint(space.dense + heights * (ends - space.dense)).astype(np.int32)

    told, seconds = {}, {precision: [] for precision in ways}
    for _ in range(1 + given.rounds):
        for precision, evaluate in ways.items():
            began = time.perf_counter()
            told[precision] = np.asarray(evaluate(rows).objectives, np.float64)
            seconds[precision].append(time.perf_counter() - began)
    plain = told["float32"]
    found = {
        "command": command("benchmark_precision"),
        "setting": {
            "device": jax.devices()[0].device_kind,
            "cores": cores,
            "plans": given.plans,
            "images": len(y),
            "versions": versions(),
        },
        "least_error": float(plain[:, 0].min()),
        "most_error": float(plain[:, 0].max()),
        "images_a_second": {
            precision: len(rows) * len(y) / float(np.median(times[1:]))
            for precision, times in seconds.items()
        },
        "compared": compared(plain, told["bfloat16"]),
        "errors": {precision: values[:, 0].tolist() for precision, values in told.items()},
    }
    print(found["images_a_second"], found["compared"])
    write(given.json, found, given.table, page(found))


if __name__ == "__main__":
    main()
