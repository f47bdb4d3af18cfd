"""What spreading an evaluation over devices and processes costs, on one machine's cores.

python scripts/benchmark_scaling.py [--each 2] [--images 250] [--pairs 10]
    [--json docs/results/scaling.json] [--table docs/results/scaling.md]

ResNet-20 with random weights and images, channels and bits. All settings share the same
cores, so a perfect curve is a flat one: as many images a second on 8 virtual devices as on
1, and what is missing is the cost of spreading. On real devices the same workers would
show it as less than linear.

*Overhead*: 8 devices, 1, and as many as there are cores, which is the fastest, the same
individuals, in turn; the medians of the pairs.
*Curve*: as many individuals for each device (`--each`), 1 to 8 devices of one process, 1 to
4 processes of 2 devices, and 2 of 4, all settings in turn. What is timed was compiled
before. Settings with the same individuals must find the same errors, bit for bit.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from published_networks import RESULTS, command, versions, write
from run_local import start
from untrained import untrained

import jaxcompress as jc
from jaxcompress.processes import is_first, joined
from jaxcompress.search.identity import digest

# Processes, devices of each.
CURVE = ((1, 1), (1, 2), (1, 4), (1, 8), (2, 2), (2, 4), (4, 2))


class Group:
    """Processes that evaluate a population together, each time they are told."""

    def __init__(self, processes: int, devices: int, rows: int, images: int) -> None:
        """Returns once the program is compiled."""
        work = [__file__, "--rows", str(rows), "--images", str(images)]
        self._processes = start(work, processes, devices, talk=True)
        self.devices, self.forwards = processes * devices, rows * images
        self.digest = ""  # of the objectives
        self.seconds()

    def seconds(self) -> float:
        """Evaluates once; returns the seconds of process 0."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.flush()
        out = self._processes[0].stdout
        assert out is not None
        for line in out:  # the runtime may write some of its own
            if line.startswith(b"seconds "):
                found = line.split()[2].decode()
                same = self.digest in ("", found)
                self.digest = found if same else f"{self.digest}, then {found}"
                return float(line.split()[1])
        raise RuntimeError("a process has ended; run it alone to see why")

    def end(self) -> None:
        for process in self._processes:  # all of them first: they wait for each other
            assert process.stdin is not None
            process.stdin.close()
            process.stdin = None
        for process in self._processes:
            process.communicate()


def work(given: argparse.Namespace) -> None:
    """One process of a group."""
    with joined(given.coordinator, given.processes, given.process_id, detect=False):
        known = untrained(given.images)
        mesh = None
        if jax.device_count() > 1:
            mesh = jax.make_mesh((jax.device_count(),), ("population",))
        goals = (jc.objectives.Error("cross_entropy"), jc.objectives.Macs())
        evaluate = jc.Evaluator(
            known.network,
            known.joint,
            goals,
            inputs=known.inputs,
            targets=known.targets,
            mesh=mesh,
        )
        rows = np.asarray(known.joint.sample(jax.random.key(0), given.rows))
        for _ in sys.stdin:
            began = time.perf_counter()
            told = evaluate(rows)
            seconds = time.perf_counter() - began
            if is_first():
                print(f"seconds {seconds} {digest(told.objectives)}", flush=True)


def measured(
    settings: dict[str, tuple[int, int, int]], images: int, rounds: int
) -> dict[str, dict[str, Any]]:
    """Returns the seconds of every round of each: processes, devices, individuals."""
    groups = {n: Group(*setting, images) for n, setting in settings.items()}
    try:
        times: dict[str, list[float]] = {name: [] for name in groups}
        for _ in range(rounds):
            for name, group in groups.items():
                times[name].append(group.seconds())
    finally:
        for group in groups.values():
            group.end()
    return {
        name: {
            "processes": settings[name][0],
            "devices": group.devices,
            "individuals": settings[name][2],
            "seconds": times[name],
            "digest": group.digest,
            "images_a_second": group.forwards / float(np.median(times[name])),
        }
        for name, group in groups.items()
    }


def page(found: dict[str, Any]) -> str:
    """Returns the Markdown page."""
    setting, ratio = found["setting"], found["overhead"]
    first = next(iter(found["curve"].values()))["images_a_second"]
    lines = [
        "# Cost of spreading an evaluation",
        "",
        f"`{found['command']}`, {setting['cores']} CPU cores shared by all devices: "
        f"ResNet-20, channels and bits, {setting['images']:,} images.",
        "",
        f"Time of 8 virtual devices, {ratio['individuals']} individuals, medians of "
        f"{ratio['pairs']} interleaved pairs:",
        "",
        *(
            f"- against {'1' if name == '1' else 'as many as there are cores'}: "
            f"{100 * median:+.1f} % (smallest {100 * ratio['spread'][name][0]:+.1f} %, "
            f"largest {100 * ratio['spread'][name][1]:+.1f} %)"
            for name, median in ratio["median"].items()
        ),
        "",
        "One device shares out each product among all cores; several run one each. "
        "Settings with the same individuals "
        f"{'' if found['same_bits'] else 'DO NOT '}find the same bits of their losses; "
        f"{ratio['individuals']} ran on {', '.join(found['compared'])} (processes x "
        "devices of each).",
        "",
        f"{setting['each']} individuals for each device, {setting['rounds']} interleaved "
        "rounds, medians. The cores are the same in every row, so the ideal is 1.00 of the "
        "first row:",
        "",
        "| processes | devices | cores a device | individuals | images/s | of one device |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["curve"].values():
        rate = row["images_a_second"]
        lines.append(
            f"| {row['processes']} | {row['devices']} | "
            f"{setting['cores'] / row['devices']:g} | {row['individuals']} | {rate:,.0f} | "
            f"{rate / first:.2f} |"
        )
    text = ", ".join(f"{name} {number}" for name, number in setting["versions"].items())
    return "\n".join([*lines, "", f"{text}."]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of spreading an evaluation.")
    parser.add_argument("--each", type=int, default=2, help="individuals for each device")
    parser.add_argument("--images", type=int, default=250)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5, help="of the curve")
    parser.add_argument("--json", type=Path, default=RESULTS / "scaling.json")
    parser.add_argument("--table", type=Path, default=RESULTS / "scaling.md")
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)  # of one process
    parser.add_argument("--coordinator", help=argparse.SUPPRESS)
    parser.add_argument("--processes", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--process-id", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.rows is not None:
        work(given)
        return
    total = 8 * given.each
    cores = min(8, len(os.sched_getaffinity(0)))
    pair = {"1": (1, 1, total), "cores": (1, cores, total), "8": (1, 8, total)}
    pairs = measured(pair, given.images, given.pairs)
    ratios = {
        name: np.divide(pairs["8"]["seconds"], pairs[name]["seconds"]) - 1
        for name in ("1", "cores")
    }
    settings = {f"{p} x {d}": (p, d, p * d * given.each) for p, d in CURVE}
    curve = measured(settings, given.images, given.rounds)
    digests: dict[int, set[str]] = {}
    compared: dict[str, None] = {}  # in order
    for row in (*pairs.values(), *curve.values()):
        digests.setdefault(row["individuals"], set()).add(row["digest"])
        if row["individuals"] == total:
            compared[f"{row['processes']} x {row['devices'] // row['processes']}"] = None
    found = {
        "command": command("benchmark_scaling"),
        "setting": {
            "cores": len(os.sched_getaffinity(0)),
            "each": given.each,
            "images": given.images,
            "rounds": given.rounds,
            "versions": versions(),
        },
        "overhead": {
            "individuals": total,
            "pairs": given.pairs,
            "median": {name: float(np.median(r)) for name, r in ratios.items()},
            "spread": {n: [float(r.min()), float(r.max())] for n, r in ratios.items()},
            "seconds": {name: row["seconds"] for name, row in pairs.items()},
        },
        "same_bits": all(len(found) == 1 for found in digests.values()),
        "compared": list(compared),
        "curve": curve,
    }
    print(json.dumps(found, indent=1))
    write(given.json, found, given.table, page(found))


if __name__ == "__main__":
    main()
