"""Crowding distance, against pymoo."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance

from jaxcompress.evolution import crowding_distance

N = 12
distance_of = jax.jit(crowding_distance)
fronts = arrays(np.int32, N, elements=st.integers(0, 2))


def oracle(objectives, ranks) -> np.ndarray:
    """pymoo's distance, front by front and column by column, of finite numbers only."""
    total = np.zeros(len(objectives))
    for rank in np.unique(ranks):
        for column in objectives.T:
            rows = np.flatnonzero((ranks == rank) & np.isfinite(column))
            if rows.size:
                with np.errstate(invalid="ignore"):
                    total[rows] += calc_crowding_distance(column[rows, None])
    return total


@pytest.mark.parametrize("m", [1, 2, 3])
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_every_front_equals_pymoo(m, data):
    # A grid of values: far enough apart that float32 has no rounding to hide.
    objectives = data.draw(arrays(np.float32, (N, m), elements=st.integers(-8, 8)))
    ranks = data.draw(fronts)
    expected = oracle(objectives.astype(np.float64), ranks)
    np.testing.assert_allclose(distance_of(objectives, ranks), expected, rtol=1e-5)


def test_the_sum_over_objectives_equals_pymoo():
    objectives = np.random.default_rng(0).random((40, 3)).astype(np.float32)
    expected = 3 * calc_crowding_distance(objectives.astype(np.float64))
    measured = distance_of(objectives, np.zeros(40, np.int32))
    np.testing.assert_allclose(measured, expected, rtol=1e-4)


@pytest.mark.parametrize("m", [2, 3])
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_infinite_objectives_do_not_poison_others(m, data):
    elements = st.one_of(st.integers(0, 4).map(float), st.just(np.inf))
    objectives = data.draw(arrays(np.float32, (N, m), elements=elements))
    ranks = data.draw(fronts)
    expected = oracle(objectives.astype(np.float64), ranks)
    np.testing.assert_allclose(distance_of(objectives, ranks), expected, rtol=1e-5)


@settings(max_examples=50, deadline=None)
@given(
    objectives=arrays(
        np.float32, (N, 2), elements=st.floats(width=32, allow_subnormal=False)
    ),
    ranks=fronts,
)
def test_never_nan_or_negative(objectives, ranks):
    assert np.all(np.asarray(distance_of(objectives, ranks)) >= 0)  # False for NaN


def test_a_constant_objective_contributes_nothing():
    objectives = np.random.default_rng(1).random((9, 1)).astype(np.float32)
    ranks = np.zeros(9, np.int32)
    flat = np.concatenate([objectives, np.full((9, 1), 7, np.float32)], axis=1)
    np.testing.assert_array_equal(distance_of(flat, ranks), distance_of(objectives, ranks))
    np.testing.assert_array_equal(distance_of(np.ones((9, 2), np.float32), ranks), 0)
    np.testing.assert_array_equal(distance_of(flat[:1], ranks[:1]), 0)


def test_rescaling_an_objective_changes_nothing():
    rng = np.random.default_rng(2)
    objectives = rng.integers(0, 1000, (N, 2)).astype(np.float32)
    ranks = rng.integers(0, 2, N).astype(np.int32)
    scaled = objectives * np.array([3, 1024], np.float32)
    np.testing.assert_array_equal(
        distance_of(scaled, ranks), distance_of(objectives, ranks)
    )
