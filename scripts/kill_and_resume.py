"""Kills a real run at random moments, resumes it, and compares all bytes that it leaves.

python scripts/kill_and_resume.py [--kills 20] [--terms 5] [--seed 0] [--out docs/results]

The run is small: digits, with compiled programs out of a cache that the uninterrupted run
leaves to the others. A kill is `kill -9`; a term is SIGTERM, and the seconds from there to
the end of the process are measured. A moment is a number of CPU seconds of the process, at
random in all that an uninterrupted run takes, so that a busy machine moves none of them;
for a run that ended before its moment another is drawn.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import psutil

OPTIONS = (
    "--train.epochs 4 --adapt.epochs 2 --search.population 16 --search.generations 18 "
    "--finetune.epochs 1 --report.members 2 --search.checkpoint-every 3 "
    "--search.racing 0.85 --search.screening 4"
).split()
STAGES = (
    "train space adapt search_initial search uniform greedy random magnitude finetune "
    "report"
).split()


def start(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "jaxcompress.run", *arguments],
        env={**os.environ, **cache},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def to_the_end(arguments: list[str], folder: Path) -> None:
    """Runs or resumes a run."""
    process = start(arguments, folder)
    _, said = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{arguments}: exit code {process.returncode}: {said}")


def cpu_seconds(of: psutil.Process) -> float:
    times = of.cpu_times()
    return times.user + times.system


def children_seconds() -> float:
    """Returns the CPU seconds of all processes that this one has waited for."""
    times = os.times()
    return times.children_user + times.children_system


def content(run: Path) -> dict[str, bytes]:
    """Returns what must be the same: the front and the artifacts."""
    paths = [run / "front.csv", *sorted((run / "artifacts").iterdir())]
    return {str(path.relative_to(run)): path.read_bytes() for path in paths}


def reached(run: Path) -> str:
    """Returns the last stage that has a checkpoint, with its number in the search."""
    folders = {stage: (run / "checkpoints" / stage).glob("*") for stage in STAGES}
    steps = {
        stage: max((int(p.name) for p in paths if p.name.isdigit()), default=None)
        for stage, paths in folders.items()
    }
    done = [stage for stage, step in steps.items() if step is not None]
    if not done:
        return "nothing"
    return f"search {steps['search']}" if done[-1] == "search" else done[-1]


def stopped(
    number: int, sent: signal.Signals, after: float, folder: Path
) -> dict[str, Any]:
    """Starts a run, stops it after some CPU seconds, and resumes it; {} if it ended."""
    run = folder / f"{number:02}"
    process = start([*OPTIONS, "--out", str(run)], folder)
    watched = psutil.Process(process.pid)
    while process.poll() is None and cpu_seconds(watched) < after:
        time.sleep(0.02)
    process.send_signal(sent)  # does nothing to one that has ended
    began = time.perf_counter()
    _, said = process.communicate()
    if process.returncode == 0:
        return {}
    if process.returncode not in (-sent, 128 + sent):
        raise RuntimeError(f"{run}: exit code {process.returncode}: {said}")
    row = {
        "signal": sent.name,
        "cpu_s": round(after, 2),
        "exit_s": round(time.perf_counter() - began, 2),
        "code": process.returncode,
        "said_lines": said.count("\n"),
        "reached": reached(run),
    }
    arguments = [*OPTIONS, "--out", str(run)]
    if (run / "config.yaml").exists():
        arguments = ["--resume", str(run)]
    to_the_end(arguments, folder)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill a run, resume it, compare bytes.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--terms", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="directory of kill_and_resume.json")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    sent = [signal.SIGKILL] * arguments.kills + [signal.SIGTERM] * arguments.terms
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        to_the_end([*OPTIONS, "--out", str(folder / "whole")], folder)
        wanted = content(folder / "whole")
        before = children_seconds()
        to_the_end([*OPTIONS, "--out", str(folder / "warm")], folder)
        seconds = children_seconds() - before
        assert content(folder / "warm") == wanted, "two uninterrupted runs differ"
        print(
            f"an uninterrupted run: {seconds:.1f} CPU seconds, {len(wanted)} files compared"
        )
        rows: list[dict[str, Any]] = []
        for number in count():
            if len(rows) == len(sent):
                break
            moment = float(rng.uniform(0.0, seconds))
            row = stopped(number, sent[len(rows)], moment, folder)
            if not row:
                continue
            row["same"] = content(folder / f"{number:02}") == wanted
            rows.append(row)
            print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    same = sum(row["same"] for row in rows)
    slowest = max((r["exit_s"] for r in rows if r["signal"] == "SIGTERM"), default=None)
    print(f"{same} of {len(rows)} resumed runs end at the same bytes")
    print(f"slowest exit after SIGTERM: {slowest} s")
    kept = sum(row["reached"] != "nothing" for row in rows)
    print(f"{kept} of {len(rows)} had a checkpoint when they were stopped")
    if arguments.out:
        found = {
            "command": " ".join(["python", *sys.argv]),
            "options": " ".join(OPTIONS),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "uninterrupted_cpu_s": round(seconds, 1),
            "same": same,
            "rows": rows,
        }
        arguments.out.mkdir(parents=True, exist_ok=True)
        path = arguments.out / "kill_and_resume.json"
        path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
