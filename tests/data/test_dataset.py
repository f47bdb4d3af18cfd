"""Splits refuse what is not a labelled image; data sets refuse what does not fit."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from jaxcompress.data import Dataset, Split, Task, channel_statistics


def split(labels=(0, 1, 2), shape=(4, 4, 3), dtype=np.uint8) -> Split:
    inputs = np.random.RandomState(0).randint(0, 256, (len(labels), *shape))
    return Split(inputs.astype(dtype), np.array(labels, np.int32))


@pytest.fixture
def dataset() -> Dataset:
    return Dataset(
        name="tiny",
        train=split(),
        validation=split((1, 2)),
        test=split((0,)),
        num_classes=3,
        mean=(1.0, 2.0, 3.0),
        std=(2.0, 4.0, 8.0),
    )


def test_normalize_is_mean_and_std_per_channel(dataset):
    inputs = dataset.train.inputs
    expected = (inputs.astype(np.float64) - [1, 2, 3]) / [2, 4, 8]
    eager = dataset.normalize(inputs)
    assert eager.dtype == np.float32
    np.testing.assert_allclose(eager, expected, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(dataset.normalize)(inputs), expected, rtol=1e-6)


def test_shapes_of_the_task(dataset):
    assert dataset.task == Task((4, 4, 3), 3)
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [3, 2, 1]


@pytest.mark.parametrize("where", ["train", "validation", "test"])
def test_label_above_the_classes_is_refused(dataset, where):
    with pytest.raises(ValueError, match=rf"{where} targets hold the label 3.*0\.\.2"):
        replace(dataset, **{where: split((0, 3))})


def test_negative_label_is_refused():
    with pytest.raises(ValueError, match="label -1: allowed are 0 and above"):
        split((0, -1))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_input_that_is_not_finite_is_refused(value):
    inputs = np.zeros((2, 4, 4, 1), np.float32)
    inputs[1, 2, 3, 0] = value
    with pytest.raises(ValueError, match="inputs hold 1 values that are NaN"):
        Split(inputs, np.zeros(2, np.int32))


def test_wrong_shapes_and_types_are_refused():
    images = np.zeros((2, 4, 4, 1), np.uint8)
    with pytest.raises(ValueError, match=r"inputs have shape \(2, 4, 4\)"):
        Split(images[..., 0], np.zeros(2, np.int32))
    with pytest.raises(ValueError, match=r"inputs have shape \(0, 4, 4, 1\)"):
        Split(images[:0], np.zeros(0, np.int32))
    with pytest.raises(ValueError, match=r"targets have shape \(3,\)"):
        Split(images, np.zeros(3, np.int32))
    with pytest.raises(ValueError, match="targets have dtype int64"):
        Split(images, np.zeros(2, np.int64))


def test_splits_of_different_images_are_refused(dataset):
    with pytest.raises(ValueError, match=r"test images have shape \(5, 4, 3\)"):
        replace(dataset, test=split((0,), (5, 4, 3)))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mean": (0.0,)}, "mean has 1 and std 3 entries"),
        ({"std": (1.0, 0.0, 1.0)}, "positive finite stds"),
        ({"mean": (0.0, np.nan, 0.0)}, "finite means"),
    ],
)
def test_statistics_that_do_not_fit_are_refused(dataset, changed, message):
    with pytest.raises(ValueError, match=message):
        replace(dataset, **changed)


def test_channel_statistics_equal_numpy():
    inputs = split(range(50), (5, 7, 3)).inputs
    mean, std = channel_statistics(inputs)
    np.testing.assert_allclose(mean, inputs.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, inputs.std((0, 1, 2)), rtol=1e-12)
