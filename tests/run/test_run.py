"""The command line, as a user runs it: real processes, small settings."""

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from rich.console import Console

import jaxcompress as jc
from jaxcompress import data, pipeline
from jaxcompress.config import Config, Objective
from jaxcompress.config_file import find, read
from jaxcompress.report import progress
from jaxcompress.run import main
from jaxcompress.search import locked

# No values: weights with bits share none.
OBJECTIVES = tuple(name for name in get_args(Objective) if name != "values")
SMALL = (
    "--model run.tiny:network --adapt.epochs 0 --adapt.focus 1 --adapt.every 2 "
    "--search.population 8 --search.generations 3 --search.racing 0.9 --finetune.epochs 1 "
    "--report.members 3 --search.precision bfloat16 --search.initial descent "
    "--search.descent-examples 30 --search.screening 3"
).split()


@pytest.fixture(autouse=True, scope="module")
def quickly(compiled_quickly: None) -> None:
    pass


def environment() -> dict[str, str]:
    """Processes compile as this one does, and for as many devices: they share a cache."""
    tests = str(Path(__file__).parents[1])
    return os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "PYTHONPATH": tests}


def start(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jaxcompress.run", *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def complete(done: subprocess.CompletedProcess[str], path: Path) -> None:
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    assert Path(lines[-1]) == path.resolve()
    assert any("search 3/3" in line and "evaluations/s" in line for line in lines)
    assert any("reference point" in line for line in lines)
    assert any("devices, in batches of" in line for line in lines)
    assert any("in bfloat16" in line for line in lines)
    begin = "evaluations to find where to begin, by descent, guided by each gene alone on"
    assert any(begin in line for line in lines)
    for method in ("search", "uniform", "greedy", "random", "magnitude"):
        assert any(f"│ {method} " in line for line in lines)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of one seed; the second is stopped while it searches, and resumed."""
    folder = tmp_path_factory.mktemp("somewhere")
    paths = [folder / "a", folder / "b"]
    complete(start(*SMALL, "--out", "a", cwd=folder), paths[0])
    command = [sys.executable, "-m", "jaxcompress.run", *SMALL, "--out", "b"]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = paths[1] / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.01)
    process.terminate()
    _, said = process.communicate()
    assert process.returncode == 143
    assert said == (
        "stopped by SIGTERM; go on with: python -m jaxcompress.run --resume b\n"
    )
    assert any((paths[1] / "checkpoints" / "search").glob("[1-3]"))
    assert not (paths[1] / "front.csv").exists()
    resumed = start("--resume", "b", cwd=folder)
    complete(resumed, paths[1])
    assert resumed.stdout.startswith("going on with b\n")
    return paths


def test_everything_is_in_the_directory(runs: list[Path]) -> None:
    run = runs[0]
    files = {"config.yaml", "metrics.jsonl", "front.csv", "front.png"}
    names = {path.name for path in run.iterdir()}
    assert names == files | {"artifacts", "checkpoints"}
    config = read(find(str(run / "config.yaml")))
    assert config.search.population == 8 and config.adapt.every == 2
    assert (run / "checkpoints" / "focus").is_dir()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["generation"] for line in lines] == [1, 2, 3]
    assert (run / "front.png").read_bytes().startswith(b"\x89PNG")


def test_reported_sizes_and_accuracies_are_the_files_own(runs: list[Path]) -> None:
    dataset = data.load("digits")
    x = dataset.normalize(dataset.test.inputs)
    with (runs[0] / "front.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["path"]]
    assert len(rows) >= 2 and rows[0]["method"] == "dense"
    config = hashlib.sha256((runs[0] / "config.yaml").read_bytes()).hexdigest()
    for row in rows:
        path = runs[0] / row["path"]
        loaded = jc.load(path)
        provenance = {"network": "run.tiny:network", "config": config}
        assert loaded.metadata["provenance"] == provenance
        assert path.stat().st_size == int(row["file"])
        assert loaded.sizes.parameters == int(row["parameters"])
        assert loaded.sizes.parameters + loaded.sizes.program == int(row["file"])
        right = (np.asarray(loaded(x)).argmax(1) == dataset.test.targets).mean()
        assert right == pytest.approx(1 - float(row["test_error"]), abs=1e-6)
        assert float(row["size"]) == loaded.sizes.parameters


def test_a_resumed_run_ends_where_an_uninterrupted_one_ends(runs: list[Path]) -> None:
    a, b = ((run / "front.csv").read_bytes() for run in runs)
    assert a == b
    folders = [run / "artifacts" for run in runs]
    assert len({tuple(sorted(p.name for p in folder.iterdir())) for folder in folders}) == 1
    for path in folders[0].iterdir():
        assert path.read_bytes() == (runs[1] / "artifacts" / path.name).read_bytes()


def test_a_finished_run_is_left_as_it_is(
    runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def everything() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in runs[0].rglob("*")}

    before = everything()
    assert main(["--resume", str(runs[0])]) == 0
    assert "is finished" in capsys.readouterr().out
    assert everything() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "3", "--search.generations", "9"], "seed = 0 and not 3; leave"),
        (
            ["--search.generations", "2", "--adapt.every", "0"],
            "search.generations = 3 and not 2; leave",
        ),
        (["--config", "digits"], "model = 'run.tiny:network' and not 'digits_cnn', "),
        (["--out", "there"], "a run stays in its directory"),
    ],
)
def test_a_run_is_resumed_as_it_was(
    runs: list[Path],
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--resume", str(runs[0]), *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_two_processes_are_not_at_one_run(
    runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with locked(runs[0] / "checkpoints"):
        assert main(["--resume", str(runs[0]), "--search.generations", "4"]) == 2
    said = capsys.readouterr().err
    assert "a run is going on there" in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--resume", "full"], "--resume full: is no run directory"),
        (["--config", "nowhere"], "'nowhere' is no file and no bundled name"),
        (["--preset", "huge"], "digits.yaml has no preset 'huge'; it has none"),
        (["--resume", "full", "--preset", "small"], "--profile and --preset out"),
        (["--search.populations", "3"], "--search.populations"),
        (["--search.population", "3"], "population = 3"),
        (["--search.population", "x"], "'x'"),
        (["--search.racing", "x"], "error: --search.racing: no type matching"),
        (["--space.weight-bits", "0"], "'0'"),
        (["--space.weight-bits", "40"], "'40'"),
        (["--model", "resnet"], "'resnet' is unknown"),
        (["--data.name", "faces"], "faces"),
        (
            ["--data.name", "cifar10", "--data.directory", "."],
            "is not prepared as array_re",
        ),
        (["--weights", "gone.safetensors"], "there is no file gone.safetensors"),
        (["--config"], "--config needs a value"),
        (["--train.batch-size", "5000", "--out", "new"], "batch_size = 5000"),
        (["--out", "full"], "full: is not an empty directory"),
        (["--out", "file/run"], "file"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").touch()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and words in said and "helptext" not in said
    assert sorted(tmp_path.rglob("*")) == before  # nothing half-written


def test_a_process_with_bad_input_ends_with_one_line_and_code_2(tmp_path: Path) -> None:
    """Late: after the network was made, in training."""
    done = start("--train.epochs", "1", "--train.learning-rate", "1e30", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "loss is nan" in done.stderr
    assert not any(tmp_path.iterdir())  # nothing half-written


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert not stop.value.code
    said = capsys.readouterr().out
    for option in ("--config", "--out", "--search.generations", "--space.weight-bits"):
        assert option in said


def test_nothing_is_said_where_nobody_reads_on(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "jaxcompress.run", "--help"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(),
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert done.returncode == 1 and done.stderr == b""


def test_the_readme_example_runs(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    blocks = [part.partition("```")[0] for part in readme.split("```python\n")[1:]]
    code = "\n".join(blocks)
    assert "jc.search" in code and "algorithm.compiled" in code
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model.jcz").exists()


class Sealed(data.Dataset):
    """A data set whose test split cannot be read before a file is written."""

    def __getattribute__(self, name: str) -> object:
        folder = object.__getattribute__(self, "__dict__").get("folder")
        if name == "test" and folder and not (folder / "artifacts" / "dense.jcz").exists():
            raise AssertionError("the test split was read too early")
        return super().__getattribute__(name)


def test_the_test_split_is_not_read_before_the_files_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = data.load("digits")
    sealed = Sealed(**{f.name: getattr(digits, f.name) for f in fields(data.Dataset)})
    object.__setattr__(sealed, "folder", tmp_path / "run")
    with pytest.raises(AssertionError, match="too early"):
        _ = sealed.test
    monkeypatch.setattr(data, "load", lambda *_, **__: sealed)
    tree = {
        "train": {"epochs": 3},
        "adapt": {"epochs": 1},
        "search": {
            "population": 4,
            "generations": 9,
            "evaluations": 11,  # two whole populations
            "objectives": OBJECTIVES,
            "energy_table": "tpu",
        },
        "finetune": {"epochs": 1},
        "report": {"members": 2, "baselines": False},
    }
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    page = io.StringIO()
    outcome = pipeline.run(Config(**tree), tmp_path / "run", Console(file=page, width=160))
    for what in ("digits_cnn on digits", "the weights for all plans", "the fronts, "):
        lines = [x for x in page.getvalue().splitlines() if f"ing {what}" in x]
        assert 1 < len(lines) <= 12 and all("s left" in line for line in lines[1:]), lines
    assert all(member.test_error is not None for member in [outcome.dense, *outcome.front])
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert outcome.evaluations == len(outcome.result.archive) == 8
    metrics = json.loads(lines[-1])
    assert tuple(metrics["best"]) == OBJECTIVES and all(metrics["best"].values())
    latency = json.loads((tmp_path / "run" / "latency.json").read_text())
    assert latency["batch_size"] == 1 and latency["layers"]
