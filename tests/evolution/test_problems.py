"""The test problems against pymoo's, and their fronts against moocore and brute force."""

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest
from pymoo.problems import get_problem

from jaxcompress.evolution import problems

REAL = ["zdt1", "zdt2", "zdt3", "zdt4", "zdt6", "dtlz1", "dtlz2", "dtlz7"]


# For small problems: compiling takes longer than running.
quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def theirs(name: str, genes: int, m: int) -> Any:
    return get_problem(name, **({} if "zdt" in name else {"n_var": genes, "n_obj": m}))


@pytest.mark.parametrize("name", REAL)
def test_values_are_those_of_pymoo_also_on_the_bounds(name):
    problem = problems.PROBLEMS[name]()
    genes, top = problem.grid.cardinality.size, problem.grid.cardinality[0] - 1
    other = theirs(name, genes, problem.num_objectives)
    assert other.n_var == genes
    rng = np.random.default_rng(0)
    rows = rng.integers(0, top + 1, (200, genes))
    rows[:50] = rng.choice([0, top // 2, top], (50, genes))
    expected = other.evaluate(rows / top * (other.xu - other.xl) + other.xl)
    found = np.asarray(quick(problem)(jnp.asarray(rows, jnp.int32)).objectives)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * expected.max())
    assert found.dtype == np.float32
    # pymoo has 6e-17 or 0 where a factor vanishes; float32 must not make it negative.
    assert np.all(found[expected >= 0] >= 0)


@pytest.mark.parametrize("make", [problems.dtlz1, problems.dtlz2])
@pytest.mark.parametrize("cardinality", [3, 1000, 999_983, 1_000_000])
def test_an_edge_of_the_front_is_exactly_zero_on_any_grid(make, cardinality):
    """A compiled division may round k / k up: then the worse a point the better it is."""
    problem = make(cardinality=cardinality)
    top = cardinality - 1
    rows = np.random.default_rng(0).integers(
        0, cardinality, (64, problem.grid.ordered.size)
    )
    rows[:, 0] = top
    found = jax.jit(problem)(jnp.asarray(rows, jnp.int32)).objectives
    zero = 0 if problem.name == "dtlz2" else 2  # cos(pi/2), and 1 - 1
    np.testing.assert_array_equal(found[:, zero], 0)
    assert np.all(np.asarray(found) >= 0)


@pytest.mark.parametrize("make", [problems.dtlz1, problems.dtlz2, problems.dtlz7])
def test_any_number_of_objectives(make):
    m = 4
    problem = make(num_objectives=m)
    genes = problem.grid.cardinality.size
    rows = np.random.default_rng(1).integers(0, 1025, (50, genes))
    expected = theirs(problem.name, genes, m).evaluate(rows / 1024)
    found = quick(problem)(jnp.asarray(rows, jnp.int32)).objectives
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * expected.max())


@pytest.mark.parametrize("name", REAL)
def test_the_hypervolume_of_the_front_is_the_limit_of_finer_samples(name):
    problem = problems.PROBLEMS[name]()
    m, genes = problem.num_objectives, problem.grid.cardinality.size
    top = 1024
    best = np.full(genes, top // 2 if name in ("zdt4", "dtlz1", "dtlz2") else 0)

    evaluate = quick(problem)

    def volume(points: int) -> float:
        lead = np.round(np.linspace(0, top, points)).astype(int)
        every = np.array(list(itertools.product(lead, repeat=m - 1)))
        rows = np.tile(best, (65**2, 1))  # of one length: one compilation
        rows[:, : m - 1] = np.resize(every, (65**2, m - 1))
        values = evaluate(jnp.asarray(rows, jnp.int32)).objectives
        return moocore.hypervolume(np.asarray(values, np.float64), ref=problem.reference)

    coarse, fine = (volume(n) for n in ((257, 1025) if m == 2 else (17, 65)))
    assert coarse < fine < problem.hypervolume * (1 + 1e-6)
    # The gap shrinks with the distance of the points, four times smaller here.
    assert problem.hypervolume - fine < 0.4 * (problem.hypervolume - coarse)


def test_the_knapsack_front_by_hand():
    problem = problems.knapsack(items=6)
    rows = np.array(list(itertools.product([0, 1], repeat=6)), np.int32)
    told = quick(problem)(jnp.asarray(rows))
    values = np.asarray(told.objectives, float)[np.asarray(told.violation) == 0]
    assert 0 < len(values) < 64
    beaten = [any((b <= a).all() and (b < a).any() for b in values) for a in values]
    front = np.unique(values[~np.array(beaten)], axis=0)
    np.testing.assert_array_equal(problem.front, front)
    # Nothing taken: both profits are lost in full, and that is the reference point.
    np.testing.assert_array_equal(values[0], problem.reference)


def test_the_bit_allocation_front_by_hand():
    problem = problems.bit_allocation(layers=3)
    rows = np.array(list(itertools.product(range(6), repeat=3)), np.int32)
    values = np.asarray(quick(problem)(jnp.asarray(rows)).objectives, float)
    beaten = [any((b <= a).all() and (b < a).any() for b in values) for a in values]
    front = np.unique(values[~np.array(beaten)], axis=0)
    np.testing.assert_array_equal(problem.front, front)
    assert np.all(values < problem.reference)
    # Two bits more divide the noise by 16: 2, 4, 6 and 8 bits are genes 0, 2, 4 and 5.
    noise = values[:, 1].reshape(6, 6, 6)[:, 0, 0]
    drops = noise[[0, 2, 4]] - noise[[2, 4, 5]]
    np.testing.assert_array_equal(drops[:-1] / drops[1:], 16)


@pytest.mark.parametrize("make", [problems.knapsack, problems.bit_allocation])
def test_integer_problems_are_too_large_for_a_search_and_fit_a_population(make):
    problem = make()
    assert np.prod(problem.grid.cardinality.astype(np.float64)) > 10 * 20_000
    assert problem.front is not None and 10 <= len(problem.front) <= 100
    assert np.all(problem.front == np.round(problem.front))
    assert problem.front.max() < 2**24  # exact in float32
