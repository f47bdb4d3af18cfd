"""Directions: all of the lattice, evenly spread, refused when wrong."""

from itertools import product
from math import comb

import numpy as np
import pytest
from pymoo.util.ref_dirs import get_reference_directions

from jaxcompress.evolution import checked_directions, das_dennis, spread


@pytest.mark.parametrize(("m", "h"), [(1, 3), (2, 5), (3, 12), (5, 4)])
def test_das_dennis_is_the_whole_lattice(m, h):
    found = das_dennis(m, h)
    every = {w for w in product(range(h + 1), repeat=m) if sum(w) == h}
    assert {tuple(row) for row in np.round(found * h).astype(int)} == every
    assert len(found) == len(every) == comb(h + m - 1, m - 1)
    np.testing.assert_allclose(found.sum(1), 1)


def test_das_dennis_is_that_of_pymoo():
    theirs = get_reference_directions("das-dennis", 3, n_partitions=12)
    ours = das_dennis(3, 12)
    order = [np.lexsort(np.round(rows, 9).T) for rows in (theirs, ours)]
    np.testing.assert_allclose(ours[order[1]], theirs[order[0]], atol=1e-12)


def test_the_inner_layer_lies_halfway_to_the_centre():
    found = das_dennis(3, 2, inner=1)
    np.testing.assert_array_equal(found[:6], das_dennis(3, 2))
    corner = 0.5 + 0.5 / 3
    expected = np.full((3, 3), (1 - corner) / 2) + np.eye(3) * (corner - (1 - corner) / 2)
    np.testing.assert_allclose(np.sort(found[6:], axis=0), np.sort(expected, axis=0))


@pytest.mark.parametrize(
    ("m", "count"), [(1, 4), (2, 2), (2, 37), (3, 91), (3, 48), (4, 30)]
)
def test_spread_has_as_many_different_directions_as_wanted(m, count):
    found = spread(m, count)
    assert found.shape == (count, m)
    np.testing.assert_allclose(found.sum(1), 1)
    assert np.all(found >= 0)
    assert m == 1 or len(np.unique(np.round(found, 9), axis=0)) == count
    for axis in np.eye(m):
        assert (found == axis).all(1).any()


def test_given_directions_are_scaled():
    found = checked_directions("X", np.array([[2, 2], [0, 5]]), 2)
    np.testing.assert_array_equal(found, [[0.5, 0.5], [0, 1]])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: das_dennis(3, 0), "partitions is 0"),
        (lambda: das_dennis(3, 2, inner=0), "inner is 0"),
        (lambda: spread(3, 2), "2 directions cannot reach"),
        (lambda: checked_directions("X", np.ones((2, 3)), 2), r"must be \[r, 2\]"),
        (lambda: checked_directions("X", np.array([[1, -1]]), 2), r"\[1.0, -1.0\]"),
        (
            lambda: checked_directions("X", np.array([[1, 1], [0, 0]]), 2),
            r"directions\[1\]",
        ),
        (lambda: checked_directions("X", np.array([[np.nan, 1]]), 2), "finite"),
    ],
)
def test_wrong_directions_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
