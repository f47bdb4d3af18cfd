"""One device, several, and several processes find the same front, bit for bit."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from search.small_search import small_search

import jaxcompress as jc
from jaxcompress.processes import _filled
from jaxcompress.search.devices import CPU_DEVICES, mesh_for

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from run_local import ended, start  # noqa: E402

WORKER = str(Path(__file__).with_name("small_search.py"))


@pytest.fixture(autouse=True)
def alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes compile as this one does, see conftest.py."""
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 300_000).map(bytes))
def test_what_processes_tell_each_other_has_few_lengths(content: bytes) -> None:
    filled = _filled(pickle.dumps(content))
    assert pickle.loads(filled.tobytes()) == content
    assert len(filled) in [1 << power for power in range(16, 20)]


@pytest.fixture(scope="module")
def alone() -> jc.Result:
    return small_search(5, None)


def finished(started: list[subprocess.Popen[bytes]], code: int = 0) -> None:
    try:
        said = ended(started, 300)
        assert [process.returncode for process in started] == [code] * len(said), said
    finally:
        for process in started:
            process.kill()


def same(file: Path, wanted: jc.Result) -> None:
    with np.load(file) as found:
        assert found["devices"] == 8
        np.testing.assert_array_equal(found["archive"], wanted.archive.genotypes)
        np.testing.assert_array_equal(found["genotypes"], wanted.genotypes)
        assert found["objectives"].tobytes() == wanted.objectives.tobytes()


def test_eight_devices_find_the_same_front(tmp_path: Path, alone: jc.Result) -> None:
    """Four along the population, two along the examples, which are three batches."""
    finished(start([WORKER, str(tmp_path / "found.npz"), "5", "4"], 1, 8))
    same(tmp_path / "found.npz", alone)


@pytest.mark.slow
def test_two_processes_go_on_with_what_one_device_began(
    tmp_path: Path, alone: jc.Result
) -> None:
    files = tmp_path / "checkpoints"
    small_search(2, None, files)
    command = [WORKER, str(tmp_path / "found.npz"), "5", "8", str(files)]
    finished(start(command, 2, 4))
    same(tmp_path / "found.npz", alone)
    assert {path.name for path in files.glob("[0-9]*")} == {"2", "5"}


def test_racing_and_screening_go_on_in_two_processes(tmp_path: Path) -> None:
    """What both choose by is in the checkpoints, and the same in all processes."""
    alone = small_search(8, None, raced=True)
    last = alone.history[-1]
    assert last.spared > 60 * (last.asked - last.evaluations)  # some were stopped
    files = tmp_path / "checkpoints"
    small_search(4, None, files, raced=True)
    command = [WORKER, str(tmp_path / "found.npz"), "8", "8", str(files), "--raced"]
    finished(start(command, 2, 4))
    same(tmp_path / "found.npz", alone)
    with np.load(tmp_path / "found.npz") as found:
        assert found["forwards"] == last.forwards


def test_fewer_than_one_of_anything_is_refused_in_a_line() -> None:
    with pytest.raises(ValueError, match="population is 0; allowed: 1 or more"):
        mesh_for(0)
    for few in (["--devices", "0"], ["--processes", "-1"]):
        script = [sys.executable, str(ROOT / "scripts" / "run_local.py"), *few]
        done = subprocess.run(script, capture_output=True, text=True)
        assert done.returncode == 2 and "allowed is a whole number" in done.stderr


def test_what_is_waited_for_may_come_after_a_day() -> None:
    """Of half a second here: the store's own patience ends, and one asks again."""
    code = """
import threading, time, jax
from jaxcompress import processes
from run_local import free_port

processes.DAY = 500
jax.distributed.initialize(f"localhost:{free_port()}", 1, 0)
client = processes.distributed.global_state.client
threading.Timer(1.7, client.key_value_set, ("later", "7")).start()
began = time.monotonic()
assert processes._awaited("later") == "7" and time.monotonic() - began > 1.5
"""
    path = os.pathsep.join([str(ROOT), str(ROOT / "scripts")])
    environment = os.environ | {"PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_every_core_of_a_cpu_is_a_device() -> None:
    code = (
        "import jax; from jaxcompress.search import cores_as_devices; cores_as_devices(); "
        "print(jax.device_count())"
    )
    told = {"XLA_FLAGS", "JAX_NUM_CPU_DEVICES"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={name: value for name, value in os.environ.items() if name not in told},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == min(len(os.sched_getaffinity(0)), CPU_DEVICES)


@pytest.mark.slow
def test_a_run_of_two_processes_is_stopped_by_one_and_ends_on_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole command line: what it leaves are the bytes of a run on one device.

    XLA takes as many threads as there are cores or devices, whichever are more, and those
    set the order of the sums in training: as many everywhere.
    """
    monkeypatch.setenv("NPROC", "8")
    run = ["-m", "jaxcompress.run"]
    small = (
        "--train.epochs 3 --adapt.epochs 1 --search.population 8 --search.generations 12 "
        "--finetune.epochs 1 --report.members 3"
    ).split()
    one, two = tmp_path / "one", tmp_path / "two"
    finished(start([*run, *small, "--out", str(one)], 1, 1))
    started = start([*run, *small, "--out", str(two)], 2, 4)
    metrics = two / "metrics.jsonl"
    while started[0].poll() is None and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.01)
    started[1].send_signal(signal.SIGTERM)
    finished(started, code=143)
    assert any((two / "checkpoints" / "search").glob("[0-9]*"))
    finished(start([*run, "--resume", str(two)], 1, 8))
    names = ["front.csv", *(f"artifacts/{path.name}" for path in one.glob("artifacts/*"))]
    assert len(names) > 2
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
