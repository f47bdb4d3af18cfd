"""Every training says how far it is: once a batch or epoch, and up to the last."""

import io
import shutil
from pathlib import Path

import jax
import pytest
from rich.console import Console
from training.test_tune import config, data, network, plans

import jaxcompress as jc
from jaxcompress.config import LibraryConfig, TrainConfig
from jaxcompress.data import Dataset, load
from jaxcompress.models import create
from jaxcompress.report import BatchProgress, progress
from jaxcompress.training import pruned_library, train, tune

__all__ = ["data", "network", "plans"]  # fixtures
KEY = jax.random.key(0)


class Told:
    def __init__(self) -> None:
        self.all: list[tuple[int, int]] = []

    def __call__(self, done: int, total: int) -> None:
        self.all.append((done, total))

    def up_to(self, total: int, first: int = 0, each: int = 1) -> None:
        assert self.all == [(i, total) for i in range(first + each, total + 1, each)]


def at_a_time(epoch: int) -> int:
    """Returns the batches of one call: on an accelerator those of an epoch."""
    return 1 if jax.default_backend() == "cpu" else epoch


def test_training_from_scratch() -> None:
    digits, told = load("digits").some(40, 8, 0), Told()
    how = TrainConfig(epochs=3, batch_size=16)
    train(KEY, create("digits_cnn", 0, digits), digits, how, on_batch=told)
    told.up_to(6)


def test_fine_tuning_goes_on_counting_after_a_stop(
    network: jc.Network, plans: jc.Plan, data: Dataset, tmp_path: Path
) -> None:
    epoch = len(data.train) // 16
    for first in (0, epoch):
        told = Told()
        tune(KEY, network, plans, data, config(), None, None, None, tmp_path, told)
        told.up_to(2 * epoch, first, at_a_time(epoch))
        shutil.rmtree(tmp_path / "2")


def test_shared_weights_and_libraries(network: jc.Network, data: Dataset) -> None:
    epoch, told = len(data.train) // 16, Told()
    space = jc.Space(network, (jc.genes.ChannelCount(),))
    jc.adapt(KEY, network, space, data, config(), on_batch=told)
    told.up_to(2 * epoch)
    told = Told()
    how = LibraryConfig(members=2, prune="channels", steps=3, epochs=2, batch_size=16)
    pruned_library(KEY, network, data, how, on_batch=told)
    told.up_to(3 * 2 * epoch, each=at_a_time(epoch))


def test_plain_lines_say_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    page = io.StringIO()
    with BatchProgress(Console(file=page, width=80), "tuning") as shown:
        for done in range(1, 11):  # the first compiles for 100 s, the others take 25
            now[0] += 100.0 if done == 1 else 25.0
            shown.update(done, 10)
    assert page.getvalue().splitlines() == [
        "tuning",
        "tuning: 2/10 batches  200 s left",
        "tuning: 5/10 batches  125 s left",
        "tuning: 8/10 batches  50 s left",
    ]


def test_what_begins_anew_is_timed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The evaluations of a descent: probes, then the way down."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    page = io.StringIO()
    with BatchProgress(Console(file=page, width=80), "descent", "evaluations") as shown:
        for total, seconds in ((64, 100.0), (48, 50.0)):
            for done in range(16, total + 1, 16):
                now[0] += seconds
                shown.update(done, total)
    assert page.getvalue().splitlines() == [
        "descent",
        "descent: 32/64 evaluations  200 s left",
        "descent: 48/64 evaluations  100 s left",
        "descent: 64/64 evaluations  0 s left",
        "descent: 32/48 evaluations  50 s left",
    ]
