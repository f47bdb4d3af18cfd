"""Every configuration in examples/ runs as a user runs it, in a tiny form."""

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import jaxcompress as jc
from jaxcompress.config_file import read
from jaxcompress.data import load
from jaxcompress.user_code import called, is_function

ROOT = Path(__file__).parents[2]
TINY = (
    "--adapt.epochs 0 --finetune.epochs 1 --finetune.batch-size 256 "
    "--search.population 4 --search.generations 2 --search.coding dense "
    "--space.importance l1 --space.weight-bits 4 8 --report.members 2 --report.no-baselines"
).split()


def wrong(outputs: np.ndarray, targets: np.ndarray) -> float:
    return float((outputs.argmax(-1) != targets).mean())


def deviation(outputs: np.ndarray, targets: np.ndarray) -> float:
    return float(np.sqrt(((outputs - targets) ** 2).mean()))


def bits(outputs: np.ndarray, targets: np.ndarray) -> float:
    """Of all tokens but the first, which nothing foretells."""
    powers = np.exp(outputs[:, 1:])
    shares = powers / powers.sum(-1, keepdims=True)
    rows, places = np.indices(targets[:, 1:].shape)
    return float(-np.log2(shares[rows, places, targets[:, 1:]]).mean())


@pytest.mark.parametrize(
    ("name", "error", "most"),
    [
        ("regression", deviation, 0.1),
        ("tokens", bits, 1.6),
        pytest.param("equinox_digits", wrong, 0.08, marks=pytest.mark.slow),
        pytest.param("linen_digits", wrong, 0.08, marks=pytest.mark.slow),
    ],
)
def test_an_example_runs_and_its_files_are_as_good_as_reported(
    name: str,
    error: Callable[..., float],
    most: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = ROOT / "examples" / f"{name}.yaml"
    command = [sys.executable, "-m", "jaxcompress.run", "--config", str(path), *TINY]
    done = subprocess.run(
        [*command, "--out", "run"],
        cwd=tmp_path,  # what an example writes goes under the working directory
        env=os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "run" / "front.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["path"]]
    assert len(rows) >= 2
    assert float(rows[0]["test_error"]) < most  # the example did train its network
    monkeypatch.syspath_prepend(ROOT)
    given = read(path).data.name
    data = called("data.name", given) if is_function(given) else load(given)
    for row in rows:
        outputs = jc.load(tmp_path / "run" / row["path"])(data.normalize(data.test.inputs))
        found = error(np.asarray(outputs, np.float64), data.test.targets)
        assert found == pytest.approx(float(row["test_error"]), rel=1e-4, abs=1e-6)
