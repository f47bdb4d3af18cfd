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


def test_negative_label_is_refused(dataset):
    with pytest.raises(ValueError, match="label -1: allowed are 0 and above"):
        replace(dataset, test=split((0, -1)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_input_that_is_not_finite_is_refused(value):
    inputs = np.zeros((2, 4, 4, 1), np.float32)
    inputs[1, 2, 3, 0] = value
    with pytest.raises(ValueError, match="inputs hold 1 values that are NaN"):
        Split(inputs, np.zeros(2, np.int32))


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        ((2,), np.zeros(2, np.int32), r"inputs have shape \(2,\)"),
        ((0, 4, 4, 1), np.zeros(0, np.int32), r"inputs have shape \(0, 4, 4, 1\)"),
        ((2, 4), np.zeros(3, np.int32), r"targets have shape \(3,\) for 2 inputs"),
        ((2, 4), np.zeros(2, bool), "targets have dtype bool"),
        ((2, 4), np.array([1.0, np.nan]), "targets hold 1 values that are NaN"),
    ],
)
def test_wrong_shapes_and_types_are_refused(inputs, targets, message):
    with pytest.raises(ValueError, match=message):
        Split(np.zeros(inputs, np.uint8), targets)


def test_labels_are_int32_and_other_targets_are_free(dataset):
    first = split()
    wide = Split(first.inputs, first.targets.astype(np.int64))
    with pytest.raises(ValueError, match="train targets have dtype int64"):
        replace(dataset, train=wide)
    values = Split(first.inputs, -np.ones((3, 2), np.float32))
    free = Dataset("free", values, values, values)
    with pytest.raises(ValueError, match=r"free: .*name a network of your own"):
        _ = free.task


def test_without_statistics_inputs_stay_as_they_are():
    tokens = Split(np.arange(6, dtype=np.int32).reshape(2, 3), np.zeros((2, 3), np.int32))
    found = Dataset("tokens", tokens, tokens, tokens, num_classes=4).normalize(
        tokens.inputs
    )
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, tokens.inputs)


def test_some_examples_are_drawn_in_order_and_the_test_split_stays(dataset):
    numbered = Split(np.arange(40, dtype=np.uint8).reshape(40, 1), np.arange(40))
    drawn = numbered.some(9, seed=1)
    assert len(drawn) == 9 and (np.diff(drawn.targets) > 0).all()
    np.testing.assert_array_equal(drawn.inputs[:, 0], drawn.targets)
    np.testing.assert_array_equal(drawn.targets, numbered.some(9, seed=1).targets)
    assert (drawn.targets != numbered.some(9, seed=2).targets).any()
    fewer = dataset.some(1, None, seed=0)
    assert [len(fewer.train), len(fewer.validation), len(fewer.test)] == [1, 2, 1]
    assert fewer.mean == dataset.mean and numbered.some(99, 0) is numbered


def test_splits_of_different_images_are_refused(dataset):
    with pytest.raises(ValueError, match=r"test inputs have shape \(5, 4, 3\)"):
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
