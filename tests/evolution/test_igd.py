"""IGD+ on device, against moocore."""

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from jaxcompress.evolution import igd_plus

distance_of = jax.jit(igd_plus)
elements = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(-2, 2, width=32))


@pytest.mark.parametrize("m", [1, 2, 3, 4])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_equals_moocore(m, data):
    objectives = data.draw(arrays(np.float32, (9, m), elements=elements))
    front = data.draw(arrays(np.float32, (6, m), elements=elements))
    expected = moocore.igd_plus(objectives.astype(np.float64), ref=front)
    np.testing.assert_allclose(
        distance_of(objectives, front), expected, rtol=1e-5, atol=1e-6
    )


def test_rows_that_are_not_finite_are_no_points():
    front = np.array([[0, 1], [1, 0]], np.float32)
    points = np.array([[0, 3], [np.inf, -9], [-9, np.nan], [-np.inf, 0]], np.float32)
    assert distance_of(points, front) == 2.5  # by hand: 2 and 3
    assert distance_of(points[1:], front) == np.inf
    assert distance_of(points[:0], front) == np.inf


def test_a_point_that_dominates_is_at_no_distance():
    front = np.array([[0, 1], [1, 0]], np.float32)
    assert distance_of(np.array([[-5, -5]], np.float32), front) == 0


@pytest.mark.parametrize("shape", [(0, 2), (3, 1)])
def test_a_front_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="igd_plus"):
        igd_plus(jnp.zeros((3, 2)), jnp.zeros(shape))
