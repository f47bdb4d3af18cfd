"""A stream gives every example once an epoch, the same again, and holds a few batches."""

import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from jaxcompress.data import Dataset, Split, Stream
from jaxcompress.data.stream import THREADS

pytest.importorskip("grain", reason='pip install -e ".[stream]"')
COUNT = 1000


class Counting:
    """Images whose pixels are their number, and how many were asked for."""

    def __init__(self) -> None:
        self.reads, self.lock = 0, threading.Lock()

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.int32]:
        with self.lock:
            self.reads += 1
        return np.full((2, 2, 1), index % 256, np.uint8), np.int32(index)


def order(stream: Stream, seed: int, size: int = 64) -> list[int]:
    return np.concatenate([s.targets for s in stream.batches(seed, size)]).tolist()


def test_every_example_once_in_an_order_of_the_seed() -> None:
    stream = Stream.of(Counting())
    first = order(stream, 2**32 - 1)
    assert len(first) == COUNT // 64 * 64 and len(set(first)) == len(first)
    assert order(stream, 2**32 - 1) == first  # as a run that is resumed sees them
    others = order(stream, 0)
    assert others != first and np.mean(np.equal(others, first)) < 0.05
    assert sorted(order(stream, 5, size=1)) == list(range(COUNT))
    for split in stream.batches(3, 64):
        assert split.inputs.shape == (64, 2, 2, 1) and split.inputs.dtype == np.uint8
        np.testing.assert_array_equal(split.inputs[:, 0, 0, 0], split.targets % 256)


def test_no_more_is_read_than_a_batch_for_each_thread() -> None:
    source = Counting()
    stream = Stream.of(source)
    assert source.reads == 0
    assert stream.nbytes == COUNT * 4 and source.reads == 1
    source.reads = 0
    for number, split in enumerate(stream.batches(0, 10)):
        assert len(split) == 10
        assert source.reads <= (number + 1 + THREADS) * 10
    assert source.reads == COUNT
    source.reads = 0
    batches = stream.batches(0, 10)
    next(batches)
    batches.close()  # as when training stops in the middle of an epoch
    assert source.reads <= (1 + THREADS) * 10 < COUNT


def test_some_are_those_that_a_split_draws() -> None:
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    split = Split(x, np.arange(50, dtype=np.int32))
    stream = Stream.of(split)
    for count in (7, 50, 99, None):
        found, expected = stream.some(count, 4).read(), split.some(count, 4)
        np.testing.assert_array_equal(found.inputs, expected.inputs)
        np.testing.assert_array_equal(found.targets, expected.targets)
        assert found.inputs.dtype == np.float32 and found.targets.dtype == np.int32
    twice = stream.some(20, 1).some(5, 2).read()
    np.testing.assert_array_equal(twice.targets, split.some(20, 1).some(5, 2).targets)


def test_what_is_larger_is_streamed_and_what_fits_is_held() -> None:
    x, y = np.zeros((30, 2, 2, 1), np.uint8), np.arange(30, dtype=np.int32)
    held = Dataset("held", Split(x, y), Split(x[:4], y[:4]), Split(x[:2], y[:2]), 30)
    assert held.streamed_above(120) is held and held.fitted is held.train
    stream = held.streamed_above(119)
    assert stream.fitted is stream.stream and len(stream.fitted) == 30
    assert stream.streamed_above(119) is stream
    fewer = stream.some(10, 3, seed=0)
    assert fewer.stream is not None and len(fewer.fitted) == 10
    assert len(fewer.validation) == 3
    expected = held.some(10, 3, seed=0).train.targets
    np.testing.assert_array_equal(fewer.train.targets, expected)
    again = fewer.streamed_above(40)
    assert again.stream is None and again.fitted is again.train
    np.testing.assert_array_equal(again.train.targets, expected)


def test_what_cannot_be_streamed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream.of([(np.zeros(shape), np.int32(0)) for shape in (2, 2, 3)])
    with pytest.raises(ValueError, match=r"different shapes, such as \[\(2,\), \(3,\)\]"):
        stream.read()
    with pytest.raises(ValueError, match="different shapes"):
        list(stream.batches(0, 3))
    with pytest.raises(ValueError, match="a stream without examples"):
        Stream.of([])
    broken = Stream.of([(np.full(2, np.nan), np.int32(0))] * 3)
    with pytest.raises(ValueError, match="6 values that are NaN"):
        list(broken.batches(0, 3))
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(ValueError, match=r"pip install \"jaxcompress\[stream\]\""):
        replace(stream)
