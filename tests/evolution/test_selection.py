"""Tournament and survival: the traps that other libraries fell into."""

from functools import partial

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest

from jaxcompress.evolution import (
    Evaluation,
    sanitize,
    survive,
    tournament,
)

# Compiled, for eager calls compile every operation by itself, and quickly.
quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@partial(quick, static_argnames="size")
def survive_raw(key, copies, objectives, violation, size):
    evaluation, _ = sanitize(Evaluation(objectives, violation))
    return survive(key, copies, evaluation, size)


KEY = jax.random.key(0)


def kept(objectives, size, violation=None, copies=None, key=KEY) -> list[int]:
    n = len(objectives)
    objectives = np.asarray(objectives, np.float32)
    violation = np.asarray(np.zeros(n) if violation is None else violation, np.float32)
    copies = np.asarray(np.zeros(n) if copies is None else copies, bool)
    survivors = survive_raw(key, copies, objectives, violation, size=size)
    return np.asarray(survivors.indices).tolist()


def test_a_cut_front_keeps_the_ends_and_the_loneliest():
    # Distances by hand: ends inf, then 2 * (3, 6, 5, 3) / 10.
    first = np.array([0, 1, 3, 7, 8, 10.0])
    front = np.stack([first, 10 - first], axis=1)
    dominated = front + 5
    merged = np.concatenate([front, dominated])
    assert set(kept(merged, 3)) == {0, 5, 2}
    assert set(kept(merged[::-1], 3)) == {11, 6, 9}
    order = kept(merged, 8)
    assert set(order[:3]) == {0, 5, 2}
    assert order[3] == 3
    # Masks that multiply infinity let a dominated point in here.
    assert set(order[:6]) == set(range(6))
    assert set(order[6:]) == {6, 11}


def test_order_is_front_then_violation_then_copies_then_failed():
    objectives = [[1, 1], [2, 2], [0, 0], [1, 1], [np.nan, 0], [9, 9], [0, -np.inf]]
    violation = [0, 0, 3, 0, 0, 1, 0]
    copies = [False, False, False, True, False, False, True]
    order = kept(objectives, 7, violation, copies)
    assert order == [0, 1, 5, 2, 3, 4, 6]


def test_copies_do_not_crowd_their_originals():
    first = np.array([0, 1, 3, 7, 8, 10.0])
    front = np.stack([first, 10 - first], axis=1)
    # Index 2 three times more: counted, it would have no room around it at all.
    merged = np.concatenate([front, np.repeat(front[2:3], 3, axis=0)])
    copies = np.arange(9) >= 6
    assert set(kept(merged, 3, copies=copies)) == {0, 5, 2}


@pytest.mark.parametrize("m", [1, 2, 3])
def test_survivors_do_not_depend_on_the_order_of_the_members(m):
    rng = np.random.default_rng(m)
    objectives = rng.random((40, m))
    violation = np.maximum(rng.normal(size=40), 0)
    expected = set(kept(objectives, 20, violation))
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(40)
        again = kept(objectives[order], 20, violation[order], key=jax.random.key(seed))
        assert {int(order[i]) for i in again} == expected


def test_ties_make_no_difference_to_what_survives():
    # Equal points are told apart by chance alone: who survives may differ, but not how
    # good the survivors are.
    objectives = np.random.default_rng(0).integers(0, 5, (40, 2)).astype(np.float32)
    nothing = np.zeros(40, np.float32)

    def quality(order) -> list:
        chosen = survive_raw(KEY, nothing > 0, objectives[order], nothing, size=20)
        kept = objectives[order][chosen.indices]
        rows = np.column_stack([chosen.ranks, chosen.crowding, kept])
        return sorted(rows.tolist())

    expected = quality(np.arange(40))
    ranks = [row[0] for row in expected]
    for seed in range(5):
        found = quality(np.random.default_rng(seed).permutation(40))
        # Within the cut front points of equal distance may stand for each other.
        assert [row[:2] for row in found] == [row[:2] for row in expected]
        whole = [row for row in found if row[0] < max(ranks)]
        assert whole == [row for row in expected if row[0] < max(ranks)]


def test_ties_are_broken_by_chance_and_copies_of_objectives_survive_evenly():
    objectives = np.ones((8, 2))
    times = np.zeros(8)
    for seed in range(400):
        times[kept(objectives, 2, key=jax.random.key(seed))] += 1
    assert times.sum() == 800
    # Five standard deviations of a binomial count of 400 draws at 1/4.
    assert np.all(np.abs(times - 100) < 5 * np.sqrt(400 * 3 / 16))


def test_rescaling_an_objective_keeps_the_survivors():
    objectives = np.random.default_rng(0).integers(0, 500, (40, 3)).astype(float)
    scaled = objectives * np.array([3, 1, 1024])
    assert kept(scaled, 20) == kept(objectives, 20)


def test_all_infeasible_keep_the_smallest_violations():
    objectives = np.random.default_rng(0).random((40, 2))
    violation = np.random.default_rng(1).permutation(40) + 1
    assert kept(objectives, 20, violation) == np.argsort(violation)[:20].tolist()


def test_all_failed_is_no_failure():
    assert len(set(kept(np.full((40, 2), np.nan), 20))) == 20


def test_a_survivor_count_beyond_the_members_is_refused():
    with pytest.raises(ValueError, match="1 to 3"):
        kept(np.ones((3, 2)), 4)


def test_sanitize_marks_and_counts_failures():
    objectives = jnp.array([[1, 2], [jnp.nan, 2], [1, jnp.inf], [1, -jnp.inf], [3, 4]])
    violation = jnp.array([0, 0, 0, 0, jnp.nan])
    clean, failed = sanitize(Evaluation(objectives, violation))
    assert failed == 4
    np.testing.assert_array_equal(clean.objectives[0], [1, 2])
    assert np.all(np.isposinf(clean.objectives[1:]))
    np.testing.assert_array_equal(clean.violation, [0] + [np.inf] * 4)
    # A signed slack is feasible, and two feasible points must compare as such.
    slack, _ = sanitize(Evaluation(objectives[:1], jnp.array([-5.0])))
    assert slack.violation == 0


@pytest.mark.parametrize(("n", "winners"), [(8, 8), (7, 8), (2, 5), (1, 3)])
def test_tournament_winners_beat_half_of_the_members(n, winners):
    ranks = jnp.arange(n, dtype=jnp.int32)
    chosen = quick(tournament, static_argnums=3)(KEY, ranks, jnp.zeros(n), winners)
    assert chosen.shape == (winners,)
    assert np.all((np.asarray(chosen) >= 0) & (np.asarray(chosen) < n))
    if n % 2 == 0 and 2 * winners % n == 0:
        # Each deck pairs different members: the worst never wins, the best always does.
        assert int(jnp.sum(chosen == n - 1)) == 0
        assert int(jnp.sum(chosen == 0)) == 2 * winners // n


def test_tournament_prefers_the_lonelier_of_equal_rank():
    crowding = jnp.array([0.5, jnp.inf, 1.0, 0.1])
    chosen = tournament(KEY, jnp.zeros(4, jnp.int32), crowding, 4)
    assert int(jnp.sum(chosen == 1)) == 2
    assert int(jnp.sum(chosen == 3)) == 0


def test_ranks_of_survivors_are_those_of_the_merged_members():
    objectives = np.random.default_rng(0).random((40, 2)).astype(np.float32)
    nothing = np.zeros(40, np.float32)
    chosen = survive_raw(KEY, nothing > 0, objectives, nothing, size=20)
    ranks = moocore.pareto_rank(objectives)
    np.testing.assert_array_equal(chosen.ranks, ranks[chosen.indices])
    assert np.all(np.diff(chosen.ranks) >= 0)


def test_the_ends_stay_where_nothing_is_dominated_and_no_place_is_left():
    """Of six trade-offs the ends and the loneliest; then the front that fits exactly."""
    x = np.array([0.0, 1.0, 2.0, 3.0, 6.0, 10.0])
    objectives = np.stack([x, 10 - x], axis=1)
    worse = objectives + 20
    told = Evaluation(
        jnp.asarray(np.concatenate([objectives, worse]), jnp.float32), jnp.zeros(12)
    )
    unique = jnp.zeros(12, bool)
    # Crowding of the inner ones: 4, 4, 8 and 14 tenths.
    best = jax.jit(survive, static_argnums=3)(jax.random.key(0), unique, told, 3)
    assert set(np.asarray(best.indices).tolist()) == {0, 4, 5}
    whole = jax.jit(survive, static_argnums=3)(jax.random.key(0), unique, told, 6)
    assert set(np.asarray(whole.indices).tolist()) == set(range(6))
