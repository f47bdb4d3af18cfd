"""A search that is stopped ends where an uninterrupted one ends, and says what is wrong."""

import errno
import fcntl
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from network.zoo import ZOO

import jaxcompress as jc
from jaxcompress import objectives
from jaxcompress.search import AtSignal, Checkpoints, Generation, locked

NETWORK = jc.trace(*ZOO["mlp"](jax.random.key(0))[:3])
SPACE = jc.Space(NETWORK, (jc.genes.ChannelCount(), jc.genes.WeightBits((2, 3, 4, 8))))
COSTS = (objectives.Size("dense"), objectives.Macs())
EVALUATE = jc.Evaluator(NETWORK, SPACE, COSTS, chunk=8)
ALGORITHM = jc.NSGA2(8, SPACE, 2)
GOALS = (objectives.Error("cross_entropy"), objectives.Size("dense"))
INPUTS = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
TARGETS = np.arange(12, dtype=np.int32) % 3
KINDS = (jc.genes.ChannelCount(), jc.genes.WeightBits((2, 3, 5, 8)))  # 5 for 4


class Stop(Exception):
    pass


def run(
    directory: Path | None, generations: int = 9, stop: int = 0, **options: Any
) -> jc.Result:
    """Searches; `stop`: raises after this generation, as a user's own code may."""

    def on_generation(generation: Generation) -> None:
        if generation.generation == stop:
            raise Stop

    return jc.search(
        options.pop("key", jax.random.key(0)),
        options.pop("algorithm", ALGORITHM),
        EVALUATE,
        generations=generations,
        on_generation=on_generation,
        checkpoint_dir=directory,
        checkpoint_every=2,
        **options,
    )


def stopped(directory: Path, after: int = 7, **options: Any) -> None:
    with pytest.raises(Stop):
        run(directory, stop=after, **options)


def same(a: jc.Result, b: jc.Result) -> None:
    for one, other in (
        (a.genotypes, b.genotypes),
        (a.objectives, b.objectives),
        (a.archive.genotypes, b.archive.genotypes),
        (a.archive.objectives, b.archive.objectives),
    ):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert a.measure == b.measure and a.hypervolume == b.hypervolume
    untimed = [
        [(g.generation, g.evaluations, g.asked, g.forwards, g.spared, g.best) for g in r]
        + [(g.hypervolume, g.metrics) for g in r]
        for r in (a.history, b.history)
    ]
    assert untimed[0] == untimed[1]
    seconds = [g.seconds for g in b.history]
    assert seconds == sorted(seconds)


@cache
def whole() -> jc.Result:
    return run(None)


def steps(directory: Path) -> list[int]:
    return sorted(int(path.name) for path in directory.iterdir() if path.name.isdigit())


@pytest.mark.parametrize(
    "algorithm",
    [
        ALGORITHM,
        jc.MOEAD(8, SPACE, 2),
        jc.Decomposed(32, SPACE, 2),
    ],
    ids=lambda algorithm: type(algorithm).__name__,
)
def test_a_resumed_search_ends_where_an_uninterrupted_one_ends(
    tmp_path: Path, algorithm: Any
) -> None:
    wanted = whole() if algorithm is ALGORITHM else run(None, algorithm=algorithm)
    stopped(tmp_path, after=3, algorithm=algorithm)
    stopped(tmp_path, after=7, algorithm=algorithm)
    assert steps(tmp_path)[-1] == 6
    seen: list[int] = []
    resumed = jc.search(
        jax.random.key(0),
        algorithm,
        EVALUATE,
        generations=9,
        on_generation=lambda generation: seen.append(generation.generation),
        checkpoint_dir=tmp_path,
        checkpoint_every=4,
    )
    same(wanted, resumed)
    assert seen == list(range(1, 10))
    assert steps(tmp_path) == [6, 8, 9]  # the last three


def test_more_generations_continue_a_finished_search_and_fewer_are_refused(
    tmp_path: Path,
) -> None:
    run(tmp_path, generations=4)
    same(run(None, generations=7), run(tmp_path, generations=7))
    same(run(None, generations=7), run(tmp_path, generations=7))  # nothing left to do
    with pytest.raises(ValueError, match="has 7 already: give as many or more"):
        run(tmp_path, generations=6)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def damage(step: Path, how: Callable[[Path], None], what: str) -> None:
    """Damages the largest file whose path has `what` in it, or all of them."""
    paths = [p for p in step.rglob("*") if p.is_file() and what in str(p)]
    for path in paths:
        how(path)
    assert paths


@pytest.mark.parametrize(
    ("how", "what"),
    [
        (truncate, "arrays/d"),
        (flip, "arrays/d"),
        (truncate, "words/metadata"),
        (flip, "words/metadata"),
        (truncate, "_METADATA"),
        (Path.unlink, "manifest"),
        (truncate, ""),
    ],
)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    how: Callable[[Path], None],
    what: str,
) -> None:
    stopped(tmp_path)
    damage(tmp_path / "6", how, what)
    with caplog.at_level(logging.WARNING, "jaxcompress"):
        same(whole(), run(tmp_path))
    (said,) = [r.getMessage() for r in caplog.records if r.name == "jaxcompress"]
    assert f"{tmp_path / '6'} is damaged" in said and "\n" not in said


def test_a_clock_that_goes_back_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Checkpoints(tmp_path, keep=2) as files:
        files.save(1, [np.zeros(1)], ["one"])
        files.save(2, [np.ones(1)], ["two"])
    now, then = time.time(), time.time_ns()
    monkeypatch.setattr(time, "time", lambda: now - 1e6)
    monkeypatch.setattr(time, "time_ns", lambda: then - 10**15)
    with Checkpoints(tmp_path, keep=2) as files:
        files.save(3, [np.full(1, 3.0)], ["three"])
    os.utime(tmp_path / "3", (0, 0))
    with Checkpoints(tmp_path, keep=2) as files:
        found = files.latest()
    assert found is not None and (found.step, found.words) == (3, ["three"])
    assert not (tmp_path / "1").exists()


@pytest.mark.parametrize("error", [OSError(errno.EIO, "no luck"), MemoryError()])
def test_what_cannot_be_read_now_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A read that fails says nothing of what is read: it may be whole the next time."""
    stopped(tmp_path)
    before = steps(tmp_path)

    def fails(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(ocp.CheckpointManager, "restore", fails)
        with pytest.raises(OSError, match="cannot be read"):
            run(tmp_path)
    assert steps(tmp_path) == before
    same(whole(), run(tmp_path))


def once_searched(directory: Path, **other: Any) -> jc.Result:
    how = {"inputs": INPUTS, "targets": TARGETS, **other}
    space = how.pop("space", SPACE)
    goals = how.pop("objectives", GOALS)
    evaluate = jc.Evaluator(NETWORK, space, goals, **how)
    algorithm, key = jc.NSGA2(8, space, 2), jax.random.key(0)
    return jc.search(key, algorithm, evaluate, generations=1, checkpoint_dir=directory)


@pytest.fixture(scope="module")
def searched_by_labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("labels")
    same(once_searched(directory), once_searched(directory))
    return directory


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"targets": 1 - np.minimum(TARGETS, 1)}, "with examples = "),
        ({"inputs": INPUTS + np.float32(1.0)}, "with examples = "),
        ({"params": jax.tree.map(lambda x: 0.5 * x, NETWORK.params)}, "with params = "),
        ({"objectives": (jc.objectives.Error(), GOALS[1])}, "with objectives = "),
        (
            {"objectives": (GOALS[0], jc.objectives.Size("range"))},
            "with objectives = .*dense.* .now .*range",
        ),
        ({"space": jc.Space(NETWORK, KINDS)}, "with choices = "),
        ({"precision": "bfloat16"}, r"with precision = 'float32' \(now 'bfloat16'\)"),
    ],
)
def test_checkpoints_of_other_examples_weights_or_choices_are_refused(
    searched_by_labels: Path, changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        once_searched(searched_by_labels, **changed)


def test_checkpoints_of_another_format_are_refused_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(import_module("jaxcompress.search.identity"), "FORMAT", 1)
        once_searched(tmp_path)
    with pytest.raises(ValueError, match="checkpoints are of another version"):
        once_searched(tmp_path)


def test_a_search_without_a_whole_checkpoint_begins_anew(tmp_path: Path) -> None:
    stopped(tmp_path)
    for step in steps(tmp_path):
        damage(tmp_path / str(step), truncate, "")
    same(whole(), run(tmp_path))


def test_what_a_killed_process_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    stopped(tmp_path)
    half = tmp_path / "8.orbax-checkpoint-tmp"
    shutil.copytree(tmp_path / "6", half)
    same(whole(), run(tmp_path))
    assert not half.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"key": jax.random.key(1)}, r"key = \[0, 0\] \(now \[0, 1\]\); give"),
        ({"algorithm": jc.NSGA2(10, SPACE, 2)}, r"population_size = 8 \(now 10\); give"),
        (
            {"algorithm": jc.NSGA2(8, SPACE, 2, crossover="one_point")},
            r"crossover = 'mixed' \(now 'one_point'\); give",
        ),
        ({"algorithm": jc.RandomSearch(8, SPACE, 2)}, r"with algorithm = 'NSGA2' \(now"),
        ({"measure": jc.Measure((0, 1), (9e9, 9e9))}, r"measure = None \(now 'Measure"),
        (
            {"params": ALGORITHM.default_params.replace(mutation_rate=0.5)},
            r"with rates = '\w+' \(now",
        ),
    ],
)
def test_checkpoints_of_another_search_are_refused(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    stopped(tmp_path, after=3)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=words):
        run(tmp_path, **options)
    assert sorted(tmp_path.rglob("*")) == before


def test_one_search_at_a_time_in_a_directory(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(ValueError, match=f"process {os.getpid()}"):
        run(tmp_path)
    run(tmp_path, generations=2)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EIO])
def test_a_file_system_without_locks_locks_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
) -> None:
    def flock(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with caplog.at_level(logging.WARNING, logger="jaxcompress"):
        if number == errno.EIO:  # another trouble is one
            with pytest.raises(OSError, match=os.strerror(number)), locked(tmp_path):
                pass
            return
        with locked(tmp_path):
            pass
    assert f"{tmp_path}: cannot be locked" in caplog.text


def test_a_directory_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    if os.geteuid():
        tmp_path.chmod(0o500)
        readonly = tmp_path
    else:  # root may write everywhere but here
        readonly = Path("/sys/jaxcompress")
    with pytest.raises(OSError, match=str(readonly)):
        run(readonly)


def test_a_full_disk_stops_the_search_and_old_checkpoints_stay(tmp_path: Path) -> None:
    """The system's own limit on the size of files stands for the full disk."""
    stopped(tmp_path)
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match=r"cannot be written .*those already"):
            run(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert steps(tmp_path)[-1] == 6
    same(whole(), run(tmp_path))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"checkpoint_every": 0}, "checkpoint_every is 0"),
        ({"checkpoints_kept": 0}, "keep is 0"),
    ],
)
def test_bad_use_is_refused(tmp_path: Path, options: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        jc.search(
            jax.random.key(0),
            ALGORITHM,
            EVALUATE,
            generations=2,
            checkpoint_dir=tmp_path,
            **options,  # type: ignore[arg-type]
        )


def test_arrays_and_words_come_back_as_they_were(tmp_path: Path) -> None:
    leaves = [
        np.asarray([np.nan, -0.0, np.inf, 1e-45], np.float32),
        np.zeros((0, 3), np.int32),
        np.asarray(7, np.uint32),
        np.asarray([[True, False]]),
        np.zeros(0, np.float64),
    ]
    words = {"a": [1, 0.1 + 0.2, None, "ä"], "b": float("inf")}
    with Checkpoints(tmp_path, keep=1) as files:
        assert files.latest() is None
        for step in (3, 5):
            files.save(step, leaves, words)
        files.save(5, [], {})  # there already
        files.wait()
        assert steps(tmp_path) == [5]
        found = files.latest()
    assert found is not None and found.step == 5 and found.words == words
    for given, back in zip(leaves, found.leaves, strict=True):
        assert given.dtype == back.dtype and given.shape == back.shape
        assert given.tobytes() == back.tobytes()


def test_sigint_saves_the_last_generation_and_interrupts(tmp_path: Path) -> None:
    def interrupt(generation: Generation) -> None:
        if generation.generation == 3:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)

    # A process that a shell began in the background ignores the signal.
    outer = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            jc.search(
                jax.random.key(0),
                ALGORITHM,
                EVALUATE,
                generations=9,
                on_generation=interrupt,
                checkpoint_dir=tmp_path,
                checkpoint_every=100,
            )
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, outer)
    assert steps(tmp_path) == [3]
    same(whole(), run(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_inner_listener_acts_before_an_outer_one_and_locks_end_with_a_process(
    tmp_path: Path, number: int
) -> None:
    code = f"""
import hashlib, os, signal
from jaxcompress.search import AtSignal, locked
signal.signal({int(number)}, signal.SIG_DFL)  # under nohup SIGHUP is ignored
def leave(number):
    print("outer", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
with locked({str(tmp_path)!r}), AtSignal(leave):
    with AtSignal(lambda number: print("inner", number, flush=True)):
        os.kill(os.getpid(), {int(number)})
        # Other threads run meanwhile, but no handler in this one.
        hashlib.pbkdf2_hmac("sha256", b"a", b"b", 10**8)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout.split() == ["inner", str(int(number)), "outer"]
    with locked(tmp_path):
        pass


def test_a_listener_leaves_ignored_signals_and_other_threads_alone() -> None:
    previous = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with AtSignal(lambda _: None):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, previous)
