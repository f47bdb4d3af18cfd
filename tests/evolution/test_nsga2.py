"""The algorithms as a whole: they converge, repeat themselves, and waste nothing."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest

from jaxcompress.evolution import NSGA2, Evaluation, Grid, RandomSearch, hypervolume

KEY = jax.random.key(0)
# For small problems: compiling takes longer than running.
quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
MIXED = Grid([6, 5, 4, 6, 5, 4, 3, 8], [True] * 4 + [False] * 4)


def feasible(objectives) -> Evaluation:
    return Evaluation(objectives, jnp.zeros(objectives.shape[0]))


def zdt1(genotypes, cardinality: int) -> Evaluation:
    """Zitzler, Deb, Thiele 2000, on a grid over [0, 1]^d."""
    x = genotypes.astype(jnp.float32) / (cardinality - 1)
    g = 1 + 9 * x[:, 1:].mean(axis=1)
    return feasible(jnp.stack([x[:, 0], g * (1 - jnp.sqrt(x[:, 0] / g))], axis=1))


def linear(genotypes) -> Evaluation:
    """Integer-valued, so exact in float32: cost against error, with few trade-offs."""
    weight = jnp.array([3, 1, 4, 1, 5, 9, 2, 6], jnp.int32)
    best = jnp.array([5, 0, 3, 2, 4, 1, 0, 7], jnp.int32)
    cost = jnp.sum(genotypes, axis=1)
    error = jnp.sum(weight[None, :] * (genotypes - best[None, :]) ** 2, axis=1)
    clash = jnp.abs(genotypes[:, 0] - genotypes[:, 3])
    return feasible(jnp.stack([cost, error + 7 * clash], 1).astype(jnp.float32))


def generation(algorithm, evaluate, params):
    """One step that can be scanned; also hands out what was asked."""

    def step(state, key):
        ask_key, tell_key = jax.random.split(key)
        genotypes, state = algorithm.ask(ask_key, state, params)
        told = evaluate(genotypes)
        state, metrics = algorithm.tell(tell_key, genotypes, told, state, params)
        return state, (genotypes, metrics)

    return step


def evolve(algorithm, evaluate, generations: int, jit: Callable = quick):
    """Returns a compiled function: key -> final state, all that was asked, metrics."""
    params = algorithm.default_params

    def run(key):
        init_key, loop_key = jax.random.split(key)
        state = algorithm.init(init_key, params)
        keys = jax.random.split(loop_key, generations)
        return jax.lax.scan(generation(algorithm, evaluate, params), state, keys)

    return jit(run)


def front_set(algorithm, state) -> set[tuple[float, ...]]:
    _, objectives, mask = quick(algorithm.front)(state)
    return {tuple(map(float, row)) for row in np.asarray(objectives)[np.asarray(mask)]}


def rows_set(rows) -> set[tuple[int, ...]]:
    return {tuple(map(int, row)) for row in np.asarray(rows)}


def nondominated_set(objectives) -> set[tuple[float, ...]]:
    objectives = np.unique(np.asarray(objectives, np.float64), axis=0)
    best = objectives[moocore.is_nondominated(objectives)]
    return {tuple(map(float, row)) for row in best}


def assert_trees_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_zdt1_reaches_the_hypervolume_of_pymoo():
    # pymoo 0.6.2 with the same budget: 0.8679 +- 0.0004; the exact front has 0.8767.
    cardinality = 1001
    algorithm = NSGA2(100, Grid(np.full(30, cardinality)), num_objectives=2)
    run = evolve(algorithm, lambda rows: zdt1(rows, cardinality), 200, jit=lambda f: f)
    reference = jnp.full(2, 1.1)

    def final(key):
        state, (_, metrics) = run(key)
        _, objectives, mask = algorithm.front(state)
        front = jnp.where(mask[:, None], objectives, jnp.inf)
        return hypervolume(front, reference), metrics

    volumes, metrics = jax.jit(jax.vmap(final))(jax.random.split(jax.random.key(0), 3))
    assert np.mean(volumes) >= 0.866
    assert np.max(volumes) < 0.8767
    np.testing.assert_array_equal(metrics["duplicates"], 0)
    np.testing.assert_array_equal(metrics["failed"], 0)
    np.testing.assert_array_equal(metrics["feasible"], 100)


@pytest.fixture(scope="module")
def nsga2():
    algorithm = NSGA2(50, MIXED, num_objectives=2)
    return algorithm, evolve(algorithm, linear, generations=80, jit=jax.jit)


@pytest.fixture(scope="module")
def random_search():
    algorithm = RandomSearch(50, MIXED, num_objectives=2)
    return algorithm, evolve(algorithm, linear, generations=80, jit=jax.jit)


def test_the_exact_front_of_a_mixed_space_is_found(nsga2):
    algorithm, run = nsga2
    radix = tuple(int(c) for c in MIXED.cardinality)
    count = int(np.prod(radix))
    space = np.stack(np.unravel_index(np.arange(count), radix), axis=1)
    objectives = jax.jit(linear)(jnp.asarray(space, jnp.int32)).objectives
    exact = nondominated_set(objectives)
    assert count / 50 > 50 * 80  # found, and not enumerated
    assert 10 < len(exact) <= 50
    state, _ = run(KEY)
    assert front_set(algorithm, state) == exact


@pytest.mark.parametrize("name", ["nsga2", "random_search"])
def test_asked_genotypes_are_distinct_and_in_the_grid(name, request):
    _, run = request.getfixturevalue(name)
    state, (asked, metrics) = run(jax.random.key(1))
    asked = np.asarray(asked)
    assert asked.dtype == np.int32
    assert np.all((asked >= 0) & (asked < MIXED.cardinality))
    for rows in asked:
        assert len(rows_set(rows)) == 50
    assert len(rows_set(state.genotypes)) == 50
    np.testing.assert_array_equal(metrics["duplicates"], 0)


def test_stepping_equals_scanning_bit_for_bit(nsga2):
    algorithm, run = nsga2
    params = algorithm.default_params
    key = jax.random.key(3)
    scanned, (asked, _) = run(key)
    init_key, loop_key = jax.random.split(key)
    init, ask, tell, evaluate = map(
        jax.jit, (algorithm.init, algorithm.ask, algorithm.tell, linear)
    )
    state = init(init_key, params)
    initial = state.genotypes
    for i, step_key in enumerate(jax.random.split(loop_key, 80)):
        parents = rows_set(state.genotypes)
        ask_key, tell_key = jax.random.split(step_key)
        genotypes, state = ask(ask_key, state, params)
        np.testing.assert_array_equal(genotypes, asked[i])
        if i == 0:
            np.testing.assert_array_equal(genotypes, initial)
        else:
            assert not parents & rows_set(genotypes)
        state, _ = tell(tell_key, genotypes, evaluate(genotypes), state, params)
    assert_trees_equal(state, scanned)
    assert_trees_equal(run(key), run(key))


def test_seeds_side_by_side_are_the_seeds_one_by_one():
    algorithm = NSGA2(9, MIXED, num_objectives=2)
    run = evolve(algorithm, linear, generations=12, jit=lambda f: f)
    batched, run = quick(jax.vmap(run)), quick(run)
    keys = jax.random.split(jax.random.key(4), 2)
    batched = batched(keys)
    for i in range(2):
        one = jax.tree.map(lambda leaf, i=i: leaf[i], batched)
        assert_trees_equal(one, run(keys[i]))
    assert not np.array_equal(batched[0].genotypes[0], batched[0].genotypes[1])


class Troubles(NamedTuple):
    """What is wrong with `linear`; arrays, so that one compilation serves all tests."""

    scale: jax.Array = jnp.ones(2)
    broken_from: jax.Array = jnp.array(99)  # first gene from where evaluation fails
    least_sum: jax.Array = jnp.array(0)  # constraint on the sum of the genes


@pytest.fixture(scope="module")
def troubled():
    algorithm = NSGA2(19, MIXED, num_objectives=2)

    def run(key, troubles: Troubles):
        def evaluate(rows):
            objectives = linear(rows).objectives * troubles.scale[None, :]
            broken = rows[:, :1] >= troubles.broken_from
            excess = troubles.least_sum - jnp.sum(rows, axis=1)
            return Evaluation(
                jnp.where(broken, jnp.nan, objectives),
                jnp.maximum(excess, 0).astype(jnp.float32),
            )

        return evolve(algorithm, evaluate, generations=30, jit=lambda f: f)(key)

    return quick(run)


def test_rescaling_an_objective_changes_no_step(troubled):
    plain = troubled(KEY, Troubles())[1][0]
    scaled = troubled(KEY, Troubles(scale=jnp.array([3.0, 1024.0])))[1][0]
    np.testing.assert_array_equal(plain, scaled)
    # Not because nothing ever changes:
    turned = troubled(KEY, Troubles(scale=jnp.array([-1.0, 1.0])))[1][0]
    assert not np.array_equal(plain, turned)


def test_failures_rank_last_and_are_counted(troubled):
    troubles = Troubles(broken_from=jnp.array(3))
    state, (asked, metrics) = troubled(KEY, troubles)
    broken = np.asarray(asked)[:, :, 0] >= 3
    np.testing.assert_array_equal(metrics["failed"], broken.sum(axis=1))
    assert broken.sum() > 0
    assert np.all(np.asarray(state.genotypes)[:, 0] < 3)
    assert np.all(np.isfinite(state.objectives))


def test_when_all_fail_nothing_is_in_the_front_and_nothing_is_nan(troubled):
    troubles = Troubles(broken_from=jnp.array(0))
    state, (_, metrics) = troubled(KEY, troubles)
    for name, count in (("failed", 19), ("feasible", 0), ("front", 0)):
        np.testing.assert_array_equal(metrics[name], count)
    assert len(rows_set(state.genotypes)) == 19
    assert not any(np.isnan(leaf).any() for leaf in jax.tree.leaves(state))


def test_constraints_drive_the_search_into_the_feasible_part(troubled):
    # Of all genotypes 1 in 3,000 has a sum of 28 or more.
    troubles = Troubles(least_sum=jnp.array(28))
    state, (_, metrics) = troubled(KEY, troubles)
    assert metrics["feasible"][0] == 0
    assert metrics["front"][0] == 0
    assert metrics["feasible"][-1] == 19
    assert np.all(np.asarray(state.genotypes).sum(axis=1) >= 28)


@pytest.mark.parametrize("name", ["nsga2", "random_search"])
def test_the_front_is_the_best_of_all_that_was_seen(name, request):
    # The whole front of this problem fits into the population: nothing may get lost.
    algorithm, run = request.getfixturevalue(name)
    state, (asked, metrics) = run(jax.random.key(5))
    seen = jax.jit(linear)(asked.reshape(-1, 8)).objectives
    expected = nondominated_set(seen)
    assert front_set(algorithm, state) == expected
    # Different genotypes may have equal objectives.
    mask = quick(algorithm.front)(state)[2]
    assert len(expected) <= metrics["front"][-1] == mask.sum()


def test_a_small_space_is_covered_without_a_copy():
    algorithm = NSGA2(8, Grid([4, 4], [True, False]), num_objectives=1)
    run = evolve(algorithm, lambda rows: feasible(jnp.zeros((8, 1))), generations=2)
    _, (asked, metrics) = run(KEY)
    assert len(rows_set(asked.reshape(16, 2))) == 16
    np.testing.assert_array_equal(metrics["duplicates"], 0)


def test_copies_are_left_only_where_the_space_is_too_small():
    algorithm = NSGA2(5, Grid([3, 1]), num_objectives=2)
    run = evolve(algorithm, lambda rows: feasible(jnp.ones((5, 2))), generations=3)
    state, (_, metrics) = run(KEY)
    assert rows_set(state.genotypes) == {(0, 0), (1, 0), (2, 0)}
    np.testing.assert_array_equal(metrics["duplicates"], 2)
    # The front is a set: the copies are not in it.
    np.testing.assert_array_equal(metrics["front"], 3)
    assert int(quick(algorithm.front)(state)[2].sum()) == 3


def test_a_search_that_converges_still_asks_for_new_genotypes():
    # 4,096 genotypes and one optimum: mutation alone would return the same few again.
    algorithm = NSGA2(32, Grid(np.full(12, 2)), num_objectives=1)

    def onemax(rows):
        return feasible(jnp.sum(rows, axis=1, keepdims=True).astype(jnp.float32))

    state, (asked, metrics) = evolve(algorithm, onemax, 30)(KEY)
    for rows in np.asarray(asked):
        assert len(rows_set(rows)) == 32
    np.testing.assert_array_equal(metrics["duplicates"], 0)
    assert float(state.objectives.min()) == 0


def test_initial_genotypes_come_first_and_once():
    given = np.array([[0] * 8, [1] * 8, [0] * 8])
    algorithm = NSGA2(7, MIXED, num_objectives=2, initial=given)
    genotypes = quick(algorithm.init)(KEY, algorithm.default_params).genotypes
    np.testing.assert_array_equal(genotypes[:2], given[:2])
    assert len(rows_set(genotypes)) == 7


def test_repair_is_applied_to_everything_that_is_asked():
    def even(rows):
        return rows - rows % 2

    given = np.ones((2, 8), np.int32)
    algorithm = NSGA2(7, MIXED, num_objectives=2, initial=given, repair=even)
    _, (asked, _) = evolve(algorithm, linear, 4)(KEY)
    assert np.all(np.asarray(asked) % 2 == 0)
    assert all(len(rows_set(rows)) == 7 for rows in np.asarray(asked))
    # Repaired, this space has only 4 genotypes: all of them are asked for.
    small = NSGA2(4, Grid([4, 4]), num_objectives=2, repair=even)
    state = quick(small.init)(KEY, small.default_params)
    assert rows_set(state.genotypes) == {(0, 0), (0, 2), (2, 0), (2, 2)}


def test_the_program_does_not_grow_with_the_population():
    # A builtin sum or len over a traced array would unroll.
    def equations(size) -> int:
        algorithm = NSGA2(size, MIXED, num_objectives=3)
        params = algorithm.default_params
        state = jax.eval_shape(algorithm.init, KEY, params)
        told = feasible(jnp.zeros((size, 3)))
        ask = jax.make_jaxpr(algorithm.ask)(KEY, state, params)
        tell = jax.make_jaxpr(algorithm.tell)(KEY, state.genotypes, told, state, params)
        return f"{ask} {tell}".count(" = ")

    assert equations(10) == equations(110) > 100


def test_rates_change_without_a_new_compilation():
    algorithm = NSGA2(6, MIXED, num_objectives=2)
    traces = []

    @quick
    def ask(key, state, params):
        traces.append(1)
        return algorithm.ask(key, state, params)[0]

    params = algorithm.default_params
    state = quick(algorithm.init)(KEY, params).replace(generation=jnp.int32(1))
    still = params.replace(mutation_rate=jnp.float32(0), crossover_rate=jnp.float32(0))
    assert not np.array_equal(ask(KEY, state, params), ask(KEY, state, still))
    assert len(traces) == 1


def test_any_grid_like_object_will_do():
    class Space:
        cardinality = jnp.array([3, 4], jnp.int32)
        ordered = jnp.array([True, False])

    algorithm = NSGA2(4, Space(), num_objectives=2)
    assert algorithm.grid.cardinality.tolist() == [3, 4]
    assert algorithm.grid.ordered.tolist() == [True, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"population_size": 1}, "population_size is 1; it must be 2"),
        ({"num_objectives": 0}, "num_objectives is 0"),
        ({"initial": np.zeros((9, 8), int)}, "at most population_size=4"),
        ({"initial": np.zeros((2, 3), int)}, r"must be \[k, 8\]"),
        ({"initial": np.zeros((2, 8), bool)}, "initial has dtype bool"),
        (
            {"initial": np.full((1, 8), 3)},
            r"initial\[0, 6\] is 3; gene 6 allows 0 to 2",
        ),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    usual = {"population_size": 4, "grid": MIXED, "num_objectives": 2}
    with pytest.raises(ValueError, match=message):
        NSGA2(**(usual | arguments))


def test_wrong_evaluations_and_repairs_are_refused():
    algorithm = NSGA2(4, MIXED, num_objectives=2)
    params = algorithm.default_params
    state = jax.eval_shape(algorithm.init, KEY, params)
    told = feasible(jnp.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"objectives has shape \(4, 3\)"):
        jax.eval_shape(algorithm.tell, KEY, state.genotypes, told, state, params)
    wrong = NSGA2(4, MIXED, num_objectives=2, repair=lambda rows: rows[:, :3])
    with pytest.raises(ValueError, match="repair made"):
        jax.eval_shape(wrong.init, KEY, params)
