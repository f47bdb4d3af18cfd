"""Every configuration in examples/ runs from end to end, in a tiny form."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import jaxcompress as jc
from jaxcompress import pipeline
from jaxcompress.config import Config, read
from jaxcompress.data import Dataset, load
from jaxcompress.user_code import called, is_function

ROOT = Path(__file__).parents[2]
TINY = {
    "adapt": {"epochs": 1, "batch_size": 256},
    "search": {"population": 4, "generations": 2},
    "finetune": {"epochs": 1, "batch_size": 256},
}


def tiny(name: str) -> Config:
    tree = read(ROOT / "examples" / f"{name}.yaml").model_dump()
    tree["report"] |= {"members": 2, "baselines": False}
    for section, values in TINY.items():
        tree[section] |= values
    return Config(**tree)


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
        ("equinox_digits", wrong, 0.08),
        ("linen_digits", wrong, 0.08),
    ],
)
def test_an_example_runs_and_its_files_are_as_good_as_reported(
    name: str,
    error: Callable[..., float],
    most: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.chdir(tmp_path)  # what an example writes goes under the working directory
    config = tiny(name)
    outcome = pipeline.run(config, tmp_path / "run", Console(file=io.StringIO()))
    assert (outcome.dense.test_error or 0.0) < most  # the example did train its network
    with (tmp_path / "run" / "front.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["path"]]
    assert len(rows) >= 2
    data = dataset(config)
    for row in rows:
        outputs = jc.load(tmp_path / "run" / row["path"])(data.normalize(data.test.inputs))
        found = error(np.asarray(outputs, np.float64), data.test.targets)
        assert found == pytest.approx(float(row["test_error"]), rel=1e-4, abs=1e-6)


def dataset(config: Config) -> Dataset:
    name = config.data.name
    return called("data.name", name) if is_function(name) else load(name)
