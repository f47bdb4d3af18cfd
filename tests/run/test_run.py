"""The command line, as a user runs it: real processes, small settings."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxcompress as jc
from jaxcompress import data
from jaxcompress.config import find, read

SMALL = (
    "--train.epochs 3 --adapt.epochs 1 --search.population 8 --search.generations 3 "
    "--finetune.epochs 1 --report.members 3"
).split()


def start(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    return subprocess.run(
        [sys.executable, "-m", "jaxcompress.run", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of one seed, from a directory of their own."""
    folder = tmp_path_factory.mktemp("somewhere")
    paths = []
    for name in ("a", "b"):
        done = start(*SMALL, "--out", name, cwd=folder)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.strip().splitlines()
        assert Path(lines[-1]) == (folder / name).resolve()
        assert any("search 3/3" in line and "evaluations/s" in line for line in lines)
        assert any("reference point" in line for line in lines)
        for method in ("search", "uniform", "greedy", "random"):
            assert any(f"│ {method} " in line for line in lines)
        paths.append(folder / name)
    return paths


def test_everything_is_in_the_directory(runs: list[Path]) -> None:
    run = runs[0]
    names = {path.name for path in run.iterdir()}
    assert names == {"config.yaml", "metrics.jsonl", "front.csv", "front.png", "artifacts"}
    config = read(find(str(run / "config.yaml")))
    assert config.search.population == 8 and config.train.epochs == 3
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["generation"] for line in lines] == [1, 2, 3]
    assert (run / "front.png").read_bytes().startswith(b"\x89PNG")


def test_reported_sizes_and_accuracies_are_the_files_own(runs: list[Path]) -> None:
    dataset = data.load("digits")
    x = dataset.normalize(dataset.test.inputs)
    with (runs[0] / "front.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["path"]]
    assert len(rows) >= 2 and rows[0]["method"] == "dense"
    for row in rows:
        path = runs[0] / row["path"]
        loaded = jc.load(path)
        assert path.stat().st_size == int(row["file"])
        assert loaded.sizes.parameters == int(row["parameters"])
        assert loaded.sizes.parameters + loaded.sizes.program == int(row["file"])
        right = (np.asarray(loaded(x)).argmax(1) == dataset.test.targets).mean()
        assert right == pytest.approx(float(row["test"]), abs=1e-9)
        assert float(row["size"]) == loaded.sizes.parameters


def test_the_same_seed_gives_the_same_front(runs: list[Path]) -> None:
    a, b = ((run / "front.csv").read_bytes() for run in runs)
    assert a == b
    for path in (runs[0] / "artifacts").iterdir():
        assert path.read_bytes() == (runs[1] / "artifacts" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "nowhere"], "'nowhere' is no file and no bundled name"),
        (["--search.populations", "3"], "--search.populations"),
        (["--search.population", "3"], "population = 3"),
        (["--search.population", "x"], "'x'"),
        (["--space.weight-bits", "0"], "'0'"),
        (["--space.weight-bits", "40"], "'40'"),
        (["--model", "resnet"], "'resnet' is unknown"),
        (["--data.name", "faces"], "faces"),
        (["--config"], "--config needs a value"),
        (["--train.batch-size", "5000", "--out", "new"], "batch_size = 5000"),
        (["--train.epochs", "1", "--train.learning-rate", "1e30"], "loss is nan"),
        (["--out", "full"], "full: is not an empty directory"),
        (["--out", "file/run"], "file"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    arguments: list[str], words: str, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").touch()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    done = start(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and words in done.stderr
    assert sorted(tmp_path.rglob("*")) == before  # nothing half-written


def test_help_names_every_option(tmp_path: Path) -> None:
    done = start("--help", cwd=tmp_path)
    assert done.returncode == 0
    for option in ("--config", "--out", "--search.generations", "--space.weight-bits"):
        assert option in done.stdout


def test_the_readme_example_runs(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    code = readme.partition("```python\n")[2].partition("```")[0]
    assert "jc.search" in code
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model.jcz").exists()


def test_test_split_is_not_read_before_the_end() -> None:
    """Search and fine-tuning run on a data set whose test split cannot be read."""
    dataset = data.load("digits")
    hidden = object.__new__(data.Dataset)
    for name in ("name", "train", "validation", "num_classes", "mean", "std"):
        object.__setattr__(hidden, name, getattr(dataset, name))
    assert not hasattr(hidden, "test")
    params = {"w": jax.random.normal(jax.random.key(0), (64, 10)) * 0.1}
    network = jc.trace(
        lambda p, x: x.reshape(x.shape[0], -1) @ p["w"],
        params,
        hidden.normalize(hidden.validation.inputs),
    )
    space = jc.Space(network, (jc.genes.WeightBits((2, 4)),))
    config = jc.TuneConfig(epochs=1)
    shared = jc.adapt(jax.random.key(0), network, space, hidden, config)
    plans = jax.vmap(space.decode)(space.sample(jax.random.key(1), 2))
    tuned = jc.finetune(jax.random.key(2), network, plans, hidden, config, shared)
    assert tuned["w"].shape == (2, 64, 10)
