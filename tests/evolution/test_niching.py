"""NSGA-III's survival against the published loop, one place after the other."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcompress.evolution import (
    NSGA3,
    Evaluation,
    Grid,
    Hyperplane,
    associate,
    das_dennis,
    niche_survive,
    nondominated_ranks,
    normalize,
)

KEY = jax.random.key(0)
quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
DIRECTIONS = das_dennis(3, 4)
survive = quick(
    lambda key, points, excess, copies: niche_survive(
        key,
        copies,
        Evaluation(points, excess),
        12,
        jnp.asarray(DIRECTIONS, jnp.float32),
        Hyperplane.unknown(3),
    )
)
scale = quick(lambda plane, points, front: normalize(plane, points, front))
NO = jnp.zeros(30, bool)


def cloud(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = np.abs(rng.normal(size=(30, 3)))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points[15:] *= rng.uniform(1, 2, (15, 1))
    return points.astype(np.float32)


def test_association_is_the_nearest_line():
    points = np.random.default_rng(0).random((40, 3))
    niche, distance = quick(associate)(
        jnp.asarray(points, jnp.float32), jnp.asarray(DIRECTIONS, jnp.float32)
    )
    unit = DIRECTIONS / np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)
    away = np.linalg.norm(np.cross(points[:, None], unit[None]), axis=2)
    np.testing.assert_array_equal(niche, away.argmin(1))
    np.testing.assert_allclose(distance, away.min(1), atol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_each_place_goes_to_an_emptiest_niche(seed):
    """Replays algorithm 4 of the paper with the members that were chosen."""
    points = cloud(seed)
    key = jax.random.key(seed)
    chosen, _ = survive(key, jnp.asarray(points), jnp.zeros(30), NO)
    indices = np.asarray(chosen.indices)
    assert len(set(indices)) == 12
    ranks = np.asarray(nondominated_ranks(jnp.asarray(points)))
    cut = np.sort(ranks)[11]
    assert set(np.flatnonzero(ranks < cut)) <= set(indices)
    assert np.all(ranks[indices] <= cut)
    normalized, _ = scale(
        Hyperplane.unknown(3), jnp.asarray(points), jnp.asarray(ranks == 0)
    )
    niche, distance = map(
        np.asarray, associate(normalized, jnp.asarray(DIRECTIONS, jnp.float32))
    )
    count = np.bincount(niche[ranks < cut], minlength=15)
    left = set(np.flatnonzero(ranks == cut))
    taken = [i for i in indices if ranks[i] == cut]  # in the order of their turns
    for i in taken:
        least = min(count[niche[j]] for j in left)
        assert count[niche[i]] == least
        if least == 0:
            rivals = [distance[j] for j in left if niche[j] == niche[i]]
            assert distance[i] == min(rivals)
        count[niche[i]] += 1
        left.remove(i)


def test_the_plane_through_the_extremes_gives_the_intercepts():
    # On 2 x + y + z / 3 = 2, moved by an ideal point: intercepts 1, 2 and 6.
    corners = np.array([[1, 0, 0], [0, 2, 0], [0, 0, 6]])
    inner = np.array([[0.25, 0.5, 3.0], [0.4, 0.4, 2.4], [0.0, 1.0, 3.0]])
    moved = np.concatenate([corners, inner]) + np.array([[10, -5, 3]])
    points = jnp.asarray(moved, jnp.float32)
    found, plane = quick(normalize)(Hyperplane.unknown(3), points, jnp.ones(6, bool))
    np.testing.assert_allclose(plane.ideal, [10, -5, 3])
    expected = np.concatenate([corners, inner]) / [1, 2, 6]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)


def test_intercepts_may_lie_beyond_the_front_but_not_far():
    extremes = np.array([[0.9, 0.1, 0.05], [0.1, 0.8, 0.1], [0.05, 0.1, 0.85]])
    lowest = np.array([[0.0, 0.7, 0.5], [0.7, 0.0, 0.5], [0.6, 0.6, 0.0]])
    moved = np.concatenate([extremes, lowest])
    everyone = jnp.ones(6, bool)
    scaled = quick(normalize)
    found, _ = scaled(Hyperplane.unknown(3), jnp.asarray(moved, jnp.float32), everyone)
    intercepts = 1 / np.linalg.solve(extremes, np.ones(3))
    assert np.all(intercepts > moved.max(0))
    np.testing.assert_allclose(found, moved / intercepts, rtol=1e-4, atol=1e-6)
    # The plane through (1, 0, .5), (0, 1, .5) and (a, a, 1) is the flatter the nearer a
    # is to a half; its third intercept is then far out.
    for a, near in ((0.3, True), (0.4999, False)):
        rows = np.array([[1, 0, 0.5], [0, 1, 0.5], [a, a, 1], [0.7, 0.7, 0]])
        padded = np.concatenate([rows, rows[:2]]).astype(np.float32)
        found, _ = scaled(Hyperplane.unknown(3), jnp.asarray(padded), everyone)
        plane = 1 / np.linalg.solve(rows[:3], np.ones(3))
        span = plane if near else rows.max(0)
        np.testing.assert_allclose(found[:4], rows / span, rtol=1e-3, atol=1e-6)


def test_an_extreme_point_is_not_chosen_by_a_hair():
    rows = [[1, 1e-5, 0], [1.5, 1e-6, 0], [0, 1, 0], [0, 0, 1], [0.4, 0.4, 0.4], [0, 1, 0]]
    points = jnp.asarray(rows, jnp.float32)
    _, plane = quick(normalize)(Hyperplane.unknown(3), points, jnp.ones(6, bool))
    np.testing.assert_allclose(plane.extremes[0], rows[0])


@pytest.mark.parametrize(
    "points",
    [
        [[1.0, 1.0, 1.0]],  # one point: no plane, no span
        [[0.0, 1.0, 5.0], [1.0, 0.0, 5.0]],  # fewer points than axes, a constant
        [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
        [[0.0, 0.0, 4.0], [1.0, 1.0, 0.0], [1.0, 1.0, 0.0]],  # equal extremes
    ],
)
def test_without_a_plane_the_front_itself_gives_the_scale(points):
    padded = np.full((6, 3), np.inf, np.float32)
    padded[: len(points)] = points
    front = np.arange(6) < len(points)
    found, _ = quick(normalize)(
        Hyperplane.unknown(3), jnp.asarray(padded), jnp.asarray(front)
    )
    found, real = np.asarray(found), np.asarray(points)
    assert np.isfinite(found).all()
    span = real.max(0) - real.min(0)
    expected = (real - real.min(0)) / np.where(span > 0, span, 1)
    np.testing.assert_allclose(found[: len(points)], expected, atol=1e-5)


def test_infeasible_failed_and_copies_come_last_in_this_order():
    points, excess = cloud(1), np.zeros(30, np.float32)
    excess[:14], excess[14:25] = np.arange(1, 15), 0.0
    points[25:], excess[25:] = np.inf, np.inf
    copies = np.arange(30) == 20
    chosen, plane = survive(KEY, jnp.asarray(points), jnp.asarray(excess), copies)
    indices = list(np.asarray(chosen.indices))
    assert set(indices[:10]) == set(range(14, 25)) - {20}
    assert indices[10:] == [0, 1]  # the least violations
    assert np.isfinite(plane.ideal).all()
    nothing, plane = survive(KEY, jnp.full((30, 3), jnp.inf), jnp.full(30, jnp.inf), NO)
    assert len(set(np.asarray(nothing.indices))) == 12
    assert not any(np.isnan(leaf).any() for leaf in jax.tree.leaves(plane))


def test_more_directions_than_members_are_refused():
    with pytest.raises(ValueError, match="91 directions are more than population_size=90"):
        NSGA3(90, Grid([4, 4]), 3, directions=das_dennis(3, 12))
