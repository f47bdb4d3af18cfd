"""The same search written with pymoo and PyTorch: time to the same hypervolume.

python scripts/benchmark_peer.py [--population 24] [--generations 10] [--images 1000]
    [--seeds 0 1 2] [--starts own ladder descent random] [--screening 8] [--devices 2]
    [--json docs/results/peer.json] [--table docs/results/peer.md]

Published ResNet-20 for CIFAR-10; genes are the channels between the two convolutions of
each block (kept by l2 norm) and the bits of every weight (one scale a channel, by its
maximum); error and packed bytes are minimised. The peer is what one would write by hand:
NSGA-II as pymoo's guide has it for integers, and a loop over individuals that cuts the
pruned channels out of the PyTorch network and runs the images in batches, of the size and
in the memory format that are fastest in the median of trials. Ours is `jc.search` with
`Racing` and screening, which is guided by what each gene harms alone, tried on a few images
first; all of that time counts. *own*: ours begins with a `quick_descent` that this tells,
the peer with uniform widths times uniform bits among random ones. *ladder*: both with the
latter. *descent*: both with what ours found, which costs the peer nothing. *random*: both
with random ones alone. All run in turn, seed by seed, compilation included; what begins
alike under one seed is one run. All fronts are judged by our evaluator, on all images.
`pip install -e ".[bench]"`. Data: see CONTRIBUTING.md.
"""

import argparse
import os
import time
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from peer import BITS, NAME, TRIALS, Peer
from published_networks import RESULTS, command, held_out, versions, write
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.optimize import minimize

import jaxcompress as jc
from jaxcompress.search import (
    Measure,
    ladder,
    mesh_for,
    non_dominated,
    quick_descent,
    tried_alone,
)

# The channels that the residual sums share: they would have to be cut everywhere at once.
FROZEN = ("bn1/scale", "layer*/bn2/scale")
ETA = 3  # of both operators, as pymoo's guide has it for integers
ALONE = 64  # images by which each gene is tried alone


TITLES = {
    "own": "Ours from a descent by {alone} images, whose time counts; the peer from "
    "uniform widths times uniform bits, among random ones",
    "ladder": "Both from uniform widths times uniform bits, among random ones",
    "descent": "Both from what ours found by a descent, in time that the peer is given",
    "random": "Both from the same random genotypes",
}
# Where the peer begins, and where ours does.
BEGIN = {"own": ("ladder", "descent")} | {
    name: (name, name) for name in ("ladder", "descent", "random")
}
Track = list[tuple[float, np.ndarray]]  # seconds, and the front of all so far


def by_peer(peer: Peer, initial: np.ndarray, generations: int, seed: int) -> Track:
    repair = RoundingRepair()
    algorithm = NSGA2(
        pop_size=len(initial),
        sampling=initial,  # pyright: ignore[reportArgumentType]
        crossover=SBX(prob=1.0, eta=ETA, vtype=float, repair=repair),
        mutation=PM(prob=1.0, eta=ETA, vtype=float, repair=repair),
        eliminate_duplicates=True,
    )
    track: Track = []
    rows: list[np.ndarray] = []
    values: list[np.ndarray] = []
    began = time.perf_counter()

    def seen(algorithm: Any) -> None:
        new = algorithm.pop if algorithm.off is None else algorithm.off
        rows.append(new.get("X"))
        values.append(new.get("F"))
        every, told = np.concatenate(rows), np.concatenate(values)
        now = time.perf_counter() - began
        track.append((now, every[non_dominated(told)].astype(np.int32)))

    minimize(peer, algorithm, ("n_gen", generations), seed=seed, callback=seen)
    return track


def rates(peer: Peer, evaluate: jc.Evaluator, rows: np.ndarray) -> dict[str, float]:
    """Returns images a second over the same genotypes, all images of each."""
    ways = {
        "peer": lambda: [peer.error(peer.compressed(row)[0]) for row in rows],
        "ours": lambda: evaluate(rows),
    }
    seconds = np.zeros((TRIALS, len(ways)))
    for trial, (place, run) in product(range(-1, TRIALS), enumerate(ways.values())):
        began = time.perf_counter()
        run()
        if trial >= 0:  # what comes before warms up and compiles
            seconds[trial, place] = time.perf_counter() - began
    forwards = len(rows) * evaluate.examples
    return dict(zip(ways, (forwards / np.median(seconds, axis=0)).tolist(), strict=True))


def by_us(
    evaluate: jc.Evaluator,
    initial: np.ndarray,
    descend: bool,
    generations: int,
    seed: int,
    screening: int,
    confidence: float,
) -> tuple[Track, float]:
    began, seconds = time.perf_counter(), []
    alone = None
    if descend or screening > 1:
        alone = tried_alone(evaluate, ALONE)
    if descend and alone is not None:
        rows = quick_descent(evaluate, alone, len(initial))
        initial = np.concatenate([rows, initial[len(rows) :]])
    racing = jc.Racing(evaluate, confidence)
    algorithm = jc.NSGA2(len(initial), evaluate.space, 2, initial=initial)
    key = jax.random.key(seed)
    result = jc.search(
        key,
        algorithm,
        racing,
        generations=generations,
        screening=screening,
        alone=alone if screening > 1 else None,
        on_generation=lambda _: seconds.append(time.perf_counter() - began),
    )
    track = []
    for now, done in zip(seconds, result.history, strict=True):
        objectives = result.archive.objectives[: done.evaluations]
        front = result.archive.genotypes[: done.evaluations][non_dominated(objectives)]
        track.append((now, front))
    share = (evaluate.forwards + racing.forwards) / (racing.forwards + racing.saved)
    return track, share


def judged(track: Track, evaluate: jc.Evaluator, measure: Measure) -> list[list[float]]:
    """Returns seconds and hypervolume on all images after each generation."""
    every = np.unique(np.concatenate([front for _, front in track]), axis=0)
    told = dict(
        zip(
            map(bytes, every),
            np.asarray(evaluate(every).objectives),
            strict=True,
        )
    )
    volumes = []
    for seconds, front in track:
        points = np.stack([told[bytes(row)] for row in np.ascontiguousarray(front)])
        volumes.append([seconds, measure(points[non_dominated(points)])])
    return volumes


def seconds_to(track: list[list[float]], volume: float) -> float:
    return next(seconds for seconds, found in track if found >= volume)


def page(found: dict[str, Any]) -> str:
    """Returns the Markdown page."""
    setting = found["setting"]
    lines = [
        "# Against pymoo and PyTorch",
        "",
        f"`{found['command']}` on {setting['device']}, {setting['cores']} cores: "
        "published ResNet-20, "
        f"population {setting['population']}, {setting['generations']} generations, "
        f"{setting['images']:,} images, {setting['devices']} devices of ours. The peer "
        f"cuts pruned channels out; {found['batch']} images at a time, {found['format']}, "
        f"were fastest (median of {TRIALS} trials; {found['peer_rate']:,.0f} images/s, "
        "dense); it varies as pymoo's guide has it for integers. Over the same random "
        f"population it runs {found['rates']['peer']:,.0f} images/s, ours "
        f"{found['rates']['ours']:,.0f}, without racing. Seconds "
        "to the hypervolume that both reach, the time to compile included; what begins "
        "alike under one seed is one run. "
        "*Forwards*: the share of images that racing ran, at a confidence of "
        f"{setting['confidence']}, and what tried genes alone, {ALONE} images each."
        + (
            f" Ours draws {setting['screening']} offspring for each that it evaluates, and "
            "as many genotypes of the way down that this tells."
            if setting["screening"] > 1
            else ""
        ),
    ]
    for name, title in TITLES.items():
        rows = [row for row in found["rows"] if row["start"] == name]
        if not rows:
            continue
        lines += [
            "",
            f"## {title.format(alone=ALONE)}",
            "| seed | peer at first | at last | ours at first | at last | both | peer, s | "
            "ours, s | ratio | forwards |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        ratios = [row["peer_seconds"] / row["seconds"] for row in rows]
        for row, ratio in zip(rows, ratios, strict=True):
            volumes = [row[who][place][1] for who in ("peer", "ours") for place in (0, -1)]
            lines.append(
                f"| {row['seed']} | {' | '.join(f'{v:.4f}' for v in volumes)} | "
                f"{row['volume']:.4f} | {row['peer_seconds']:.0f} | {row['seconds']:.0f} | "
                f"{ratio:.2f} | {row['share']:.2f} |"
            )
        lines += ["", f"Median ratio {np.median(ratios):.2f}."]
    text = ", ".join(f"{name} {number}" for name, number in setting["versions"].items())
    return "\n".join([*lines, "", f"{text}."]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Against pymoo and PyTorch.")
    parser.add_argument("--population", type=int, default=24)
    parser.add_argument("--generations", type=int, default=10)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--starts", nargs="+", default=list(TITLES), choices=TITLES)
    parser.add_argument("--screening", type=int, default=8, help="of ours; 1: none")
    parser.add_argument("--confidence", type=float, default=0.6, help="of racing, in ours")
    parser.add_argument("--devices", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path, default=RESULTS / "peer.json")
    parser.add_argument("--table", type=Path, default=RESULTS / "peer.md")
    given = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", given.devices)
    torch.set_num_threads(len(os.sched_getaffinity(0)))

    network, x, y = held_out(NAME, given.images, FROZEN)
    kinds = (
        jc.genes.ChannelCount(jc.importance.l2(network)),
        jc.genes.WeightBits(BITS, scale_by="max"),
    )
    space = jc.Space(network, kinds)

    def evaluator() -> jc.Evaluator:
        return jc.Evaluator(
            network,
            space,
            (jc.objectives.Error(), jc.objectives.Size("dense")),
            inputs=x,
            targets=y,
            splits=16,
            mesh=mesh_for(given.population),
        )

    def by_chance(seed: int) -> np.ndarray:
        return np.array(space.sample(jax.random.key(seed), given.population))

    peer = Peer(x, y)
    assert np.array_equal(peer.top + 1, space.cardinality)
    rate = peer.choose_fastest()
    dense_size = float(jc.objectives.Size("dense")(network, jc.Plan()))
    measure = Measure((0, 1), (1.0, float(np.log2(dense_size))), logged=(1,))
    rungs = ladder(space, (3,) * len(kinds))  # as a run begins
    found = {
        "command": command("benchmark_peer"),
        "setting": {
            "device": jax.devices()[0].device_kind,
            "cores": len(os.sched_getaffinity(0)),
            "devices": jax.device_count(),
            "population": given.population,
            "generations": given.generations,
            "images": given.images,
            "screening": given.screening,
            "confidence": given.confidence,
            "versions": versions() | {"torch": torch.__version__},
        },
        "batch": peer.batch,
        "format": peer.format,
        "peer_rate": rate,
        "rates": rates(peer, evaluator(), by_chance(given.seeds[0])),
        "rows": [],
    }

    @cache
    def beginning(seed: int, start: str) -> np.ndarray:
        initial = by_chance(seed)
        rows = rungs if start == "ladder" else initial[:0]
        if start == "descent":
            way = evaluator()
            rows = quick_descent(way, tried_alone(way, ALONE), given.population)
        return np.concatenate([rows, initial[len(rows) :]])[: given.population]

    @cache
    def theirs(seed: int, start: str) -> Track:
        return by_peer(peer, beginning(seed, start), given.generations, seed)

    @cache
    def ours(seed: int, start: str) -> tuple[Track, float, jc.Evaluator]:
        jax.clear_caches()  # each search of ours compiles, as that of a user does
        evaluate, descends = evaluator(), start == "descent"
        initial = beginning(seed, "random" if descends else start)
        more = given.generations, seed, given.screening, given.confidence
        return *by_us(evaluate, initial, descends, *more), evaluate

    for seed, start in product(given.seeds, given.starts):
        first, second = BEGIN[start]
        track = theirs(seed, first)
        own, share, evaluate = ours(seed, second)
        tracks = {
            "peer": judged(track, evaluate, measure),
            "ours": judged(own, evaluate, measure),
        }
        volume = min(track[-1][1] for track in tracks.values())
        found["rows"].append(
            {
                "seed": seed,
                "start": start,
                **tracks,
                "volume": volume,
                "peer_seconds": seconds_to(tracks["peer"], volume),
                "seconds": seconds_to(tracks["ours"], volume),
                "share": share,
            }
        )
        print(found["rows"][-1], flush=True)
        write(given.json, found, given.table, page(found))


if __name__ == "__main__":
    main()
