"""Dominance and fronts, against moocore and a peel written out in Python."""

from functools import partial

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from jaxcompress.evolution import dominates, front_mask, nondominated_ranks
from jaxcompress.evolution.pareto import (
    _block_ranks,
    _in_rounds,
    _one_by_one,
    _scan_ranks,
)

N = 12
# Many shapes and few points: compiling takes longer than running.
quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
ranks_of = quick(nondominated_ranks)
front_of = quick(front_mask)
dominates_of = quick(dominates)
scan_ranks = quick(_scan_ranks)
# What the dispatcher takes on other platforms too; 5 does not divide the points.
block_ranks = {
    settle: quick(partial(_block_ranks, settle=settle, size=5))
    for settle in (_one_by_one, _in_rounds)
}

# Few different values: ties, copies and constant columns are common.
tied = st.sampled_from([0.0, 1.0, 2.0, 3.0, np.inf])
anything = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)


def points(m: int):
    return st.one_of(
        arrays(np.float32, (N, m), elements=tied),
        arrays(np.float32, (N, m), elements=anything, fill=st.nothing()),
    )


violations = arrays(np.float32, N, elements=st.sampled_from([0.0, 0.0, 0.5, 2, np.inf]))


def beats(a, a_violation, b, b_violation) -> bool:
    if a_violation == 0 and b_violation == 0:
        return bool(np.all(a <= b) and np.any(a < b))
    return bool(a_violation < b_violation)


def peel(objectives, violation) -> np.ndarray:
    """Constrained fronts as their definition reads."""
    left, ranks, front = set(range(len(objectives))), np.zeros(len(objectives)), 0
    while left:
        found = {
            j
            for j in left
            if not any(
                beats(objectives[i], violation[i], objectives[j], violation[j])
                for i in left
            )
        }
        ranks[list(found)] = front
        left, front = left - found, front + 1
    return ranks


@pytest.mark.parametrize("m", [1, 2, 3, 4])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_ranks_equal_moocore(m, data):
    objectives = data.draw(points(m))
    # moocore 0.3.2 takes +inf for the end of its lists when m = 3 (it says that (inf, 0,
    # inf) dominates (inf, inf, 0) or the reverse): give it a finite number as large.
    expected = moocore.pareto_rank(np.where(np.isinf(objectives), 1e9, objectives))
    np.testing.assert_array_equal(ranks_of(objectives), expected)


@pytest.mark.parametrize("m", [1, 2, 3])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_constrained_ranks_equal_a_peel_by_definition(m, data):
    objectives, violation = data.draw(points(m)), data.draw(violations)
    expected = peel(objectives, violation)
    np.testing.assert_array_equal(ranks_of(objectives, violation), expected)
    np.testing.assert_array_equal(
        front_of(objectives, violation),
        (expected == 0) & (violation == 0),
    )


@pytest.mark.parametrize("settle", [_one_by_one, _in_rounds])
@pytest.mark.parametrize("m", [2, 3])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_blocks_equal_a_peel_on_active_points(m, settle, data):
    objectives, violation = data.draw(points(m)), data.draw(violations)
    active = violation == 0
    expected = peel(objectives, violation)[active]
    ranks = block_ranks[settle](objectives, active)
    np.testing.assert_array_equal(ranks[active], expected)
    if m == 2:
        np.testing.assert_array_equal(scan_ranks(objectives, active)[active], expected)


@settings(max_examples=30, deadline=None)
@given(objectives=points(3), violation=violations)
def test_dominates_is_the_definition(objectives, violation):
    pairs = dominates_of(
        objectives[:, None], violation[:, None], objectives[None], violation[None]
    )
    pairs = np.asarray(pairs)
    for i in range(N):
        for j in range(N):
            expected = beats(objectives[i], violation[i], objectives[j], violation[j])
            assert pairs[i, j] == expected


@pytest.mark.parametrize("m", [1, 2, 3])
def test_a_chain_has_as_many_fronts_as_points(m):
    chain = np.random.default_rng(0).permutation(600)
    objectives = np.repeat(chain[:, None], m, axis=1).astype(np.float32)
    np.testing.assert_array_equal(jax.jit(nondominated_ranks)(objectives), chain)


def test_counts_beyond_float32_are_exact():
    # Ranks and places are integers: as float32 these would lose every second one.
    high = jnp.arange(4, dtype=jnp.int32) + 2**24
    beats = jnp.arange(4)[:, None] < jnp.arange(4)[None, :]
    for settle in (_one_by_one, _in_rounds):
        found = settle(beats, jnp.full(4, high[0]))
        np.testing.assert_array_equal(found, high)


@pytest.mark.parametrize("m", [1, 2, 3])
def test_one_front_only(m):
    np.testing.assert_array_equal(ranks_of(np.ones((7, m), np.float32)), 0)
    np.testing.assert_array_equal(ranks_of(np.ones((1, m), np.float32)), 0)


@pytest.mark.parametrize("m", [2, 3])
def test_all_infeasible_are_ordered_by_violation_alone(m):
    objectives = np.random.default_rng(0).random((4, m)).astype(np.float32)
    violation = np.array([3, 1, np.inf, 1], np.float32)
    np.testing.assert_array_equal(ranks_of(objectives, violation), [1, 0, 2, 0])


@pytest.mark.parametrize("m", [1, 2, 3])
def test_large_random_populations(m):
    # Several blocks, and a last one that is not full.
    objectives = np.random.default_rng(m).random((700, m)).astype(np.float32)
    np.testing.assert_array_equal(ranks_of(objectives), moocore.pareto_rank(objectives))


@pytest.mark.parametrize("m", [2, 3])
def test_ranks_follow_a_permutation_and_a_rescaling(m):
    rng = np.random.default_rng(m)
    objectives = rng.integers(0, 9, (N, m)).astype(np.float32)
    ranks = np.asarray(ranks_of(objectives))
    order = rng.permutation(N)
    np.testing.assert_array_equal(ranks_of(objectives[order]), ranks[order])
    scale = np.array([3, 1024, 0.1][:m], np.float32)
    np.testing.assert_array_equal(ranks_of(objectives * scale), ranks)


@pytest.mark.parametrize("m", [1, 2, 3])
def test_the_program_does_not_grow_with_the_population(m):
    # A Python sum or loop over a traced array would unroll.
    def equations(n):
        text = str(jax.make_jaxpr(nondominated_ranks)(jnp.zeros((n, m))))
        return text.count(" = ")

    assert equations(10) == equations(200)
    assert equations(3000) == equations(7000)  # more than a block: padded


def test_what_cannot_be_ranked_is_refused():
    with pytest.raises(ValueError, match="at least one point"):
        nondominated_ranks(jnp.zeros((0, 2)))
