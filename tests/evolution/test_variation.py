"""Grid, crossover, mutation: always inside the grid, and with the promised chances."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from jaxcompress.evolution import (
    Grid,
    change_one_gene,
    crossover,
    mutate,
    reset_mutation,
    sample,
    sbx_crossover,
    step_mutation,
    two_point_crossover,
    uniform_crossover,
)
from jaxcompress.evolution.grid import as_grid

CARDINALITY = np.array([1, 2, 3, 5, 33, 1001, 2**24, 8])
ORDERED = np.array([1, 1, 1, 1, 1, 1, 1, 0], bool)
GRID = Grid(CARDINALITY, ORDERED)
N = 64


def edges_and_inside(seed: int) -> jax.Array:
    """Genotypes of which many genes are at an edge."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, CARDINALITY, (N, CARDINALITY.size))
    rows = np.where(rng.random(rows.shape) < 0.3, 0, rows)
    rows = np.where(rng.random(rows.shape) < 0.3, CARDINALITY - 1, rows)
    return jnp.asarray(rows, jnp.int32)


def in_grid(rows) -> bool:
    rows = np.asarray(rows)
    return rows.dtype == np.int32 and bool(np.all((rows >= 0) & (rows < CARDINALITY)))


# Compiled, for eager calls compile every operation by itself, and quickly.
quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
OPERATORS = {
    "uniform": quick(uniform_crossover),
    "two-point": quick(two_point_crossover),
    "sbx": quick(lambda key, a, b: sbx_crossover(key, a, b, GRID, 2.0)),
    "crossover": quick(lambda key, a, b: crossover(key, a, b, GRID)),
    "reset": quick(lambda key, a, b: (reset_mutation(key, a, GRID, 0.5),)),
    "step": quick(lambda key, a, b: (step_mutation(key, a, GRID, 0.5),)),
    "one gene": quick(lambda key, a, b: (change_one_gene(key, a, GRID),)),
    "mutate": quick(lambda key, a, b: (mutate(key, a, GRID, 0.5),)),
}
KEY = jax.random.key(0)


@pytest.mark.parametrize("name", OPERATORS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_operators_stay_in_the_grid_and_repeat_themselves(name, seed):
    key = jax.random.key(seed)
    parents = edges_and_inside(seed), edges_and_inside(seed + 1)
    children = OPERATORS[name](key, *parents)
    assert all(in_grid(child) for child in children)
    for child, again in zip(children, OPERATORS[name](key, *parents), strict=True):
        np.testing.assert_array_equal(child, again)
    other = OPERATORS[name](jax.random.key(seed + 1), *parents)
    assert not all(map(np.array_equal, children, other))


@pytest.mark.parametrize("name", ["uniform", "two-point"])
def test_exchange_only_moves_values_between_the_two(name):
    first, second = edges_and_inside(0), edges_and_inside(1)
    a, b = OPERATORS[name](KEY, first, second)
    np.testing.assert_array_equal(np.minimum(a, b), np.minimum(first, second))
    np.testing.assert_array_equal(np.maximum(a, b), np.maximum(first, second))


def test_two_points_exchange_one_block():
    zeros, ones = jnp.zeros((500, 6), jnp.int32), jnp.ones((500, 6), jnp.int32)
    a, _ = OPERATORS["two-point"](KEY, zeros, ones)
    padded = np.pad(np.asarray(a), ((0, 0), (1, 1)))
    np.testing.assert_array_equal(np.sum(np.diff(padded) == 1, axis=1), 1)
    # Of 6 genes, the 21 blocks are all possible.
    assert len(np.unique(np.asarray(a), axis=0)) == 21


def test_sbx_keeps_the_mean_and_leaves_equal_genes_alone():
    grid = Grid([10001, 10001])
    first = jnp.tile(jnp.array([[4000, 77]], jnp.int32), (4000, 1))
    second = jnp.tile(jnp.array([[6000, 77]], jnp.int32), (4000, 1))
    a, b = map(np.asarray, quick(partial(sbx_crossover, grid=grid))(KEY, first, second))
    assert np.all(a[:, 1] == 77)
    assert np.all(b[:, 1] == 77)
    # Half the pairs are blended; the midpoint of each is kept up to rounding.
    blended = (a[:, 0] != 4000) & (a[:, 0] != 6000)
    assert 0.4 < blended.mean() < 0.6
    assert np.abs(a[:, 0] + b[:, 0] - 10000).max() <= 2
    # The distribution index bounds the usual spread: most children near a parent.
    near = np.minimum(np.abs(a[:, 0] - 4000), np.abs(a[:, 0] - 6000))
    assert np.median(near[blended]) < 200


def test_sbx_rounds_without_drift():
    # Parents one apart: nearest rounding would return them for ever.
    first, second = jnp.full((8000, 1), 50), jnp.full((8000, 1), 51)
    a, b = quick(partial(sbx_crossover, grid=Grid([101]), eta=1.0))(KEY, first, second)
    children = np.concatenate([np.asarray(a), np.asarray(b)])
    assert children.min() < 50
    assert children.max() > 51
    assert abs(children.mean() - 50.5) < 0.05


def test_crossover_blends_only_wide_ordered_genes():
    first, second = edges_and_inside(2), edges_and_inside(3)
    a, b = OPERATORS["crossover"](KEY, first, second)
    kept = (a == first) & (b == second) | (a == second) & (b == first)
    wide = (CARDINALITY >= 32) & ORDERED
    assert np.all(np.asarray(kept)[:, ~wide])
    assert not np.all(np.asarray(kept)[:, wide])


def test_crossover_rate_zero_copies_the_parents():
    parents = edges_and_inside(0), edges_and_inside(1)
    a, b = quick(partial(crossover, grid=GRID, rate=0.0))(KEY, *parents)
    np.testing.assert_array_equal(a, parents[0])
    np.testing.assert_array_equal(b, parents[1])


@pytest.mark.parametrize("operator", [reset_mutation, step_mutation, mutate])
def test_a_drawn_gene_changes_unless_it_cannot(operator):
    genotypes = edges_and_inside(0)
    operate = quick(lambda rate: operator(KEY, genotypes, GRID, rate))
    changed = np.asarray(operate(1.0))
    assert np.all((changed != genotypes) == (CARDINALITY > 1)[None, :])
    np.testing.assert_array_equal(operate(0.0), genotypes)


def test_reset_is_uniform_over_the_other_values():
    genotypes = jnp.full((6000, 1), 2)
    reset = np.asarray(reset_mutation(KEY, genotypes, Grid([5]), 1.0))
    counts = np.bincount(reset[:, 0], minlength=5)
    assert counts[2] == 0
    # Five standard deviations of a binomial count of 6000 draws at 1/4.
    assert np.all(np.abs(np.delete(counts, 2) - 1500) < 5 * np.sqrt(6000 * 3 / 16))


def test_steps_scale_with_the_grid_and_go_both_ways():
    def steps(cardinality):
        middle = jnp.full((4000, 1), cardinality // 2)
        grid = Grid([cardinality])
        moved = quick(partial(step_mutation, grid=grid, rate=1.0))(KEY, middle)
        return np.asarray(moved - middle)[:, 0]

    small, large = steps(5), steps(10001)
    assert np.mean(np.abs(small) == 1) > 0.9
    # The mean of polynomial mutation with index 20 is 1/22 of the range.
    assert abs(np.abs(large).mean() - 10000 / 22) < 25
    for moved in (small, large):
        assert abs(np.mean(moved > 0) - 0.5) < 0.05


def test_mutate_resets_names_and_a_share_of_narrow_ordered_genes():
    grid = Grid([1001, 1001, 31], [True, False, True])
    middle, away = np.array([500, 500, 15]), np.array([300, 300, 9])
    genotypes = jnp.tile(jnp.asarray(middle, jnp.int32), (40000, 1))
    operate = quick(lambda share: mutate(KEY, genotypes, grid, 1.0, reset_share=share))

    def far(share):
        return np.mean(np.abs(np.asarray(operate(share)) - middle) > away, axis=0)

    # Of the resets 400 in 1000 or 12 in 30 go that far, and of the steps 0.7 ** 21 (Deb
    # and Goyal); of the narrow ones (20 + r) / 30 to the 21st for a rounding r.
    narrow = 30 / 22 * ((21 / 30) ** 22 - (20 / 30) ** 22)
    for share in (0.0, 0.05, 0.5):
        expected = np.array([0.7**21, 0.4, share * 0.4 + (1 - share) * narrow])
        error = np.sqrt(expected * (1 - expected) / 40000)
        assert np.all(np.abs(far(share) - expected) <= 5 * error)


def test_steps_out_of_wide_genes_may_be_left_out():
    grid = Grid([1001, 1001, 1001, 8], True)
    genotypes = jnp.tile(jnp.array([[0, 500, 1000, 0]], jnp.int32), (8000, 1))
    operate = quick(
        lambda share: mutate(KEY, genotypes, grid, 1.0, reset_share=0.0, edge_share=share)
    )
    plain = np.asarray(operate(0.0))
    for share in (0.0, 0.5, 1.0):
        moved = np.asarray(operate(share))
        still = np.mean(moved == np.asarray(genotypes), axis=0)
        # Half of the steps at an edge would lead out; narrow genes are turned inward.
        expected = np.array([share / 2, 0, share / 2, 0])
        assert np.all(np.abs(still - expected) <= 5 * np.sqrt(expected / 8000))
        changed = moved != np.asarray(genotypes)
        np.testing.assert_array_equal(moved[changed], plain[changed])


def test_one_gene_changes_if_any_can():
    genotypes = edges_and_inside(0)
    changed = change_one_gene(KEY, genotypes, GRID) != genotypes
    np.testing.assert_array_equal(np.sum(changed, axis=1), 1)
    # Every gene that can change is drawn some time.
    assert np.all(np.any(changed, axis=0) == (CARDINALITY > 1))
    still = change_one_gene(KEY, genotypes[:, :1], Grid([1]))
    np.testing.assert_array_equal(still, genotypes[:, :1])


def test_sample_covers_the_grid_evenly():
    grid = Grid([1, 4], False)
    drawn = np.asarray(sample(KEY, grid, 4000))
    assert drawn.dtype == np.int32
    assert np.all(drawn[:, 0] == 0)
    counts = np.bincount(drawn[:, 1], minlength=4)
    assert counts.size == 4
    assert np.all(np.abs(counts - 1000) < 5 * np.sqrt(4000 * 3 / 16))


def test_grid_copies_its_arguments():
    cardinality = np.array([3, 4])
    grid = Grid(cardinality)
    cardinality[0] = 99
    assert grid.cardinality.tolist() == [3, 4]
    assert grid.ordered.tolist() == [True, True]
    with pytest.raises(ValueError, match="read-only"):
        grid.cardinality[0] = 1


@pytest.mark.parametrize(
    ("cardinality", "ordered", "message"),
    [
        ([[2, 2]], True, r"shape \(1, 2\)"),
        ([], True, "at least one gene"),
        ([2.0], True, "dtype float64"),
        ([3, 0], True, "gene 1 has cardinality 0"),
        ([2**24 + 1], True, "more coarsely"),
        ([2, 2], [True], r"bools of shape \(2,\)"),
        ([2, 2], [1, 0], "dtype int64"),
    ],
)
def test_a_wrong_grid_is_refused(cardinality, ordered, message):
    with pytest.raises(ValueError, match=message):
        Grid(cardinality, ordered)


@pytest.mark.parametrize("other", [[3, 3], np.asarray([3, 3]), None, 3])
def test_what_is_no_grid_is_refused(other):
    words = f"grid is a {type(other).__name__}; it must have `cardinality` and `ordered`"
    with pytest.raises(ValueError, match=words):
        as_grid(other)


def test_gaussian_and_single_steps():
    grid = Grid([101, 8, 3, 1], [True, True, False, True])
    middle = jnp.tile(jnp.array([[50, 3, 1, 0]], jnp.int32), (4000, 1))
    steps = {
        how: np.asarray(quick(lambda g, h=how: mutate(KEY, g, grid, 1.0, how=h))(middle))
        for how in ("gaussian", "step")
    }
    for rows in steps.values():
        assert np.all((rows >= 0) & (rows < grid.cardinality))
        assert np.all(rows[:, 2] != 1) and np.all(rows[:, 3] == 0)  # names are reset
    wide = steps["gaussian"][:, 0] - 50.0  # of 100 steps a fifth; beyond 2.5 sd cut off
    assert abs(wide.mean()) < 1.5 and 18.5 < wide.std() < 20.5
    assert (steps["gaussian"][:, 0] == 100).any() and (steps["gaussian"][:, 0] == 0).any()
    moved = steps["step"][:, :2] - np.array([50, 3])
    assert set(np.unique(moved)) == {-1, 1} and abs(moved.mean()) < 0.1
    ends = quick(lambda g: mutate(KEY, g, grid, 1.0, how="step"))
    np.testing.assert_array_equal(ends(middle * 0)[:, :2], 1)


def test_shares_of_swapped_genes_and_of_mutated_children():
    grid, zeros = Grid(np.full(10, 9)), jnp.zeros((2000, 10), jnp.int32)
    child, _ = quick(lambda a, b: crossover(KEY, a, b, grid, 1.0, how="uniform", swap=0.2))(
        zeros, zeros + 1
    )
    assert abs(np.asarray(child).mean() - 0.2) < 0.02
    mutated = quick(lambda g: mutate(KEY, g, grid, 1.0, how="step", mutated_share=0.8))(
        zeros
    )
    rows = np.asarray(mutated).any(axis=1)
    assert abs(rows.mean() - 0.8) < 0.04 and np.asarray(mutated)[rows].all()
