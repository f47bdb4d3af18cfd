"""The loop, the evaluator and the baselines on a network small enough to enumerate."""

from collections.abc import Sequence
from itertools import pairwise, product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from network.zoo import ZOO

import jaxcompress as jc
from jaxcompress import data, objectives
from jaxcompress.compress import masked
from jaxcompress.config import Config
from jaxcompress.search import (
    Archive,
    Measure,
    descent,
    greedy,
    grid_steps,
    ladder,
    levels_within,
    non_dominated,
    probes,
    quick_descent,
    random_search,
    representatives,
    tried_alone,
    uniform_grid,
    way_down,
)
from jaxcompress.starting_point import start_of

NETWORK = jc.trace(*ZOO["mlp"](jax.random.key(0))[:3])
SPACE = jc.Space(
    NETWORK, (jc.genes.ChannelCount(multiple_of=3), jc.genes.WeightBits((2, 8)))
)
INPUTS = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
TARGETS = np.asarray(NETWORK.apply(NETWORK.params, INPUTS)).argmax(1).astype(np.int32)
OBJECTIVES = (objectives.Error(), objectives.Size("dense"), objectives.Macs())
EVALUATE = jc.Evaluator(NETWORK, SPACE, OBJECTIVES, inputs=INPUTS, targets=TARGETS, chunk=8)
MEASURE = Measure((0, 1), (0.9, float(np.log2(4_000))), logged=(1,))


def everything() -> np.ndarray:
    return np.asarray(list(product(*(range(n) for n in SPACE.cardinality))), np.int32)


def run(seed: int, generations: int = 12) -> jc.Result:
    algorithm = jc.NSGA2(16, SPACE, 3)
    key = jax.random.key(seed)
    return jc.search(key, algorithm, EVALUATE, generations=generations, measure=MEASURE)


def test_evaluator_equals_one_by_one() -> None:
    genotypes = SPACE.sample(jax.random.key(3), 11)
    found = EVALUATE(genotypes)
    for genotype, row in zip(genotypes, np.asarray(found.objectives), strict=True):
        plan = SPACE.decode(genotype)
        outputs = masked(NETWORK, plan, INPUTS, jc.compress(NETWORK, plan))
        wrong = (np.asarray(outputs).argmax(1) != TARGETS).sum()
        assert row[0] * len(TARGETS) == pytest.approx(wrong, abs=1e-4)
        assert row[1] == float(objectives.Size("dense")(NETWORK, plan))
        assert row[2] == jc.compact(NETWORK, plan).macs
    assert (np.asarray(found.violation) == 0).all()


def test_one_program_for_every_population_size() -> None:
    for count in (1, 5, 16, 23):
        assert (
            EVALUATE(SPACE.sample(jax.random.key(count), count)).objectives.shape[0]
            == count
        )
    assert EVALUATE.compilations == 1


def compilations(evaluators: Sequence[jc.Evaluator | jc.Racing], **how: Any) -> list[int]:
    """Returns how many programs JAX had compiled after each of 8 generations.

    One search with each evaluator after the other, counted by JAX itself.
    """
    counts: list[int] = []
    compiled = [0]

    def heard(event: str, *_: object, **__: object) -> None:
        compiled[0] += event == "/jax/core/compile/backend_compile_duration"

    jax.monitoring.register_event_duration_secs_listener(heard)
    algorithm = jc.NSGA2(14, evaluators[0].space, 3)
    try:
        for seed, evaluate in enumerate(evaluators, 5):
            jc.search(
                jax.random.key(seed),
                algorithm,
                evaluate,
                generations=8,
                measure=MEASURE,
                on_generation=lambda _: counts.append(compiled[0]),
                **how,
            )
    finally:
        jax.monitoring.unregister_event_duration_listener(heard)
    return counts


def test_no_generation_after_the_first_compiles_anything() -> None:
    """Whatever the number of unknown genotypes is; nor does another search."""
    counts = compilations([EVALUATE, EVALUATE])
    assert counts[0] > 0
    assert counts[1:] == [counts[0]] * 15


def test_racing_and_screening_compile_in_the_first_generation_alone() -> None:
    """Races need an object each, and whatever they stop, call parts of one program."""
    bits = jc.genes.WeightBits((2, 3, 4, 5, 6, 7, 8))
    space = jc.Space(NETWORK, (jc.genes.ChannelCount(), bits))
    evaluate = jc.Evaluator(
        NETWORK, space, OBJECTIVES, inputs=INPUTS, targets=TARGETS, chunk=8, splits=10
    )
    races = [jc.Racing(evaluate, 0.6), jc.Racing(evaluate, 0.6)]
    counts = compilations(races, screening=4, alone=tried_alone(evaluate, 10))
    assert all(race.saved > 0 for race in races)
    assert counts == [counts[0]] * 16 and evaluate.compilations == 1


def test_devices_give_the_same_bits() -> None:
    genotypes = SPACE.sample(jax.random.key(1), 13)
    mesh = jax.make_mesh((4,), ("population",))
    sharded = jc.Evaluator(
        NETWORK, SPACE, OBJECTIVES, inputs=INPUTS, targets=TARGETS, chunk=8, mesh=mesh
    )
    assert (sharded(genotypes).objectives == EVALUATE(genotypes).objectives).all()


def test_search_finds_the_exact_front_and_repeats_itself() -> None:
    rows = everything()
    values = np.asarray(EVALUATE(rows).objectives)
    front = {tuple(v) for v in values[non_dominated(values)]}
    found = run(0, generations=30)
    assert {tuple(v) for v in found.objectives} == front
    again = run(0, generations=30)
    assert (found.genotypes == again.genotypes).all()
    assert (found.objectives == again.objectives).all()


def test_history_counts_and_never_shrinks() -> None:
    found = run(1)
    volumes = [g.hypervolume for g in found.history]
    assert volumes == sorted(volumes) and volumes[-1] == found.hypervolume > 0
    assert found.history[-1].evaluations == len(found.archive) <= len(everything())
    assert len(np.unique(found.archive.genotypes, axis=0)) == len(found.archive)
    assert [g.generation for g in found.history] == list(range(1, 13))


def test_genotypes_of_one_network_are_evaluated_once() -> None:
    """A space with blocks: what lies in a removed one makes no difference."""
    weights = np.random.default_rng(0).normal(size=(4, 5, 5)).astype(np.float32)
    params = dict(zip("abcd", jnp.asarray(weights), strict=True))

    def apply(p: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        x = x @ p["a"]
        return (x + jnp.tanh(x @ p["b"]) @ p["c"]) @ p["d"]

    network = jc.trace(apply, params, INPUTS[:2])
    kinds = (jc.genes.KeepBlock(), jc.genes.WeightBits((2, 4, 8)))
    space = jc.Space(network, kinds)
    evaluate = jc.Evaluator(network, space, OBJECTIVES, inputs=INPUTS, targets=TARGETS)
    algorithm = jc.NSGA2(16, space, 3)
    found = jc.search(jax.random.key(0), algorithm, evaluate, generations=12).archive
    # Bits of four weights, or of the two that are left without the block.
    assert 3**2 <= len(found) <= 3**4 + 3**2
    rows = [np.asarray(space.canonical(jnp.asarray(row))) for row in found.genotypes]
    np.testing.assert_array_equal(np.stack(rows), found.genotypes)
    other = found.genotypes.copy()
    other[other[:, 0] == 0, 2:4] = 0  # bits of b and c, where these are gone
    assert (other != found.genotypes).any() and not len(found.unknown(other))
    np.testing.assert_array_equal(found.lookup(other)[0], found.objectives)


def test_best_keeps_limits() -> None:
    found = run(2)
    limit = float(np.median(found.objectives[:, 1]))
    row = found.archive.lookup(found.best(size=limit)[None])[0][0]
    assert row[1] <= limit
    fitting = found.objectives[found.objectives[:, 1] <= limit]
    assert row[0] == fitting[:, 0].min()
    with pytest.raises(ValueError, match="nothing keeps"):
        found.best(size=1.0)
    with pytest.raises(ValueError, match="no objective 'speed'"):
        found.best(speed=1.0)


def test_bounds_on_the_error_are_kept_though_it_is_no_objective() -> None:
    rows = everything()
    outputs = jax.jit(
        lambda rows: jax.lax.map(
            lambda row: jc.forward(NETWORK, SPACE.decode(row), INPUTS), rows
        )
    )(rows)
    wrong = (np.asarray(outputs).argmax(-1) != TARGETS).sum(1)
    most = int(np.median(wrong))
    costs = OBJECTIVES[1:]
    bound = objectives.Error() <= most / len(TARGETS)
    bounded = jc.Evaluator(
        NETWORK, SPACE, costs, constraints=[bound], inputs=INPUTS, targets=TARGETS
    )
    told = np.asarray(bounded(rows).violation)
    np.testing.assert_allclose(told, np.maximum(wrong / most - 1, 0), atol=1e-6)
    assert ((told == 0) == (wrong <= most)).all() and (told > 0).any()
    with pytest.raises(ValueError, match="needs inputs and targets"):
        jc.Evaluator(NETWORK, SPACE, costs, constraints=[bound])


def test_constraints_and_failures_stay_off_the_front() -> None:
    limit = NETWORK.macs / 2
    broken = jax.tree.map(jnp.asarray, NETWORK.params)
    bounded = jc.Evaluator(
        NETWORK,
        SPACE,
        OBJECTIVES,
        constraints=(objectives.Macs() <= limit,),
        inputs=INPUTS,
        targets=TARGETS,
    )
    found = jc.search(jax.random.key(0), jc.NSGA2(16, SPACE, 3), bounded, generations=5)
    assert (found.objectives[:, 2] <= limit).all()
    failing = jc.Evaluator(
        NETWORK,
        SPACE,
        OBJECTIVES,
        inputs=INPUTS,
        targets=TARGETS,
        params={**broken, "c": broken["c"] * jnp.nan},
    )
    with pytest.raises(ValueError, match="finite objectives"):
        jc.search(jax.random.key(0), jc.NSGA2(16, SPACE, 3), failing, generations=2)


def test_an_evaluator_says_how_far_it_is() -> None:
    said: list[tuple[int, int]] = []
    rows = np.asarray(SPACE.sample(jax.random.key(7), 40))
    wanted = EVALUATE(rows).objectives
    found = EVALUATE.telling(lambda *told: said.append(told))(rows).objectives
    assert said == [(8, 40), (16, 40), (24, 40), (32, 40), (40, 40)]
    np.testing.assert_array_equal(found, wanted)
    EVALUATE(rows)
    assert len(said) == 5 and EVALUATE.compilations == 1


def test_baselines_evaluate_what_they_say() -> None:
    seeds = ladder(SPACE, (3, 2))
    assert any((row == SPACE.dense).all() for row in seeds)
    assert any((row == 0).all() for row in seeds)
    grid = uniform_grid(EVALUATE, (3, 2), MEASURE)
    assert {tuple(g) for g in grid.archive.genotypes} == {tuple(g) for g in seeds}
    chance = random_search(jax.random.key(0), EVALUATE, 20, seeds, MEASURE)
    assert len(chance.archive) == 20
    assert (chance.archive.genotypes[: len(seeds)] == seeds).all()
    lowered = greedy(EVALUATE, MEASURE, levels=3)
    assert any((row == 0).all() for row in lowered.archive.genotypes)  # walks to the end
    best = run(0, generations=30).hypervolume
    assert max(grid.hypervolume, chance.hypervolume, lowered.hypervolume) <= best


def test_a_descent_keeps_the_best_of_both_ways() -> None:
    ways = [
        greedy(EVALUATE, MEASURE, levels=3),
        uniform_grid(EVALUATE, grid_steps(SPACE, 16), MEASURE),
    ]
    both = np.concatenate([way.objectives for way in ways])
    rows, archive = descent(EVALUATE, MEASURE, 16, levels=3)
    every = np.concatenate([way.archive.genotypes for way in ways])
    np.testing.assert_array_equal(
        np.unique(archive.genotypes, axis=0), np.unique(every, axis=0)
    )
    assert len(rows) < 16  # so that nothing was left out
    volume = MEASURE(np.asarray(EVALUATE(rows).objectives))
    assert volume == pytest.approx(MEASURE(both))
    assert volume >= max(way.hypervolume for way in ways) > 0
    few, _ = descent(EVALUATE, MEASURE, 2, levels=3)
    assert len(few) == 2


def test_a_descent_takes_no_more_than_it_may() -> None:
    space = jc.Space(NETWORK, (jc.genes.WeightBits((1, 2, 3, 4, 5, 6, 7, 8)),))
    evaluate = jc.Evaluator(NETWORK, space, OBJECTIVES, inputs=INPUTS, targets=TARGETS)
    layers, grid = len(space), 5
    for levels in (3, 4, 5, 6):
        # The dense one, then each layer alone at all heights but the highest.
        most = 2 * (1 + layers * (levels - 1)) + grid
        assert levels_within(space, grid, most) == levels
        assert levels_within(space, grid, most - 1) == max(levels - 1, 3)
        assert len(descent(evaluate, MEASURE, grid, levels)[1]) <= most
    assert levels_within(space, grid, 10_000) == 6


def begun(before: int = 0, **search: Any) -> tuple[dict[str, Any], jc.Evaluator]:
    """Returns where a search of bits begins, on 50 examples and 10 of calibration."""
    config = Config.model_validate({"search": {"population": 5, **search}})
    space = jc.Space(NETWORK, (jc.genes.WeightBits((1, 2, 3, 4, 5, 6, 7, 8)),))
    some: dict[str, Any] = {"calibration": INPUTS[:10], "splits": 5}
    own = jc.Evaluator(NETWORK, space, OBJECTIVES, inputs=INPUTS, targets=TARGETS, **some)
    others = data.load("digits"), NETWORK.params, None, jax.random.key(0)
    return start_of(config, own, MEASURE, *others, before), own


def test_what_was_spent_before_a_descent_counts() -> None:
    def spent(before: int, **search: Any) -> int:
        found, _ = begun(before, initial="descent", **search)
        known = found["known"]["genotypes"] if "known" in found else ()
        return int(found["evaluations"]) + len(known)

    # 5 heights each, on 20 of 50 examples, and 10 of calibration besides.
    tries = 1 + len(NETWORK.layers) * 4
    few = spent(0, generations=100, descent_examples=11)
    assert few == -(-tries * (20 + 10) // (50 + 10))
    whole = spent(0, generations=100)
    assert spent(0, generations=100, evaluations=100) == whole > spent(0, generations=2)
    assert spent(70, generations=100, evaluations=100) == spent(0, generations=2)


def test_a_screening_is_told_what_genes_harm_alone_and_pays_for_it() -> None:
    # All 50 examples and 10 of calibration, a whole evaluation, are fewer than 64.
    layers = len(NETWORK.layers)
    for population, heights in ((1 + 4 * layers, 5), (4 * layers, 4), (1 + 2 * layers, 3)):
        found, own = begun(population=population, screening=2)
        assert found["evaluations"] == 1 + (heights - 1) * layers
        assert own.forwards == found["evaluations"] * 60
        alone = tried_alone(own, 50, heights)
        for name, part in alone._asdict().items():
            np.testing.assert_array_equal(found["alone"][name], part)
    for how in (
        {"population": 2 * layers, "screening": 2},  # longer than a generation
        {"population": 99, "screening": 2, "screening_examples": 0},
        {"population": 99, "screening": 1},
    ):
        found, own = begun(**how)
        assert "alone" not in found and found["evaluations"] == own.forwards == 0


def test_a_trial_leaves_two_generations() -> None:
    """Of which the second is screened; fewer would not be guided by it."""
    size = 1 + 4 * len(NETWORK.layers)
    for evaluations, tried in ((3 * size, True), (2 * size, False), (size, False)):
        own = {"population": size, "screening": 2, "evaluations": 7 + evaluations}
        found, _ = begun(before=7, **own)
        assert ("alone" in found) == tried == (found["evaluations"] > 0)
    assert "alone" not in begun(population=size, screening=2, generations=1)[0]


def test_a_descent_by_some_examples_tells_what_genes_harm_alone() -> None:
    how: dict[str, Any] = {"initial": "descent", "screening": 2}
    few, own = begun(descent_examples=11, **how)
    np.testing.assert_array_equal(few["alone"]["errors"], tried_alone(own, 11).errors)
    # One by all examples is what the screening learns from.
    assert "alone" not in begun(generations=100, **how)[0]
    assert "alone" not in begun(descent_examples=11, screening_examples=0, **how)[0]


def test_the_way_down_takes_what_costs_least_for_what_it_saves() -> None:
    rows = probes(SPACE, 3)
    errors = np.random.default_rng(1).random(len(rows))
    errors[1::4] = errors[0] - 0.1  # no move is better than one that costs nothing
    path, costs = way_down(EVALUATE, rows, errors)
    assert (path[0] == SPACE.dense).all() and (path[-1] == 0).all()
    assert len(np.unique(path, axis=0)) == len(path)
    told = {tuple(row): error - errors[0] for row, error in zip(rows, errors, strict=True)}

    def alone(gene: int, choice: int) -> float:
        row = rows[0].copy()
        row[gene] = choice
        return told[tuple(row)]

    def size(row: np.ndarray) -> float:
        return float(objectives.Size("dense")(NETWORK, SPACE.decode(row)))

    assert costs.tolist() == [size(row) for row in path]
    for before, after in pairwise(path):
        rates = {}
        for gene, tried in enumerate(rows.T):
            below = [choice for choice in tried if choice < before[gene]]
            if below:
                row = before.copy()
                row[gene] = max(below)
                lost = max(0.0, alone(gene, row[gene]) - alone(gene, before[gene]))
                rates[tuple(row)] = lost / (size(before) - size(row))
        assert rates[tuple(after)] <= min(rates.values()) + 1e-9
    with pytest.raises(ValueError, match="cost is 'error'; allowed: size, macs"):
        way_down(EVALUATE, rows, errors, "error")
    with pytest.raises(ValueError, match="the dense network's error is nan"):
        way_down(EVALUATE, rows, np.where(np.arange(len(rows)), errors, np.nan))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_comes_last_on_the_way_down(bad: float) -> None:
    rows = probes(SPACE, 2)
    errors = np.linspace(0.0, 0.001, len(rows))
    errors[1] = bad
    gene = int(np.argmax(rows[1] != rows[0]))
    path, _ = way_down(EVALUATE, rows, errors)
    # A thousand times what others add, and no share of the size is that large.
    assert (path[:-1, gene] == rows[0, gene]).all() and path[-1, gene] == 0


def test_the_last_of_the_way_down_is_taken_though_others_cost_the_same() -> None:
    """Bits save no MACs: of the genotypes with the fewest the last has fewest bits too."""
    evaluate = jc.Evaluator(
        NETWORK, SPACE, (OBJECTIVES[0], OBJECTIVES[2]), inputs=INPUTS, targets=TARGETS
    )
    rows = quick_descent(evaluate, tried_alone(evaluate, 50, levels=2), 4)
    assert (rows[0] == SPACE.dense).all() and (rows[-1] == 0).all()


def test_few_examples_tell_a_way_down() -> None:
    given: dict[str, Any] = {"inputs": INPUTS, "targets": TARGETS, "splits": 10}
    evaluate = jc.Evaluator(NETWORK, SPACE, OBJECTIVES, **given)
    alone = tried_alone(evaluate, 12, levels=3)
    rows = quick_descent(evaluate, alone, 6)
    tried = probes(SPACE, 3)
    assert evaluate.forwards == len(tried) * 15  # whole batches, of 5
    some = {"inputs": INPUTS[:15], "targets": TARGETS[:15]}
    own = jc.Evaluator(NETWORK, SPACE, OBJECTIVES, **some)
    errors = np.asarray(own(tried).objectives)[:, 0]
    np.testing.assert_array_equal(alone.genotypes, tried)
    np.testing.assert_allclose(alone.errors, errors, rtol=1e-6)
    assert alone.examples == 15
    path, costs = way_down(own, tried, errors)
    places = [np.flatnonzero((path == row).all(1)).item() for row in rows]
    assert places == sorted(places) and len(set(places)) == len(rows) == 6
    assert places[0] == 0 and places[-1] == len(path) - 1
    sizes = np.log(costs)
    wanted = np.linspace(sizes[0], sizes[-1], 6)
    widest = np.abs(np.diff(sizes)).max() / 2
    assert np.abs(sizes[places] - wanted).max() <= widest + 1e-6
    with pytest.raises(ValueError, match="count is 1; allowed: 2 or more"):
        quick_descent(evaluate, alone, 1)
    for examples in (0, 51):
        with pytest.raises(ValueError, match=rf"examples is {examples}; allowed: 1\.\.50"):
            tried_alone(evaluate, examples)
    wrong = (objectives.Error("cross_entropy"), *OBJECTIVES[1:])
    for other in (wrong, OBJECTIVES[1:]):
        unknown = jc.Evaluator(NETWORK, SPACE, other, **given)
        with pytest.raises(ValueError, match=r"right or wrong, by Error\('top1'\)"):
            tried_alone(unknown, 12)
    for other in (OBJECTIVES[1:], OBJECTIVES[:1]):
        unknown = jc.Evaluator(NETWORK, SPACE, other, **given)
        with pytest.raises(ValueError, match="needs a quality first, then a cost"):
            quick_descent(unknown, alone, 6)


def test_outputs_that_are_not_finite_come_last_on_a_quick_descent() -> None:
    """One layer of two makes NaN of every output at 2 bits."""

    def apply(params: Any, x: Any) -> Any:
        hidden = x @ params["a"]
        lowest = jnp.abs(params["b"]).min()  # 0 once values are rounded to 2 bits
        return (hidden @ params["b"]) / jnp.where(lowest > 0, 1.0, 0.0)

    rng = np.random.default_rng(0)
    params = {
        "a": jnp.asarray(rng.normal(size=(4, 4)), jnp.float32),
        "b": jnp.asarray(rng.uniform(0.1, 1.0, size=(4, 4)), jnp.float32),
    }
    x = rng.normal(size=(20, 4)).astype(np.float32)
    network = jc.trace(apply, params, jnp.zeros((2, 4)))
    space = jc.Space(network, (jc.genes.WeightBits((2, 8)),))
    y = np.asarray(apply(params, x)).argmax(1).astype(np.int32)
    evaluate = jc.Evaluator(network, space, OBJECTIVES[:2], inputs=x, targets=y)
    tried = np.asarray([[1, 0], [0, 1]], np.int32)
    finite = np.isfinite(np.asarray(evaluate(tried).objectives)[:, 0])
    assert sorted(finite) == [False, True]
    rows = quick_descent(evaluate, tried_alone(evaluate, 20), 3)
    assert (rows[1] == tried[finite][0]).all()


def test_representatives_hold_the_most_volume() -> None:
    rng = np.random.default_rng(0)
    points = rng.random((7, 2)).astype(np.float32)
    measure = Measure((0, 1), (1.0, 1.0))
    names = np.arange(7, dtype=np.int32)[:, None]
    one = representatives(names, points, 1, measure)
    assert one[0, 0] == np.argmax((1 - points[:, 0]) * (1 - points[:, 1]))
    every = representatives(names, points, 7, measure)
    assert {int(r) for r in every[:, 0]} == set(np.flatnonzero(non_dominated(points)))


def test_archive_knows_what_it_knows() -> None:
    archive = Archive(2, 1)
    rows = np.asarray([[0, 1], [0, 1], [1, 1]], np.int32)
    assert len(archive.unknown(rows)) == 2
    archive.add(rows[1:], np.asarray([[1.0], [2.0]], np.float32), np.zeros(2, np.float32))
    assert len(archive.unknown(rows)) == 0
    assert archive.lookup(rows)[0][:, 0].tolist() == [1.0, 1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        archive.objectives[0] = 0.0


@pytest.mark.parametrize("twice", [[[1, 1]], [[0, 0], [0, 0]]])
def test_archive_refuses_what_it_knows(twice: list[list[int]]) -> None:
    archive = Archive(2, 1)
    one = np.ones((1, 1), np.float32)
    archive.add(np.ones((1, 2), np.int32), one, one[0])
    rows = np.asarray(twice, np.int32)
    with pytest.raises(ValueError, match="known, or comes twice"):
        archive.add(rows, np.repeat(one, len(rows), 0), np.ones(len(rows), np.float32))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_archive_front_is_that_of_everything_added(data) -> None:
    """Growing batch by batch, against one look at all of it."""
    elements = st.sampled_from([0.0, 1.0, 2.0, 3.0, np.inf, np.nan])
    values = data.draw(arrays(np.float32, (30, 2), elements=elements))
    violation = data.draw(arrays(np.float32, 30, elements=st.sampled_from([0.0, 0.0, 1])))
    sizes = data.draw(st.lists(st.integers(0, 9), max_size=9))
    names = np.arange(30, dtype=np.int32)[:, None]
    archive = Archive(1, 2)
    for start, stop in pairwise(np.minimum(np.cumsum([0, *sizes, 30]), 30)):
        part = slice(start, stop)
        archive.add(names[part], values[part], violation[part])
    assert (archive.genotypes == names).all()
    np.testing.assert_array_equal(archive.objectives, values)
    usable = np.flatnonzero(np.isfinite(values).all(1) & (violation == 0))
    expected = [
        i
        for i in usable
        if not any(
            (values[j] <= values[i]).all() and ((values[j] < values[i]).any() or j < i)
            for j in usable
            if j != i
        )
    ]
    assert archive.front().tolist() == expected


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: jc.Evaluator(NETWORK, SPACE, ()), "objectives is empty"),
        (lambda: jc.Evaluator(NETWORK, SPACE, OBJECTIVES), "needs inputs and targets"),
        (
            lambda: jc.Evaluator(
                NETWORK, SPACE, OBJECTIVES, inputs=INPUTS, targets=TARGETS[:3]
            ),
            "must be equal",
        ),
        (
            lambda: jc.Evaluator(
                NETWORK, SPACE, OBJECTIVES, inputs=INPUTS, targets=TARGETS + 5
            ),
            "allowed are 0..2",
        ),
        (lambda: EVALUATE(np.zeros((2, 1), np.int32)), "genotypes have shape"),
        (lambda: run(0, generations=0), "generations is 0"),
    ],
)
def test_bad_use_is_refused(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_evolving_in_one_program_finds_what_the_search_finds() -> None:
    algorithm, key = jc.NSGA2(8, SPACE, 3), jax.random.key(7)
    found = jc.search(key, algorithm, EVALUATE, generations=4, measure=MEASURE)
    evolved = jax.jit(lambda key: jc.evolve(key, algorithm, EVALUATE.pure, 4))(key)
    rows = np.concatenate(np.asarray(evolved.genotypes))
    values = np.concatenate(np.asarray(evolved.evaluation.objectives))
    assert not evolved.evaluation.violation.any()
    assert len(found.archive.unknown(rows)) == 0
    np.testing.assert_array_equal(found.archive.lookup(rows)[0], values)
    assert len(np.unique(rows, axis=0)) == len(found.archive)
    front = values[non_dominated(values)]
    assert {tuple(v) for v in front} == {tuple(v) for v in found.objectives}


def test_the_pure_evaluator_is_sharded_too() -> None:
    mesh = jax.make_mesh((4,), ("population",))
    bounds = (objectives.Macs() <= NETWORK.macs / 2,)
    costs = jc.Evaluator(NETWORK, SPACE, OBJECTIVES[1:], constraints=bounds, mesh=mesh)
    genotypes = SPACE.sample(jax.random.key(1), 5)
    pure, plain = jax.jit(costs.pure)(genotypes), costs(genotypes)
    np.testing.assert_array_equal(pure.objectives, plain.objectives)
    np.testing.assert_array_equal(pure.violation, plain.violation)
    assert (np.asarray(pure.violation) > 0).any()
