"""Scalarisations, the genetic algorithm, MOEA/D and evosax's algorithms by themselves."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcompress.evolution import (
    MOEAD,
    NSGA2,
    Decomposed,
    Evaluation,
    EvosaxAdapter,
    GeneticAlgorithm,
    Grid,
    RandomSearch,
    boundary_intersection,
    compiled,
    evolve,
    hypervolume_host,
    problems,
    roulette,
    saving_score,
    supported,
    tchebycheff,
    weighted_sum,
)

KEY = jax.random.key(0)
quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
GRID = Grid([9, 9, 9])


def two(rows) -> Evaluation:
    """Two paraboloids; the front is the diagonal from (2, 2, 2) to (6, 6, 6)."""
    ends = [jnp.sum((rows - end) ** 2, axis=1) for end in (2, 6)]
    objectives = jnp.stack(ends, axis=1).astype(jnp.float32)
    return Evaluation(objectives, jnp.zeros(rows.shape[0]))


def test_scalarizations_by_hand():
    f, w = jnp.array([3.0, 1.0, 2.0]), jnp.array([0.2, 0.8, 0.0])
    np.testing.assert_allclose(weighted_sum(f, w), 1.4, rtol=1e-6)
    np.testing.assert_allclose(tchebycheff(f, w), 0.8, rtol=1e-6)
    unit = np.array([0.2, 0.8, 0.0]) / np.sqrt(0.68)
    along = np.dot([3, 1, 2], unit)
    away = np.sqrt(14 - along**2)
    np.testing.assert_allclose(boundary_intersection(f, w), along + 5 * away, rtol=1e-6)


def test_roulette_draws_in_proportion():
    values = jnp.array([0.0, 5.0, 10.0, jnp.inf, jnp.nan])
    draw = quick(lambda values: roulette(KEY, values, 8000))
    counts = np.bincount(draw(values), minlength=5) / 8000
    expected = np.array([1.01, 0.51, 0.01, 0, 0]) / 1.53
    bound = 5 * np.sqrt(expected * (1 - expected) / 8000)
    assert np.all(np.abs(counts - expected) <= bound)
    for equal in (jnp.full(5, 7.0), jnp.full(5, jnp.inf)):
        counts = np.bincount(draw(equal), minlength=5)
        assert np.all(np.abs(counts - 1600) < 5 * np.sqrt(8000 * 4 / 25))


def test_roulette_draws_in_proportion_to_saving_over_loss():
    # The score of GeneCAI as its authors have it, in float64.
    error, macs = np.array([0.10, 0.12, 0.30, 0.09]), np.array([98.0, 96.0, 95.0, 104.0])
    accuracy = 100 * (1 - error)
    saved = np.maximum((100 - macs) / 100, 0)
    lost = np.abs(91 - accuracy) + 1 + np.where(accuracy < 75, np.exp(75 - accuracy), 0)
    score = np.exp(100 * saved) / lost
    values = saving_score(
        jnp.asarray(error), jnp.asarray(macs), (0.09, 100.0), threshold=0.25
    )
    np.testing.assert_allclose(values / values[1], score / score[1], rtol=2e-3)
    counts = np.bincount(quick(lambda v: roulette(KEY, v, 8000))(values), minlength=4)
    expected = score - score.min()
    expected = expected / expected.max() + 0.01
    expected /= expected.sum()
    bound = 5 * np.sqrt(expected * (1 - expected) / 8000)
    assert np.all(np.abs(counts / 8000 - expected) <= bound)


def test_the_genetic_algorithm_finds_the_best_score():
    # 3 f1 + f2 is least at the lattice point (3, 3, 3): 3 * 3 + 27.
    def score(f):
        return 3 * f[:, 0] + f[:, 1]

    algorithm = GeneticAlgorithm(16, GRID, 2, score=score, elites=1, selection="roulette")
    found = quick(lambda key: evolve(key, algorithm, two, 25))(KEY)
    scores = np.asarray(found.evaluation.objectives) @ [3, 1]
    assert scores.min() == 36
    kept = Evaluation(found.state.objectives, found.state.violation)
    assert np.asarray(algorithm.scores(kept)).min() == 36  # an elite is not lost
    assert np.any(np.diff(np.minimum.accumulate(scores.min(1))) < 0)


def test_without_elites_only_offspring_survive():
    algorithm = GeneticAlgorithm(8, GRID, 2, elites=0)
    found = quick(lambda key: evolve(key, algorithm, two, 3))(KEY)
    last = {tuple(map(int, row)) for row in np.asarray(found.genotypes)[-1]}
    assert {tuple(map(int, row)) for row in np.asarray(found.state.genotypes)} == last


def test_moead_members_belong_to_their_weights():
    algorithm = MOEAD(9, GRID, 2, neighbours=3)
    found = quick(lambda key: evolve(key, algorithm, two, 80))(KEY)
    objectives = np.asarray(found.state.objectives)
    # Weights go from the second objective to the first, so the members do as well.
    assert np.all(np.diff(objectives[:, 0]) <= 0)
    assert np.all(np.diff(objectives[:, 1]) >= 0)
    rows = np.asarray(algorithm.front(found.state)[0])
    assert rows[0].tolist() == [6, 6, 6] and rows[-1].tolist() == [2, 2, 2]


def test_moead_replaces_by_the_rules():
    algorithm = MOEAD(4, Grid([100]), 2, neighbours=4, replacements=2)
    params = algorithm.default_params.replace(neighbour_rate=jnp.float32(1))
    state = quick(algorithm.init)(KEY, params)
    tell = quick(algorithm.tell)
    rows = jnp.array([[10], [11], [12], [13]], jnp.int32)
    old = jnp.array([[9.0, 9.0], [8.0, 8.0], [7.0, 7.0], [6.0, 6.0]])
    state, _ = tell(KEY, rows, Evaluation(old, jnp.zeros(4)), state, params)
    np.testing.assert_array_equal(state.genotypes, rows)
    # One child beats everyone: it takes two places. One fails, two are worse.
    children = jnp.array([[20], [21], [22], [23]], jnp.int32)
    told = jnp.array([[9.5, 9.5], [1.0, 1.0], [jnp.nan, 0.0], [9.9, 9.9]])
    state, _ = tell(KEY, children, Evaluation(told, jnp.zeros(4)), state, params)
    genes = np.asarray(state.genotypes)[:, 0]
    assert np.sum(genes == 21) == 2
    assert np.sum((genes >= 10) & (genes <= 13)) == 2
    # Less violation beats any objectives.
    state, _ = tell(KEY, rows + 30, Evaluation(told * 0, jnp.ones(4)), state, params)
    assert np.all(np.asarray(state.violation) == 0)


# evosax's PGPE calls what optax is about to rename.
RENAMED = "ignore:optax.global_norm is deprecated:DeprecationWarning"


@pytest.mark.filterwarnings(RENAMED)
@pytest.mark.parametrize("name", supported())
def test_the_state_of_every_evosax_algorithm_can_be_scanned(name):
    algorithm = Decomposed(8, GRID, 2, algorithm=name, directions=2)
    found = jax.eval_shape(lambda key: evolve(key, algorithm, two, 2), KEY)
    assert found.genotypes.shape == (2, 8, 3)
    for leaf in jax.tree.leaves(found.state):
        assert not leaf.weak_type


WIDE_GRID = Grid([65] * 6)


def far(rows) -> Evaluation:
    """Two paraboloids around (8, ..., 8) and (16, ..., 16), in a corner of the grid."""
    ends = [jnp.sum((rows - end) ** 2, axis=1) for end in (8, 16)]
    objectives = jnp.stack(ends, axis=1).astype(jnp.float32)
    return Evaluation(objectives, jnp.zeros(rows.shape[0]))


def offspring_of(algorithm: Any) -> tuple[Any, np.ndarray]:
    """Returns a search, and the hypervolumes of the last 10 of 25 generations."""
    found = quick(lambda key: evolve(key, algorithm, far, 25))(KEY)
    last = np.asarray(found.evaluation.objectives)[-10:]
    return found, np.array([hypervolume_host(f, np.array([4e3, 4e3])) for f in last])


def searched(name: str, deviations: float) -> None:
    """Its own offspring, not what survives, must be better than chance."""
    algorithm = Decomposed(24, WIDE_GRID, 2, algorithm=name, directions=3)
    found, volumes = offspring_of(algorithm)
    genotypes = np.asarray(found.genotypes)
    assert np.all((genotypes >= 0) & (genotypes < 65))
    np.testing.assert_array_equal(found.metrics["lost"], 0)
    _, random = offspring_of(RandomSearch(24, WIDE_GRID, 2))
    assert volumes.mean() > random.mean() + deviations * random.std()


@pytest.mark.parametrize("name", ["CMA_ES", "DifferentialEvolution"])
def test_a_distribution_and_a_population_search(name):
    searched(name, deviations=2)


@pytest.mark.parametrize("name", ["DifferentialEvolution", "PSO", "HillClimbing"])
def test_what_a_run_holds_is_judged_on_the_present_scale(name):
    algorithm = Decomposed(12, WIDE_GRID, 2, algorithm=name, directions=2)
    found, _ = offspring_of(algorithm)
    memory = found.state.memory
    asked = np.asarray(found.evaluation.objectives).reshape(-1, 2)
    ideal = asked.min(axis=0)
    span = asked.max(axis=0) - ideal
    assert not np.array_equal(ideal, asked[:12].min(axis=0))  # it has moved
    fields = {
        "DifferentialEvolution": ("population", "fitness"),
        "PSO": ("population_best", "fitness_best"),
        "HillClimbing": ("best_solution_shaped", "best_fitness_shaped"),
    }[name]
    vectors, fitness = (getattr(memory.runs, field) for field in fields)
    for weight, own, told in zip(algorithm.directions, vectors, fitness, strict=True):
        values = np.asarray(far(algorithm.decoded(jnp.atleast_2d(own))).objectives)
        expected = np.max(weight * (values - ideal) / span, axis=1)
        np.testing.assert_allclose(told, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings(RENAMED)
@pytest.mark.parametrize("name", supported())
def test_every_evosax_algorithm_searches(name):
    searched(name, deviations=0)


@pytest.mark.slow
def test_a_run_that_breaks_down_is_counted():
    # evosax's LM_MA_ES takes the root of c (2 - c) with c = q / d.
    algorithm = Decomposed(16, GRID, 2, algorithm="LM_MA_ES", directions=2)
    found = quick(lambda key: evolve(key, algorithm, two, 4))(KEY)
    np.testing.assert_array_equal(np.asarray(found.metrics["lost"])[[0, -1]], [0, 16])
    assert not np.isnan(found.state.objectives).any()


def test_relaxed_genotypes_decode_to_themselves_and_outside_to_the_ends():
    grid = Grid([1, 2, 7, 1001], [True, False, True, True])
    algorithm = Decomposed(4, grid, 2, algorithm="SimpleGA", directions=2)
    rows = np.random.default_rng(0).integers(0, grid.cardinality, (50, 4))
    rows = jnp.asarray(rows, jnp.int32)
    np.testing.assert_array_equal(algorithm.decoded(algorithm.relaxed(rows)), rows)
    far = jnp.array([[-9.0] * 4, [99.0] * 4, [jnp.nan] * 4, [jnp.inf] * 4])
    top = grid.cardinality - 1
    np.testing.assert_array_equal(algorithm.decoded(far), [0 * top, top, 0 * top, top])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: Decomposed(8, GRID, 2, algorithm="CMAES"),
            "no algorithm 'CMAES'",
        ),
        (lambda: EvosaxAdapter("SV_CMA_ES", 4, 3), r"needs \['num_populations'\]"),
        (lambda: EvosaxAdapter("RandomSearch", 4, 3), r"needs \['sampling_fn'\]"),
        (lambda: EvosaxAdapter("Open_ES", 3, 3), "refuses a population of 3"),
        (lambda: Decomposed(9, GRID, 2, directions=2), "no multiple of the 2"),
        (lambda: MOEAD(8, GRID, 2, directions=np.ones((3, 2))), "3 directions; there must"),
        (lambda: MOEAD(8, GRID, 2, neighbours=1), "neighbours is 1"),
        (lambda: MOEAD(8, GRID, 2, scalarization="sum"), "'sum'; allowed"),
        (lambda: GeneticAlgorithm(8, GRID, 2, elites=9), "elites is 9"),
        (lambda: GeneticAlgorithm(8, GRID, 2, selection="best"), "'best'; allowed"),
    ],
)
def test_wrong_arguments_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("make", [problems.knapsack, problems.bit_allocation])
def test_nsga2_finds_the_exact_front_of_the_integer_problems(make):
    problem = make()
    algorithm = NSGA2(100, problem.grid, 2)
    run = compiled(lambda key: algorithm.front(evolve(key, algorithm, problem, 200).state))
    for seed in range(3):
        _, objectives, mask = run(jax.random.key(seed))
        front = np.unique(np.asarray(objectives)[np.asarray(mask)], axis=0)
        np.testing.assert_array_equal(front, problem.front)
