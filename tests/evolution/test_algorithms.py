"""What every algorithm promises, whatever it does with its population."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest

from jaxcompress.evolution import (
    MOEAD,
    NSGA2,
    NSGA3,
    Algorithm,
    Decomposed,
    Evaluation,
    GeneticAlgorithm,
    Grid,
    RandomSearch,
    epsilon_archive,
    evolve,
)

KEY = jax.random.key(0)
GRID = Grid([6, 5, 4, 6, 5, 40], [True] * 4 + [False, True])
P, GENERATIONS = 12, 10
quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
MAKE = {
    "nsga2": partial(NSGA2, P, GRID, 2),
    "nsga3": partial(NSGA3, P, GRID, 2),
    "moead": partial(MOEAD, P, GRID, 2, neighbours=4),
    "genetic": partial(GeneticAlgorithm, P, GRID, 2, selection="roulette", elites=2),
    "decomposed": partial(Decomposed, P, GRID, 2, algorithm="SimpleGA", directions=2),
    "random": partial(RandomSearch, P, GRID, 2),
}


class Troubles(NamedTuple):
    """What is wrong with the evaluation; arrays, so that one compilation serves all."""

    broken_from: jax.Array = jnp.int32(99)  # first gene from where evaluation fails
    failure: jax.Array = jnp.float32(jnp.nan)  # with which number
    least_sum: jax.Array = jnp.int32(0)  # constraint on the sum of the genes


def evaluated(rows, troubles: Troubles) -> Evaluation:
    cost = jnp.sum(rows, axis=1)
    error = jnp.sum((rows - jnp.array([5, 0, 3, 2, 4, 30])[None, :]) ** 2, axis=1)
    objectives = jnp.stack([cost, error], axis=1).astype(jnp.float32)
    broken = rows[:, :1] >= troubles.broken_from
    excess = jnp.maximum(troubles.least_sum - cost, 0)
    return Evaluation(
        jnp.where(broken, troubles.failure, objectives), excess.astype(jnp.float32)
    )


class Compiled(NamedTuple):
    algorithm: Algorithm
    run: Callable
    traces: list


@pytest.fixture(scope="module", params=MAKE)
def compiled(request):
    """The algorithm, and two seeds side by side as one program."""
    algorithm, traces = MAKE[request.param](), []

    def one(key, troubles):
        def evaluate(rows):
            traces.append(rows.shape)
            return evaluated(rows, troubles)

        found = evolve(key, algorithm, evaluate, GENERATIONS)
        return found, algorithm.front(found.state)

    return Compiled(algorithm, quick(jax.vmap(one, (0, None))), traces)


def seeds(number: int):
    return jax.random.split(jax.random.key(number), 2)


def test_asked_genotypes_are_in_the_grid_and_repeat_themselves(compiled):
    found, front = compiled.run(seeds(1), Troubles())
    asked = np.asarray(found.genotypes)
    assert asked.shape == (2, GENERATIONS, P, 6) and asked.dtype == np.int32
    assert np.all((asked >= 0) & (asked < GRID.cardinality))
    assert not np.array_equal(asked[0], asked[1])
    if not isinstance(compiled.algorithm, Decomposed | MOEAD):
        for seed in range(2):  # nothing is asked for twice, in all generations
            distinct = np.unique(asked[seed].reshape(-1, 6), axis=0)
            assert len(distinct) == GENERATIONS * P
    again = compiled.run(seeds(1), Troubles())
    jax.tree.map(np.testing.assert_array_equal, (found, front), again)
    assert not np.array_equal(asked, compiled.run(seeds(2), Troubles())[0].genotypes)
    # One program for all generations, seeds, troubles:
    compiled.run(seeds(2), Troubles(failure=jnp.float32(jnp.inf)))
    assert len(compiled.traces) == 1


def test_the_front_is_feasible_distinct_and_not_dominated(compiled):
    found, (rows, objectives, mask) = compiled.run(seeds(3), Troubles())
    for seed in range(2):
        member = np.asarray(rows[seed])[np.asarray(mask[seed])]
        values = np.asarray(objectives[seed])[np.asarray(mask[seed])]
        assert 0 < len(member) == len(np.unique(member, axis=0))
        true = evaluated(jnp.asarray(member), Troubles()).objectives
        np.testing.assert_array_equal(values, true)
        for value in values:
            worse = np.all(values <= value, axis=1) & np.any(values < value, axis=1)
            assert not worse.any()
        assert found.metrics["front"][seed, -1] == len(member)


def test_it_is_better_than_the_first_generation(compiled):
    found, _ = compiled.run(seeds(4), Troubles())
    least = np.asarray(found.evaluation.objectives).sum(axis=3).min(axis=2)
    assert np.all(least.min(axis=1) < least[:, 0])


@pytest.mark.parametrize("failure", [np.nan, np.inf, -np.inf])
def test_failures_never_win_and_are_counted(compiled, failure):
    troubles = Troubles(jnp.int32(3), jnp.float32(failure))
    found, (rows, objectives, mask) = compiled.run(seeds(5), troubles)
    broken = np.asarray(found.genotypes)[..., 0] >= 3
    assert 0 < broken.sum() < broken.size
    np.testing.assert_array_equal(found.metrics["failed"], broken.sum(axis=2))
    assert np.all(np.asarray(rows)[np.asarray(mask)][:, 0] < 3)
    assert np.all(np.isfinite(np.asarray(objectives)[np.asarray(mask)]))
    assert mask.any(axis=1).all()
    for leaf in jax.tree.leaves((found.state.objectives, found.state.violation)):
        assert not np.isnan(leaf).any()


def test_when_all_fail_the_front_is_empty_and_the_search_goes_on(compiled):
    found, (_, _, mask) = compiled.run(seeds(6), Troubles(broken_from=jnp.int32(0)))
    np.testing.assert_array_equal(found.metrics["failed"], P)
    np.testing.assert_array_equal(found.metrics["feasible"], 0)
    np.testing.assert_array_equal(found.metrics["front"], 0)
    assert not np.asarray(mask).any()
    assert np.all(np.asarray(found.genotypes) < GRID.cardinality)


def test_an_infeasible_population_becomes_feasible(compiled):
    # Of all genotypes 1 in 100 has a sum of 51 or more (58 is the largest).
    found, (rows, _, mask) = compiled.run(seeds(7), Troubles(least_sum=jnp.int32(51)))
    violation = np.asarray(found.evaluation.violation)
    if not isinstance(compiled.algorithm, RandomSearch):
        assert violation[:, -1].mean() < 0.7 * violation[:, 0].mean()
    assert np.all(np.asarray(rows)[np.asarray(mask)].sum(axis=1) >= 51)
    # Nothing is feasible at all:
    found, (_, _, mask) = compiled.run(seeds(8), Troubles(least_sum=jnp.int32(99)))
    assert not np.asarray(mask).any()
    least = np.asarray(found.evaluation.violation).min(axis=(1, 2))
    np.testing.assert_array_equal(np.asarray(found.state.violation).min(axis=1), least)


@pytest.mark.parametrize("kind", [NSGA2, MOEAD])
def test_numbers_of_ones_are_kept_without_a_repair(kind):
    """Of a plain grid: by crossover, mutation, and what replaces copies."""
    groups = np.array([0] * 6 + [1] * 4 + [-1])
    grid = Grid([2] * 10 + [9], exchange=groups)
    given = np.zeros((8, 11), np.int64)
    given[:, :3] = given[:, 6] = 1  # eight copies

    def evaluate(rows):
        f = jnp.sum(rows * jnp.arange(11)[None, :], axis=1).astype(jnp.float32)
        return Evaluation(jnp.stack([f, -f], axis=1), jnp.zeros(8))

    algorithm = kind(8, grid, 2, initial=given, repair=lambda rows: rows)
    asked = quick(lambda key: evolve(key, algorithm, evaluate, 6))(KEY).genotypes
    rows = np.asarray(asked).reshape(-1, 11)
    assert np.all(rows[:, :6].sum(axis=1) == 3)
    assert np.all(rows[:, 6:10].sum(axis=1) == 1)
    assert len(np.unique(rows, axis=0)) > 30  # of 48


def test_everything_evaluated_goes_into_the_archive():
    archive = epsilon_archive(64, 6, 2)
    found = quick(
        lambda key: evolve(
            key,
            MAKE["nsga2"](),
            lambda rows: evaluated(rows, Troubles()),
            GENERATIONS,
            archive=archive,
        )
    )(KEY)
    kept = np.asarray(found.archive.objectives)[np.asarray(found.archive.mask)]
    asked = np.asarray(found.evaluation.objectives, np.float64).reshape(-1, 2)
    best = np.unique(asked[moocore.is_nondominated(asked)], axis=0)
    np.testing.assert_array_equal(np.unique(kept, axis=0), best)


def test_ask_and_tell_are_compiled_once_for_an_object():
    algorithm = MAKE["nsga2"]()
    assert algorithm.compiled is algorithm.compiled
    params = algorithm.default_params
    init, ask, tell = algorithm.compiled
    state = init(KEY, params)
    for number in range(3):
        genotypes, state = ask(jax.random.key(number), state, params)
        told = evaluated(genotypes, Troubles())
        state, _ = tell(jax.random.key(number), genotypes, told, state, params)
    for method in (init, ask, tell):
        assert method._cache_size() == 1


def test_initial_genotypes_come_first_and_repair_is_applied():
    # All others share the code that NSGA-II is tested with.
    given = np.array([[0] * 6, [4, 4, 2, 4, 4, 4], [1] * 6])

    def even(rows):
        return rows - rows % 2

    algorithm = MAKE["decomposed"](initial=given, repair=even)
    found = quick(
        lambda key: evolve(key, algorithm, lambda rows: evaluated(rows, Troubles()), 3)
    )(KEY)
    asked = np.asarray(found.genotypes)
    np.testing.assert_array_equal(asked[0, :2], given[:2])
    assert np.all(asked % 2 == 0)


@pytest.mark.parametrize("name", MAKE)
def test_wrong_shapes_are_refused(name):
    algorithm = MAKE[name]()
    params = algorithm.default_params
    state = jax.eval_shape(algorithm.init, KEY, params)
    told = Evaluation(jnp.zeros((P, 3)), jnp.zeros(P))
    with pytest.raises(ValueError, match=r"objectives has shape \(12, 3\)"):
        jax.eval_shape(algorithm.tell, KEY, state.genotypes, told, state, params)
    with pytest.raises(ValueError, match=r"initial\[0, 0\] is 6"):
        MAKE[name](initial=np.full((1, 6), 6))


def test_evolve_refuses_what_does_not_fit():
    def run(**options):
        return evolve(
            KEY, MAKE["nsga2"](), lambda rows: evaluated(rows, Troubles()), 2, **options
        )

    with pytest.raises(ValueError, match="with an archive only"):
        run(epsilon=jnp.zeros(2))
    with pytest.raises(ValueError, match=r"epsilon has shape \(7,\)"):
        run(archive=epsilon_archive(4, 6, 2), epsilon=jnp.zeros(7))
    with pytest.raises(ValueError, match=r"epsilon_archive\(capacity, 6, 2\)"):
        run(archive=epsilon_archive(4, 5, 2))
    with pytest.raises(ValueError, match="generations is 0"):
        evolve(KEY, MAKE["nsga2"](), lambda rows: evaluated(rows, Troubles()), 0)
