"""Hypervolume on device and on host, against moocore and by hand."""

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from jaxcompress.evolution import (
    hypervolume,
    hypervolume_contributions,
    hypervolume_contributions_host,
    hypervolume_host,
)

N = 10
volume_of = jax.jit(hypervolume)
contributions_of = jax.jit(hypervolume_contributions)
elements = st.one_of(
    st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.5, np.inf]),
    st.floats(-1, 2, width=32, allow_subnormal=False),
)


def oracle(objectives, reference) -> float:
    # moocore itself leaves out what is beyond the reference; it wants finite numbers.
    points = np.where(np.isfinite(objectives), objectives, 1e6).astype(np.float64)
    return float(moocore.hypervolume(points, ref=np.asarray(reference, np.float64)))


@pytest.mark.parametrize("m", [2, 3])
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_device_equals_moocore(m, data):
    objectives = data.draw(arrays(np.float32, (N, m), elements=elements))
    reference = np.linspace(1.0, 1.2, m, dtype=np.float32)
    np.testing.assert_allclose(
        volume_of(objectives, reference),
        oracle(objectives, reference),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("m", [2, 3, 4, 5])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_host_equals_moocore(m, data):
    objectives = data.draw(arrays(np.float64, (N, m), elements=elements))
    reference = np.linspace(1.0, 1.2, m)
    measured = hypervolume_host(objectives, reference)
    np.testing.assert_allclose(measured, oracle(objectives, reference), atol=1e-12)


def lost(objectives, reference) -> list[float]:
    """What is lost without each point, by the definition."""
    whole = oracle(objectives, reference)
    rows = range(len(objectives))
    return [whole - oracle(np.delete(objectives, i, 0), reference) for i in rows]


@pytest.mark.parametrize("m", [1, 2, 3])
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_contributions_are_what_is_lost_without_a_point(m, data):
    objectives = data.draw(arrays(np.float32, (N, m), elements=elements))
    # As coarse as this every difference is exact in float32 as well.
    objectives = np.round(objectives * 16) / 16
    reference = np.array([1, 1.25, 1.5][:m], np.float32)
    expected = lost(objectives, reference)
    found = contributions_of(objectives, reference)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("m", [1, 2, 4])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_contributions_on_the_host_are_what_is_lost(m, data):
    objectives = data.draw(arrays(np.float64, (N, m), elements=elements))
    # moocore says 0 of a point that lies 1e-9 ahead of the others in one of 4 objectives.
    objectives = np.round(objectives * 2**20) / 2**20
    reference = np.linspace(1.0, 1.2, m)
    found = hypervolume_contributions_host(objectives, reference)
    np.testing.assert_allclose(found, lost(objectives, reference), atol=1e-12)


@pytest.mark.parametrize("m", [1, 2, 3])
def test_a_single_box_and_none(m):
    reference = np.full(m, 2, np.float32)
    box = np.full((1, m), 0.5, np.float32)
    assert volume_of(box, reference) == 1.5**m
    assert hypervolume_host(box, reference) == 1.5**m
    for outside in (2.0, 3.0, np.inf, np.nan):
        # One objective on or beyond the reference is enough to contribute nothing.
        beyond = np.concatenate([box, box])
        beyond[1, 0] = outside
        assert volume_of(beyond, reference) == 1.5**m
        assert volume_of(beyond[1:], reference) == 0
        assert hypervolume_host(beyond[1:], reference) == 0
        assert contributions_of(beyond, reference).tolist() == [1.5**m, 0]
        assert hypervolume_contributions_host(beyond, reference).tolist() == [1.5**m, 0]


@pytest.mark.parametrize("m", [2, 3])
def test_large_fronts(m):
    rng = np.random.default_rng(m)
    front = np.abs(rng.normal(size=(300, m)))
    front = (front / np.linalg.norm(front, axis=1, keepdims=True)).astype(np.float32)
    reference = np.full(m, 1.1, np.float32)
    expected = oracle(front, reference)
    np.testing.assert_allclose(volume_of(front, reference), expected, rtol=1e-5)
    alone = moocore.hv_contributions(front.astype(np.float64), ref=reference)
    found = contributions_of(front, reference)
    np.testing.assert_allclose(found, alone, rtol=1e-3, atol=1e-7)


def test_four_objectives_name_the_host_function():
    for measure in (hypervolume, hypervolume_contributions):
        with pytest.raises(ValueError, match=f"{measure.__name__}_host"):
            measure(jnp.zeros((3, 4)), jnp.ones(4))


def test_a_reference_of_another_size_is_refused():
    for measure in (hypervolume_host, hypervolume_contributions_host):
        with pytest.raises(ValueError, match=r"\[n, m\] and \[m\]"):
            measure(np.zeros((3, 2)), np.ones(3))
