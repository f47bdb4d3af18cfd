"""Operators for masks and for differences: what they keep, and their chances."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from jaxcompress.evolution import (
    CROSSOVERS,
    NSGA2,
    Grid,
    change_one_gene,
    crossover,
    differential_variation,
    exchange_crossover,
    exchange_mutation,
    genetic_params,
    mutate,
    one_point_crossover,
)

KEY = jax.random.key(0)
quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
GROUPS = np.array([0, 0, 0, -1, 7, 7, 7, 7, 0, 3])
N = 32
exchange = quick(lambda key, rows, rate: exchange_mutation(key, rows, GROUPS, rate))
share = quick(lambda key, a, b: exchange_crossover(key, a, b, GROUPS))


def masks(seed: int) -> jax.Array:
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.random((N, 10)) < rng.random((N, 1)), jnp.int32)


def ones(rows) -> np.ndarray:
    return np.stack([np.asarray(rows)[:, i == GROUPS].sum(1) for i in (0, 3, 7)], 1)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), rate=st.floats(0, 1, width=32))
def test_exchanges_keep_the_number_of_ones_of_each_group(seed, rate):
    key, first, second = jax.random.key(seed), masks(seed), masks(seed + 1)
    moved = np.asarray(exchange(key, first, jnp.float32(rate)))
    np.testing.assert_array_equal(ones(moved), ones(first))
    np.testing.assert_array_equal(moved, exchange(key, first, jnp.float32(rate)))
    children = share(key, first, second)
    for child, parent in zip(children, (first, second), strict=True):
        assert child.dtype == jnp.int32 and np.isin(child, (0, 1)).all()
        np.testing.assert_array_equal(ones(child), ones(parent))
        np.testing.assert_array_equal(child[:, 3], parent[:, 3])
        same = np.asarray(first == second)
        np.testing.assert_array_equal(np.asarray(child)[same], np.asarray(parent)[same])


def test_exchange_mutation_moves_one_pair_in_every_group_that_can():
    rows = masks(0)
    changed = np.asarray(exchange(KEY, rows, jnp.float32(1)) != rows)
    movable = (ones(rows) > 0) & (ones(rows) < np.array([4, 1, 4])[None])
    flips = np.stack([changed[:, i == GROUPS].sum(1) for i in (0, 3, 7)], 1)
    np.testing.assert_array_equal(flips, 2 * movable)
    assert not changed[:, 3].any()
    np.testing.assert_array_equal(exchange(KEY, rows, jnp.float32(0)), rows)


def test_exchanges_are_uniform():
    groups, n = np.zeros(4, int), 6000
    rows = jnp.tile(jnp.array([[1, 1, 0, 0]], jnp.int32), (n, 1))
    moved = quick(lambda r: exchange_mutation(KEY, r, groups, 0.5))(rows)
    codes = np.bincount(np.asarray(moved) @ [8, 4, 2, 1], minlength=16)
    # Half stay 1100; each of the four exchanges has an eighth.
    assert abs(codes[12] - n / 2) < 5 * np.sqrt(n / 4)
    for code in (0b0110, 0b0101, 0b1010, 0b1001):
        assert abs(codes[code] - n / 8) < 5 * np.sqrt(n * 7 / 64)
    other = jnp.tile(jnp.array([[0, 0, 1, 1]], jnp.int32), (n, 1))
    child, _ = quick(lambda a, b: exchange_crossover(KEY, a, b, groups))(rows, other)
    codes = np.bincount(np.asarray(child) @ [8, 4, 2, 1], minlength=16)
    assert np.count_nonzero(codes) == 6  # all ways to have two of four
    assert np.all(np.abs(codes[codes > 0] - n / 6) < 5 * np.sqrt(n * 5 / 36))


def test_one_point_keeps_the_head_and_exchanges_the_tail():
    zeros, ones = jnp.zeros((4000, 5), jnp.int32), jnp.ones((4000, 5), jnp.int32)
    a, b = map(np.asarray, quick(one_point_crossover)(KEY, zeros, ones))
    np.testing.assert_array_equal(a + b, 1)
    assert np.all(np.diff(a, axis=1) >= 0) and np.all(a[:, 0] == 0)
    cuts = np.bincount(a.sum(1), minlength=6)
    assert cuts[0] == cuts[5] == 0
    assert np.all(np.abs(cuts[1:5] - 1000) < 5 * np.sqrt(4000 * 3 / 16))
    one = jnp.zeros((3, 1), jnp.int32)
    np.testing.assert_array_equal(one_point_crossover(KEY, one, one + 1)[0], one)


GRID = Grid([2, 7, 1001, 5, 1], [True, True, True, False, True])


differ = quick(lambda key, rows: differential_variation(key, rows, rows, GRID, 0.9))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_differences_stay_in_the_grid_and_names_come_from_members(seed):
    rng = np.random.default_rng(seed)
    population = jnp.asarray(rng.integers(0, GRID.cardinality, (N, 5)), jnp.int32)
    found = differ(jax.random.key(seed), population)
    assert found.dtype == jnp.int32
    assert np.all((np.asarray(found) >= 0) & (np.asarray(found) < GRID.cardinality))
    assert np.isin(found[:, 3], population[:, 3]).all()
    np.testing.assert_array_equal(found, differ(jax.random.key(seed), population))


def test_differences_by_hand():
    # Of 10, 20 and 40 with F = 0.25: 10 +- 5, 20 +- 7.5 and 40 +- 2.5, all equally often.
    grid, n = Grid([100, 100]), 12000
    population = jnp.array([[10, 10], [20, 20], [40, 40]], jnp.int32)
    targets = jnp.full((n, 2), 99, jnp.int32)
    vary = quick(
        lambda rate: differential_variation(KEY, targets, population, grid, 0.25, rate)
    )
    counts = np.bincount(np.asarray(vary(1.0))[:, 0], minlength=100)
    expected = dict.fromkeys((5, 15), n / 6)
    expected |= dict.fromkeys((12, 13, 27, 28, 37, 38, 42, 43), n / 12)
    assert set(np.flatnonzero(counts)) == set(expected)
    for value, count in expected.items():
        assert abs(counts[value] - count) < 5 * np.sqrt(count)
    # At rate 0 one gene of two is still drawn.
    kept = np.asarray(vary(0.0)) == 99
    np.testing.assert_array_equal(kept.sum(1), 1)


def test_differences_are_reflected_at_the_bounds():
    grid = Grid([11])
    population = jnp.array([[0], [2], [10]], jnp.int32)
    targets = jnp.zeros((2000, 1), jnp.int32)
    found = quick(
        lambda: differential_variation(KEY, targets, population, grid, 1.0, 1.0)
    )()
    # 0 +- 8 -> 8; 2 +- 10 -> 12 -> 8 and -8 -> 8; 10 +- 2 -> 8 and 12 -> 8.
    np.testing.assert_array_equal(found, 8)


KINDS = Grid([2, 2, 2, 1001, 7, 2, 2], True, np.array([0, 0, 0, -1, -1, 5, 5]))
crossed = {
    how: quick(lambda key, a, b, rate, how=how: crossover(key, a, b, KINDS, rate, how=how))
    for how in CROSSOVERS
}


@pytest.mark.parametrize("how", CROSSOVERS)
def test_every_crossover_keeps_to_the_grid_the_rate_and_the_numbers_of_ones(how):
    rng = np.random.default_rng(0)
    first, second = (
        jnp.asarray(rng.integers(0, KINDS.cardinality, (500, 7)), jnp.int32) for _ in "ab"
    )
    unchanged = []
    for rate in (0.0, 0.5, 1.0):
        children = crossed[how](KEY, first, second, rate)
        for child, parent in zip(children, (first, second), strict=True):
            genes = np.asarray(child)
            assert np.all((genes >= 0) & (genes < KINDS.cardinality))
            for group in (slice(0, 3), slice(5, 7)):
                sums = [np.asarray(rows)[:, group].sum(1) for rows in (child, parent)]
                np.testing.assert_array_equal(*sums)
        unchanged.append(np.mean((np.asarray(children[0]) == first).all(1)))
    assert unchanged[0] == 1 and unchanged[2] < 0.4
    # Half the pairs are crossed, of which some stay as they are by chance.
    assert abs(unchanged[1] - (1 + unchanged[2]) / 2) < 5 * np.sqrt(2 / 4 / 500)


def test_one_gene_mutates_on_average_and_a_group_counts_as_one():
    params = genetic_params(KINDS, 0.9, 15.0)
    assert params.mutation_rate == 0.25  # two genes and two groups
    rows = jnp.tile(jnp.array([[1, 0, 1, 500, 3, 0, 1]], jnp.int32), (4000, 1))
    operate = quick(lambda rate: mutate(KEY, rows, KINDS, rate))
    changed = np.asarray(operate(params.mutation_rate) != rows)
    units = [changed[:, :3].any(1), changed[:, 3], changed[:, 4], changed[:, 5:].any(1)]
    assert np.all(np.abs(np.mean(units, axis=1) - 0.25) < 5 * np.sqrt(3 / 16 / 4000))
    np.testing.assert_array_equal(operate(jnp.float32(0)), rows)
    moved = quick(lambda: change_one_gene(KEY, rows, KINDS))() != rows
    moved = np.asarray(moved)
    units = [moved[:, :3].any(1), moved[:, 3], moved[:, 4], moved[:, 5:].any(1)]
    np.testing.assert_array_equal(np.sum(units, axis=0), 1)


def test_groups_that_cannot_move_are_left_out():
    grid = Grid([2, 2, 2, 2, 1001], True, np.array([0, 0, 3, 1, -1]))
    assert genetic_params(grid, 0.9, 15.0).mutation_rate == 0.5  # one group and one gene
    rows = jnp.tile(jnp.array([[1, 1, 1, 0, 7]], jnp.int32), (200, 1))
    changed = quick(lambda: change_one_gene(KEY, rows, grid))() != rows
    np.testing.assert_array_equal(np.asarray(changed)[:, :4], False)
    assert np.asarray(changed)[:, 4].all()
    full = Grid([2, 2], True, np.array([0, 0]))
    np.testing.assert_array_equal(change_one_gene(KEY, rows[:, :2], full), rows[:, :2])


def test_wrong_arguments_are_refused():
    for exchange in ([0.9, -0.5], [True, False], [2**31, 0]):
        with pytest.raises(ValueError, match="exchange has dtype"):
            Grid([2, 2], exchange=np.asarray(exchange))
    with pytest.raises(ValueError, match="gene 1 has cardinality 3 and is in exchange"):
        Grid([2, 3], exchange=np.array([0, 0]))
    with pytest.raises(ValueError, match="'differential' needs 3 or more"):
        NSGA2(2, KINDS, 2, crossover="differential")
    with pytest.raises(ValueError, match="crossover is 'three'; allowed"):
        NSGA2(8, KINDS, 2, crossover="three")
    rows = jnp.zeros((2, 3), jnp.int32)
    with pytest.raises(ValueError, match="one integer for each of 3 genes"):
        exchange_mutation(KEY, rows, np.zeros(2, int), 1.0)
    with pytest.raises(ValueError, match="has 2 members"):
        differential_variation(KEY, rows, rows, Grid([2, 2, 2]))
