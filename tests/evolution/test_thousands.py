"""Thousands of populations in one call, against moocore, pymoo and float64 NumPy.

Random, tied, constant, repeated and degenerate: one compilation for each function and
number of objectives, however many there are.
"""

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance

from jaxcompress.evolution import (
    crowding_distance,
    hypervolume,
    hypervolume_contributions,
    igd_plus,
    nondominated_ranks,
)

COUNT, N = 2100, 11


def populations(m: int) -> np.ndarray:
    """[COUNT, N, m]: multiples of 1/64 in [0, 2], in which float32 is exact."""
    rng = np.random.default_rng(m)
    kinds = np.split(rng.integers(0, 129, (COUNT, N, m)), 7)
    kinds[1] = rng.integers(0, 3, kinds[1].shape) * 64  # ties in every column
    kinds[2][:, :, 0] = 37  # a constant objective
    kinds[3][:, 4:] = kinds[3][:, :1]  # mostly copies of one point
    kinds[4][:] = kinds[4][:, :1]  # nothing but copies
    kinds[5][:] = np.sort(kinds[5], axis=1)  # a chain
    first = np.sort(kinds[6][:, :, 0], axis=1)
    kinds[6][:, :, 0], kinds[6][:, :, -1] = first, 128 - first  # one front
    every = np.concatenate(kinds)
    order = rng.permuted(np.tile(np.arange(N), (COUNT, 1)), axis=1)
    every = np.take_along_axis(every, order[:, :, None], axis=1)
    return (every / 64).astype(np.float32)


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_ranks_and_crowding(m):
    points = populations(m)

    def both(objectives):
        ranks = nondominated_ranks(objectives)
        return ranks, crowding_distance(objectives, ranks)

    ranks, crowding = map(np.asarray, jax.jit(jax.vmap(both))(points))
    for population, found in zip(points, ranks, strict=True):
        expected = moocore.pareto_rank(population.astype(np.float64))
        np.testing.assert_array_equal(found, expected)
    some = slice(None, None, 5)  # pymoo is slow
    for population, found, distance in zip(
        points[some], ranks[some], crowding[some], strict=True
    ):
        lonely = np.zeros(N)
        for rank in range(found.max() + 1):
            rows = found == rank
            for column in population.T.astype(np.float64):
                lonely[rows] += calc_crowding_distance(column[rows, None])
        np.testing.assert_allclose(distance, lonely, rtol=1e-5)


@pytest.mark.parametrize("m", [2, 3])
def test_constrained_ranks(m):
    points = populations(m)
    rng = np.random.default_rng(0)
    violation = np.maximum(rng.integers(-3, 4, points.shape[:2]), 0).astype(np.float32)
    violation[:7] = 1.0  # all infeasible
    ranks = np.asarray(jax.jit(jax.vmap(nondominated_ranks))(points, violation))
    a, b = points[:, :, None].astype(np.float64), points[:, None].astype(np.float64)
    beats = np.all(a <= b, axis=3) & np.any(a < b, axis=3)
    first, second = violation[:, :, None], violation[:, None]
    beats = np.where((first == 0) & (second == 0), beats, first < second)
    # Peeling by definition, all populations at once.
    expected, left = np.full((COUNT, N), -1), np.ones((COUNT, N), bool)
    for front in range(N):
        found = left & ~np.any(beats & left[:, :, None], axis=1)
        expected[found], left = front, left & ~found
    np.testing.assert_array_equal(ranks, expected)


@pytest.mark.parametrize("m", [2, 3])
def test_hypervolume_and_contributions(m):
    points = populations(m)
    corner = np.array([1.5, 1.75, 2.25][:m], np.float32)

    def both(objectives):
        reference = jnp.asarray(corner)
        alone = hypervolume_contributions(objectives, reference)
        return hypervolume(objectives, reference), alone

    volumes, alone = map(np.asarray, jax.jit(jax.vmap(both))(points))
    for population, volume, own in zip(
        points.astype(np.float64), volumes, alone, strict=True
    ):
        expected = moocore.hypervolume(population, ref=corner)
        np.testing.assert_allclose(volume, expected, rtol=1e-5, atol=1e-6)
        inside = np.all(population < corner, axis=1)
        lost = np.zeros(N)
        if inside.any():
            lost[inside] = moocore.hv_contributions(
                population[inside], ref=corner, ignore_dominated=False
            )
        np.testing.assert_allclose(own, lost, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_igd_plus(m):
    points = populations(m)
    fronts = points[::-1]
    found = np.asarray(jax.jit(jax.vmap(igd_plus))(points, fronts))
    for population, front, distance in zip(points, fronts, found, strict=True):
        expected = moocore.igd_plus(population.astype(np.float64), ref=front)
        np.testing.assert_allclose(distance, expected, rtol=1e-5, atol=1e-6)
