"""A streamed data set trains what a held one trains, and is never held."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data.test_stream import Counting
from flax import nnx

import jaxcompress as jc
from jaxcompress.data import Dataset, Split, Stream
from jaxcompress.training import train, tune

pytest.importorskip("grain", reason='pip install -e ".[stream]"')


class Labelled(Counting):
    """Images of random pixels in three classes."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.x = rng.integers(0, 256, (len(self), 2, 2, 1), dtype=np.uint8)
        self.y = rng.integers(0, 3, len(self)).astype(np.int32)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.int32]:
        super().__getitem__(index)
        return self.x[index], self.y[index]


@pytest.fixture
def source() -> Labelled:
    return Labelled()


@pytest.fixture
def held(source: Labelled) -> Dataset:
    some = Split(source.x[:5], source.y[:5])
    whole = Split(source.x, source.y)
    return Dataset("noise", whole, some, some, 3, (127.0,), (74.0,))


@pytest.fixture
def streamed(source: Labelled, held: Dataset) -> Dataset:
    return replace(held, train=held.validation, stream=Stream.of(source))


class Linear(nnx.Module):
    def __init__(self) -> None:
        self.linear = nnx.Linear(4, 3, rngs=nnx.Rngs(0))

    def __call__(self, x: Any) -> Any:
        return self.linear(x.reshape(len(x), -1))


def test_training_reads_each_example_once_an_epoch(
    source: Labelled, held: Dataset, streamed: Dataset
) -> None:
    """All examples a batch: the sums of both are over the same, in another order."""
    config = jc.TrainConfig(epochs=3, batch_size=len(source), shift=0)
    module, history = train(jax.random.key(0), Linear(), streamed, config)
    assert source.reads == 3 * len(source)
    expected, loss = train(jax.random.key(0), Linear(), held, config)
    np.testing.assert_allclose(history.loss, loss.loss, rtol=1e-5)
    kernels = [np.asarray(own.linear.kernel[...]) for own in (module, expected)]
    np.testing.assert_allclose(*kernels, rtol=1e-3, atol=1e-5)
    assert not np.allclose(kernels[0], Linear().linear.kernel[...], atol=1e-3)


def test_tuning_goes_on_with_the_batches_it_would_have_had(
    source: Labelled, streamed: Dataset, tmp_path: Path
) -> None:
    params = {"w": jnp.asarray(np.random.default_rng(1).normal(size=(4, 3)), "f4")}
    network = jc.trace(
        lambda p, x: x.reshape(len(x), -1) @ p["w"],
        params,
        streamed.normalize(streamed.validation.inputs),
    )
    plans = jc.Plan(weight_bits={"w": np.asarray([3, 8], np.int32)})
    config = jc.TuneConfig(epochs=2, batch_size=300, flip=True, learning_rate=1e-2)
    key = jax.random.key(0)
    whole = tune(key, network, plans, streamed, config, checkpoint_dir=tmp_path)
    assert whole.steps.tolist() == [6, 6] and source.reads == 2 * 900
    shutil.rmtree(tmp_path / "2")
    again = tune(key, network, plans, streamed, config, checkpoint_dir=tmp_path)
    assert source.reads == 3 * 900
    np.testing.assert_array_equal(again.params["w"], whole.params["w"])
    other = tune(jax.random.key(1), network, plans, streamed, config)
    assert (other.params["w"] != whole.params["w"]).any()


def test_examples_that_do_not_fit_stop_the_training(
    source: Labelled, streamed: Dataset
) -> None:
    source.y[:] = 3
    config = jc.TrainConfig(epochs=1, batch_size=100, shift=0)
    with pytest.raises(ValueError, match=r"noise: stream targets hold the label 3.*0\.\.2"):
        train(jax.random.key(0), Linear(), streamed, config)
    with pytest.raises(ValueError, match="at most the 1000 training images of noise"):
        large = config.model_copy(update={"batch_size": 1001})
        train(jax.random.key(0), Linear(), streamed, large)
