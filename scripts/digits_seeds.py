"""Runs the digits configuration with several seeds and prints what README.md quotes.

python scripts/digits_seeds.py [--seeds 0 1 2] [--out runs/digits-seeds]
"""

import argparse
import io
import time
from pathlib import Path

import numpy as np
from rich.console import Console

from jaxcompress.config_file import find, read
from jaxcompress.pipeline import Outcome, run
from jaxcompress.report import Member


def smallest_within(outcome: Outcome, points: float) -> tuple[float, float, float]:
    """Returns ratio, validation and test accuracy of the smallest close enough file."""
    dense_bytes = outcome.dense.parameters or np.nan
    most = outcome.dense.validation_error + points + 1e-9
    near = [m for m in outcome.front if m.validation_error <= most]
    if not near:
        return float("nan"), float("nan"), float("nan")
    best = min(near, key=lambda m: m.parameters or np.inf)
    validation, test = accuracies(best)
    return dense_bytes / (best.parameters or np.nan), validation, test


def accuracies(member: Member) -> tuple[float, float]:
    """Returns validation and test accuracy; NaN: not tested."""
    test = np.nan if member.test_error is None else member.test_error
    return 1.0 - member.validation_error, 1.0 - test


def spread(values: list[float]) -> str:
    return (
        f"{np.mean(values):.4f} +- {np.std(values, ddof=1) if len(values) > 1 else 0:.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="The digits configuration, many seeds.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/digits-seeds"))
    arguments = parser.parse_args()
    rows: list[list[float]] = []
    volumes: dict[str, list[float]] = {}
    for seed in arguments.seeds:
        config = read(find("digits")).model_copy(update={"seed": seed})
        began = time.perf_counter()
        outcome = run(config, arguments.out / str(seed), Console(file=io.StringIO()))
        seconds = time.perf_counter() - began
        ratio, validation, test = smallest_within(outcome, 0.01)
        dense_validation, dense_test = accuracies(outcome.dense)
        rows.append([dense_validation, dense_test, ratio, validation, test, seconds])
        for method, volume in outcome.hypervolumes.items():
            volumes.setdefault(method, []).append(volume)
        print(
            f"seed {seed}: dense validation {dense_validation:.4f} test {dense_test:.4f}; "
            f"smallest within 1 point: {ratio:.1f}x smaller, validation {validation:.4f} "
            f"test {test:.4f}; {seconds:.0f} s",
            flush=True,
        )
        line = "  ".join(f"{k} {v:.4f}" for k, v in outcome.hypervolumes.items())
        print(f"  hypervolumes: {line}", flush=True)
    names = ["dense validation", "dense test", "ratio", "validation", "test", "seconds"]
    for name, column in zip(names, zip(*rows, strict=True), strict=True):
        print(f"{name}: {spread(list(column))}")
    for method, values in volumes.items():
        print(f"hypervolume of {method}: {spread(values)}")


if __name__ == "__main__":
    main()
