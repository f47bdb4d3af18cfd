"""The digits are scikit-learn's, divided once and for all."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from jaxcompress.data import channel_statistics, load


def rows(*splits):
    """Every image with its label as one row, sorted, to compare as a multiset."""
    table = np.concatenate(
        [np.column_stack([s.inputs.reshape(len(s.inputs), -1), s.targets]) for s in splits]
    )
    return table[np.lexsort(table.T)]


def test_splits_together_are_scikit_learns_array():
    dataset = load("digits")
    images, labels = load_digits(return_X_y=True)
    expected = np.column_stack([images, labels])
    expected = expected[np.lexsort(expected.T)]
    found = rows(dataset.train, dataset.validation, dataset.test)
    np.testing.assert_array_equal(found, expected)
    assert dataset.train.inputs.dtype == np.uint8
    assert dataset.task.input_shape == (8, 8, 1)


def test_sixty_twenty_twenty_in_every_class():
    dataset = load("digits")
    total = np.bincount(load_digits(return_X_y=True)[1])
    parts = (dataset.train, 0.6), (dataset.validation, 0.2), (dataset.test, 0.2)
    for split, fraction in parts:
        counts = np.bincount(split.targets, minlength=10)
        assert np.abs(counts - fraction * total).max() <= 1.5


def test_mean_and_std_are_the_training_splits():
    dataset = load("digits")
    assert (dataset.mean, dataset.std) == channel_statistics(dataset.train.inputs)
    normalised = np.asarray(dataset.normalize(dataset.train.inputs), np.float64)
    assert abs(normalised.mean()) < 1e-5
    assert abs(normalised.std() - 1) < 1e-5


def test_seed_divides_and_validation_fraction_leaves_the_test_split():
    default, again, other = load("digits"), load("digits"), load("digits", seed=1)
    np.testing.assert_array_equal(default.train.inputs, again.train.inputs)
    assert default.test.inputs.tobytes() != other.test.inputs.tobytes()
    larger = load("digits", validation_fraction=0.5)
    np.testing.assert_array_equal(default.test.inputs, larger.test.inputs)
    assert abs(len(larger.validation) - len(larger.train)) <= 10


def test_unknown_name_is_refused_with_what_is_allowed():
    with pytest.raises(ValueError, match="'digit' is unknown: allowed are 'digits', 'm"):
        load("digit")


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_validation_fraction_outside_its_range_is_refused(fraction):
    with pytest.raises(ValueError, match=r"validation_fraction = .*between 0 and 1"):
        load("digits", validation_fraction=fraction)
