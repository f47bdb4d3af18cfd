"""Screening: what is chosen promises most, and what is known is not run again."""

from importlib import import_module
from typing import Any

import jax
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import multivariate_normal
from search.test_search import EVALUATE, INPUTS, MEASURE, NETWORK, SPACE, TARGETS

import jaxcompress as jc
from jaxcompress import objectives
from jaxcompress.evolution import Decomposed, Grid
from jaxcompress.search import (
    Alone,
    Archive,
    Measure,
    archive_of,
    empty_archive,
    probes,
    tried_alone,
    way_down,
)
from jaxcompress.search.costs import CALL
from jaxcompress.search.screen import Screen, _agreement, _scaled
from jaxcompress.search.seeding import spread
from jaxcompress.search.surrogate import LENGTHS, NOISES, fitted, placed
from jaxcompress.space.importance import rank_correlation

# Enough choices that a search does not see them all.
WIDE = jc.Space(
    NETWORK, (jc.genes.ChannelCount(), jc.genes.WeightBits((2, 3, 4, 5, 6, 7, 8)))
)
OWN = jc.Evaluator(
    NETWORK,
    WIDE,
    (objectives.Error("cross_entropy"), objectives.Size("dense")),
    inputs=INPUTS,
    targets=TARGETS,
)


def searched(seed: int, screening: int, generations: int = 6, **how) -> jc.Result:
    algorithm = jc.NSGA2(8, WIDE, 2)
    key = jax.random.key(seed)
    return jc.search(
        key, algorithm, OWN, generations=generations, screening=screening, **how
    )


def told_once() -> tuple[jc.NSGA2, Any, Archive]:
    """Returns an algorithm after its first generation, its state, and what is known."""
    algorithm = jc.NSGA2(8, WIDE, 2)
    init, ask, tell = algorithm.compiled
    params = algorithm.default_params
    state = init(jax.random.key(0), params)
    rows, asked = ask(jax.random.key(1), state, params)
    told, archive = OWN(rows), empty_archive(OWN)
    archive.add(np.asarray(rows), np.asarray(told.objectives), np.asarray(told.violation))
    state, _ = tell(jax.random.key(2), rows, told, asked, params)
    return algorithm, state, archive


def test_a_surrogate_is_the_most_likely_normal_law() -> None:
    """Against densities of SciPy, over all lengths and noises."""
    rng = np.random.default_rng(0)
    points, others = rng.random((20, 3)), rng.random((5, 3))
    values = 3.0 * np.sin(4.0 * points[:, 0]) + points[:, 1] + 0.1 * rng.normal(size=20)
    scaled = (values - values.mean()) / values.std()
    found = []
    for length in LENGTHS:
        for noise in NOISES:
            law = np.exp(-cdist(points, points, "cityblock") / (length * np.sqrt(3)))
            law += noise**2 * np.eye(20)
            weights = np.linalg.solve(law, scaled)
            law = law * (scaled @ weights / 20)  # the amplitude that is most likely
            alike = np.exp(-cdist(others, points, "cityblock") / (length * np.sqrt(3)))
            told = values.mean() + values.std() * (alike @ weights)
            found.append((multivariate_normal(np.zeros(20), law).logpdf(scaled), told))
    best = max(found, key=lambda pair: pair[0])[1]
    np.testing.assert_allclose(fitted(points, values)(others), best, rtol=1e-9)


def test_what_is_left_out_is_told_by_all_others() -> None:
    """Of values that it fits, with the mean and the deviation of all: one after another."""
    rng = np.random.default_rng(1)
    points = rng.random((15, 2))
    values = 2.0 * points[:, 0] + 0.3 * rng.normal(size=15)
    whole = fitted(points, values)
    noises = []
    for noise in NOISES:  # that of the fit is not told
        found = []
        for i in range(15):
            rest = np.delete(np.arange(15), i)
            law = np.exp(-cdist(points[rest], points[rest], "cityblock") / whole.length)
            law += noise**2 * np.eye(14)
            alike = np.exp(-cdist(points[[i]], points[rest], "cityblock") / whole.length)
            apart = values[rest] - values.mean()
            found.append(values.mean() + (alike @ np.linalg.solve(law, apart))[0])
        noises.append(np.abs(np.asarray(found) - whole.left_out).max())
    assert min(noises) < 1e-9 < max(noises)


def screened(archive: Archive) -> tuple[np.ndarray, np.ndarray, Any]:
    """Returns what an algorithm asked for, what is chosen, and what is expected of it."""
    algorithm, state, _ = told_once()
    params, key = algorithm.default_params, jax.random.key(3)
    first = np.asarray(algorithm.compiled.ask(key, state, params)[0])
    chosen, expected = Screen(algorithm, OWN, 16)(key, first, state, params, archive)
    return first, chosen, expected


def test_what_cannot_be_told_from_the_genes_is_not_screened() -> None:
    """Noise for errors: what the algorithm asked for is run, by no promise."""
    archive = empty_archive(OWN)
    known = archive.unknown(np.asarray(WIDE.sample(jax.random.key(4), 60)))
    noise = np.random.default_rng(0).random((len(known), 2)).astype(np.float32)
    archive.add(known, noise, np.zeros(len(known), np.float32))
    first, chosen, expected = screened(archive)
    assert expected is None
    np.testing.assert_array_equal(chosen, first)


def test_few_good_ones_among_many_at_chance_are_enough() -> None:
    """The ranks of errors are mostly noise, but the genes tell which few are good."""
    archive = empty_archive(OWN)
    known = archive.unknown(np.asarray(WIDE.sample(jax.random.key(4), 60)))
    values = np.random.default_rng(0).random((len(known), 2))
    large = placed(known, WIDE).sum(1)
    good = large > np.quantile(large, 0.85)
    values[:, 0] = np.where(good, 0.1 * large.max() / large, 0.9 + 0.001 * values[:, 0])
    archive.add(known, values.astype(np.float32), np.zeros(len(known), np.float32))
    told = _scaled(archive.objectives[:, 0], OWN.examples)
    assert rank_correlation(fitted(placed(known, WIDE), told).left_out, told) < 0.5
    assert screened(archive)[2] is not None


def test_one_that_is_far_off_does_not_hide_the_order() -> None:
    first, second = np.arange(20.0), np.arange(20.0)
    first[0], second[-1] = -1e6, 1e6
    assert np.corrcoef(first, second)[0, 1] < 0.1
    np.testing.assert_allclose(_agreement(first, second), 1.0)
    assert _agreement(first, np.ones(20)) == 0.0


MANY, LABELS = np.tile(INPUTS, (4, 1)), np.tile(TARGETS, 4)
RIGHT = (objectives.Error(), objectives.Size("dense"), objectives.Macs())


def of_errors(space: jc.Space = WIDE, **how: Any) -> jc.Evaluator:
    """Returns an evaluator of top-1 errors, so that genes are tried alone."""
    given: dict[str, Any] = {"inputs": MANY, "targets": LABELS, "splits": 25} | how
    return jc.Evaluator(NETWORK, space, RIGHT, **given)


def test_what_genes_add_alone_adds_up() -> None:
    """By hand: between two that were tried lies what is between, and nothing helps."""
    rows = np.asarray([[4, 2], [0, 2], [2, 2], [4, 0], [4, 1]], np.int32)
    alone = Alone(rows, np.asarray([0.1, 0.5, 0.2, 0.05, np.nan]), 10)
    wanted = {
        (4, 2): 0.0,
        (3, 2): 0.05,
        (1, 2): 0.25,
        (0, 0): 0.4,  # what is better than the dense network adds nothing
        (2, 1): 0.1 + 1.4,  # what is not finite adds one more than any other
    }
    found = alone.together(np.asarray([*wanted], np.int32))
    np.testing.assert_allclose(found, np.log(0.15 + np.asarray([*wanted.values()])))


def test_screening_expects_what_genes_harm_alone_if_that_tells_more() -> None:
    """By hand: a Gaussian process of what is above the sum, or one without it."""
    evaluate = of_errors()
    archive = evaluated_by(evaluate, 40)
    good = tried_alone(evaluate, 200)
    bad = good._replace(errors=np.random.default_rng(0).random(len(good.errors)))
    pool = archive.unknown(np.asarray(WIDE.sample(jax.random.key(5), 30)))
    known, values = archive.genotypes, archive.objectives
    errors = np.log(values[:, 0].astype(np.float64) + 0.5 / 200)
    points, theirs = placed(known, WIDE), placed(pool, WIDE)
    plain = fitted(points, errors)(theirs)
    above = fitted(points, errors - good.together(known))(theirs) + good.together(pool)
    measured = np.asarray(evaluate(pool).objectives)[:, 0]
    assert rank_correlation(above, measured) > rank_correlation(plain, measured)
    for alone, wanted in ((None, plain), (bad, plain), (good, above)):
        screen = Screen(jc.NSGA2(6, WIDE, 3), evaluate, 4, alone)
        told = screen._expected(pool, known, values, values[archive.front()])
        assert told is not None
        np.testing.assert_allclose(told[0][0], wanted)


def evaluated_by(evaluate: jc.Evaluator, count: int) -> Archive:
    """Returns an archive of random genotypes."""
    archive = empty_archive(evaluate)
    rows = archive.unknown(np.asarray(WIDE.sample(jax.random.key(4), count)))
    told = evaluate(rows)
    archive.add(rows, np.asarray(told.objectives), np.asarray(told.violation))
    return archive


def test_the_ways_down_of_all_costs_are_drawn() -> None:
    """Where nothing is bred, what is chosen comes from them."""
    evaluate = of_errors()
    archive, alone = evaluated_by(evaluate, 40), tried_alone(evaluate, 64)
    algorithm = jc.NSGA2(6, WIDE, 3)
    screen = Screen(algorithm, evaluate, 4, alone)
    screen.prepare()
    ways = []
    for cost in ("size", "macs"):
        path, costs = way_down(evaluate, alone.genotypes, alone.errors, cost)
        ways.append({bytes(row) for row in spread(path, costs, 12)})
    assert ways[0] - ways[1] and ways[1] - ways[0]
    assert {bytes(row) for row in screen._ways} == ways[0] | ways[1]
    state = algorithm.compiled.init(jax.random.key(0), algorithm.default_params)
    asked = archive.genotypes[:6]  # known, so that none of them is chosen
    screen._ask = lambda key, state, params: (asked, state)
    given = (asked, state, algorithm.default_params, archive)
    chosen, expected = screen(jax.random.key(1), *given)
    assert {bytes(row) for row in chosen} <= ways[0] | ways[1]
    assert expected is not None and len(archive.unknown(chosen)) == 6
    with pytest.MonkeyPatch.context() as patch:
        module = import_module("jaxcompress.search.screen")
        patch.setattr(module, "MOST_GENES", len(WIDE) - 1)
        wide = Screen(algorithm, evaluate, 4, alone)
        wide.prepare()
        assert len(wide._ways) == 0 and wide._most == 24


@pytest.mark.parametrize("racing", [False, True])
def test_a_guided_search_goes_on_where_it_would_have(tmp_path, racing: bool) -> None:
    def found(generations: int = 5, other: Alone | None = None, **how: Any) -> jc.Result:
        evaluate = of_errors()
        alone = other or tried_alone(evaluate, 64)
        way = jc.Racing(evaluate) if racing else evaluate
        algorithm, key = jc.NSGA2(6, WIDE, 3), jax.random.key(7)
        own = {"generations": generations, "screening": 4, "alone": alone}
        return jc.search(key, algorithm, way, **own, **how)

    found(3, checkpoint_dir=tmp_path)
    resumed, whole = found(checkpoint_dir=tmp_path), found()
    for name, column in whole.archive.columns.items():
        np.testing.assert_array_equal(getattr(resumed.archive, name), column)
    with pytest.raises(ValueError, match="alone = "):
        found(other=tried_alone(of_errors(), 8), checkpoint_dir=tmp_path)


def test_a_guided_search_finds_more_sooner() -> None:
    """Wide layers, of which some bear much and others little."""
    evaluate = of_errors()
    alone, measure = tried_alone(evaluate, 64), Measure.worst(everyone(evaluate))
    volumes = []
    for guide in (None, alone):
        own = [
            jc.search(
                jax.random.key(seed),
                jc.NSGA2(10, WIDE, 3),
                evaluate,
                generations=3,
                measure=measure,
                screening=4,
                alone=guide,
            ).hypervolume
            for seed in range(6)
        ]
        volumes.append(np.mean(own))
    assert volumes[1] > volumes[0]


def everyone(evaluate: jc.Evaluator) -> np.ndarray:
    return evaluated_by(evaluate, 100).objectives


def test_a_surrogate_of_equal_values_says_that_value() -> None:
    points = np.random.default_rng(0).random((10, 2))
    np.testing.assert_allclose(fitted(points, np.full(10, 2.5))(points), 2.5)


def test_the_ends_of_a_gene_and_all_names_are_one_apart() -> None:
    grid = Grid([5, 3, 1], ordered=[True, False, True])
    genotypes = np.asarray([[0, 0, 0], [4, 0, 0], [0, 2, 0], [0, 1, 0], [2, 1, 0]])
    points = placed(genotypes, grid)
    apart = cdist(points, points, "cityblock")
    wanted = [[0, 1, 1, 1, 1.5], [1, 0, 2, 2, 1.5], [1, 2, 0, 1, 1.5]]
    np.testing.assert_allclose(apart[:3], wanted)


def test_costs_are_those_of_the_evaluator() -> None:
    bounds = (objectives.Macs() <= 40.0,)
    evaluate = jc.Evaluator(
        NETWORK,
        SPACE,
        EVALUATE.objectives,
        constraints=bounds,
        inputs=INPUTS,
        targets=TARGETS,
    )
    rows = np.asarray(SPACE.sample(jax.random.key(0), 71))
    assert 2 * CALL < len(rows) < 3 * CALL
    assert [part.shape for part in evaluate.costs(rows[:0])] == [(0, 3), (0,)]
    told = evaluate(rows)
    values, violation = evaluate.costs(rows)
    assert np.isnan(values[:, 0]).all()  # an error is none
    np.testing.assert_array_equal(values[:, 1:], np.asarray(told.objectives)[:, 1:])
    np.testing.assert_array_equal(violation, told.violation)
    assert (violation > 0).any() and (violation == 0).any()


def test_what_is_chosen_promises_most() -> None:
    """Of many offspring those on the front of what is expected come before all others."""
    algorithm, state, archive = told_once()
    ask, params = algorithm.compiled.ask, algorithm.default_params
    key, screen = jax.random.key(3), Screen(algorithm, OWN, 16)
    first = np.asarray(ask(key, state, params)[0])
    chosen, expected = screen(key, first, state, params, archive)
    assert expected is not None and len(chosen) == 8
    assert len(np.unique(chosen, axis=0)) == 8
    assert len(archive.unknown(chosen)) == 8
    # By hand: every offspring, what is expected of it, and which of them nothing beats.
    keys = [key] + [jax.random.fold_in(key, i) for i in range(1, 16)]
    pool = np.concatenate([np.asarray(ask(k, state, params)[0]) for k in keys])
    pool = archive.unknown(pool)
    errors = np.log(archive.objectives[:, 0].astype(np.float64) + 0.5 / len(TARGETS))
    surrogate = fitted(placed(archive.genotypes, WIDE), errors)
    points = np.column_stack([surrogate(placed(pool, WIDE)), OWN(pool).objectives[:, 1]])
    beaten = (points[:, None] >= points).all(-1) & (points[:, None] > points).any(-1)
    front = {row.tobytes() for row in pool[~np.any(beaten, axis=1)]}
    mine = {row.tobytes() for row in chosen}
    assert mine <= front or front <= mine


def test_what_the_present_front_dominates_comes_last() -> None:
    """Of offspring those that nothing known beats are run before all others."""
    algorithm, state, archive = told_once()
    ask, params = algorithm.compiled.ask, algorithm.default_params
    new = archive.unknown(np.asarray(WIDE.sample(jax.random.key(9), 300)))
    more = OWN(new)
    archive.add(new, np.asarray(more.objectives), np.asarray(more.violation))
    key = jax.random.key(3)
    first = np.asarray(ask(key, state, params)[0])
    chosen, _ = Screen(algorithm, OWN, 16)(key, first, state, params, archive)
    keys = [key] + [jax.random.fold_in(key, i) for i in range(1, 16)]
    pool = np.concatenate([np.asarray(ask(k, state, params)[0]) for k in keys])
    pool = archive.unknown(pool)
    front = archive.objectives[archive.front()].astype(np.float64)
    # By hand, with errors as the surrogate expects them.
    least = 0.5 / len(TARGETS)
    known = np.log(archive.objectives[:, 0].astype(np.float64) + least)
    surrogate = fitted(placed(archive.genotypes, WIDE), known)
    errors = np.exp(surrogate(placed(pool, WIDE))) - least
    points = np.column_stack([errors, np.asarray(OWN(pool).objectives[:, 1], np.float64)])
    worse = (front <= points[:, None]).all(-1) & (front < points[:, None]).any(-1)
    beaten = dict(zip(map(bytes, pool), worse.sum(1), strict=True))
    run = np.sort([beaten[bytes(row)] for row in chosen])
    np.testing.assert_array_equal(run, np.sort(list(beaten.values()))[:8])
    assert 0 < np.count_nonzero(np.any(worse, axis=1)) < len(pool)


def test_a_screened_search_finds_more() -> None:
    measure = searched(0, 1).measure
    volumes = [
        [searched(seed, draws, measure=measure).hypervolume for seed in range(4)]
        for draws in (1, 8)
    ]
    assert np.mean(volumes[1]) > np.mean(volumes[0])
    last = searched(0, 8).history[-1]
    assert 0 < last.metrics["rank_correlation"] <= 1
    assert last.evaluations == 48


def test_a_screened_search_that_goes_on_ends_where_it_would_have(tmp_path) -> None:
    searched(0, 4, generations=3, checkpoint_dir=tmp_path)
    resumed, whole = searched(0, 4, checkpoint_dir=tmp_path), searched(0, 4)
    np.testing.assert_array_equal(resumed.archive.genotypes, whole.archive.genotypes)
    np.testing.assert_array_equal(resumed.archive.objectives, whole.archive.objectives)
    with pytest.raises(ValueError, match="screening = 4"):
        searched(0, 3, checkpoint_dir=tmp_path)


def test_what_is_known_is_not_run_again_and_stays() -> None:
    rows = np.asarray(SPACE.sample(jax.random.key(5), 12))
    known = empty_archive(EVALUATE)
    new = known.unknown(rows)
    told = EVALUATE(new)
    known.add(new, np.asarray(told.objectives), np.asarray(told.violation))
    algorithm = jc.NSGA2(4, SPACE, 3, initial=new[:4])
    before = EVALUATE.forwards
    result = jc.search(
        jax.random.key(1), algorithm, EVALUATE, generations=2, known=known, measure=MEASURE
    )
    assert EVALUATE.forwards - before <= 4 * len(INPUTS)
    assert result.evaluations == len(result.archive) == len(new) + 4
    front = archive_of(EVALUATE, **known.columns)
    assert result.hypervolume >= MEASURE(front.objectives[front.front()])


def test_what_is_known_of_another_search_is_refused() -> None:
    known = empty_archive(OWN)  # of two objectives
    with pytest.raises(ValueError, match="known has 5 genes and 2 objectives"):
        algorithm = jc.NSGA2(4, SPACE, 3)
        jc.search(jax.random.key(1), algorithm, EVALUATE, generations=1, known=known)


def test_the_choice_is_that_of_bounds_too() -> None:
    sizes = OWN.costs(np.asarray(WIDE.sample(jax.random.key(1), 50)))[0][:, 1]
    bound = (objectives.Size("dense") <= float(np.quantile(sizes, 0.3)),)
    evaluate = jc.Evaluator(
        NETWORK,
        WIDE,
        OWN.objectives,
        constraints=bound,
        inputs=INPUTS,
        targets=TARGETS,
    )
    kept = []
    for draws in (1, 8):
        algorithm, key = jc.NSGA2(8, WIDE, 2), jax.random.key(2)
        way = jc.search(key, algorithm, evaluate, generations=4, screening=draws)
        kept.append((way.archive.violation[8:] <= 0).mean())
    assert kept[1] > kept[0]


def test_legs_compile_the_costs_once() -> None:
    """Those of offspring, and those of the way down, by one program."""
    for guided in (False, True):
        way = of_errors()
        jc.search_in_legs(
            jax.random.key(0),
            jc.NSGA2(8, WIDE, 3),
            way,
            NETWORK.params,
            lambda key, params, genotypes: params,
            generations=6,
            every=2,
            screening=4,
            alone=tried_alone(way, 64) if guided else None,
        )
        assert way._count._cache_size() == 1  # type: ignore[attr-defined]


def test_where_few_are_left_all_are_run() -> None:
    space = jc.Space(NETWORK, (jc.genes.WeightBits((2, 8)),))
    evaluate = jc.Evaluator(NETWORK, space, OWN.objectives, inputs=INPUTS, targets=TARGETS)
    algorithm = jc.NSGA2(4, space, 2)
    result = jc.search(jax.random.key(0), algorithm, evaluate, generations=6, screening=8)
    assert len(result.archive) == np.prod(space.cardinality)


def test_costs_alone_are_searched_too_and_by_nsga3() -> None:
    """Nothing is predicted: what is chosen is on the front of all that was drawn."""
    costs = (objectives.Size("dense"), objectives.Macs(), objectives.Parameters())
    evaluate = jc.Evaluator(NETWORK, WIDE, costs)
    ends = []
    for draws in (1, 8):
        algorithm, key = jc.NSGA3(8, WIDE, 3), jax.random.key(0)
        way = jc.search(key, algorithm, evaluate, generations=5, screening=draws)
        assert "rank_correlation" not in way.history[-1].metrics
        ends.append(way.archive.objectives[8:, 0].mean())
    assert ends[1] < ends[0]


@pytest.mark.parametrize(
    ("algorithm", "draws", "words"),
    [
        (jc.NSGA2(8, WIDE, 2), 0, "screening is 0; allowed: 1"),
        (Decomposed(32, WIDE, 2), 2, "Decomposed must be told of what it asked for"),
    ],
)
def test_bad_use_is_refused(algorithm, draws: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        jc.search(jax.random.key(0), algorithm, OWN, generations=1, screening=draws)


def test_what_genes_harm_alone_guides_only_a_screening_of_a_quality() -> None:
    alone = tried_alone(of_errors(), 64)
    costs = jc.Evaluator(NETWORK, WIDE, RIGHT[1:])
    for evaluate, draws in ((of_errors(), 1), (costs, 4)):
        algorithm = jc.NSGA2(6, WIDE, len(evaluate.objectives))
        with pytest.raises(ValueError, match="alone guides the screening of a quality"):
            Screen(algorithm, evaluate, draws, alone)
    broken = alone._replace(errors=np.full(len(alone.errors), np.nan))
    other = alone._replace(genotypes=alone.genotypes[:, 1:])
    for guide, words in ((broken, "dense network's error is nan"), (other, "wanted ")):
        with pytest.raises(ValueError, match=f"search: alone .*{words}"):
            Screen(jc.NSGA2(6, WIDE, 3), of_errors(), 4, guide)


def test_genes_are_tried_alone_by_what_a_race_evaluates_with() -> None:
    racing = jc.Racing(of_errors())
    found, wanted = tried_alone(racing, 64), tried_alone(of_errors(), 64)
    np.testing.assert_array_equal(found.errors, wanted.errors)
    assert not racing.used
    racing(np.asarray(WIDE.sample(jax.random.key(0), 20)))
    with pytest.raises(ValueError, match="has put the examples in order"):
        tried_alone(racing, 64)


def test_a_guide_has_no_say_about_what_it_was_told() -> None:
    """Noise for errors, of which the guide knows most: nothing is screened by it."""
    evaluate, rows = of_errors(), probes(WIDE)
    others = np.asarray(WIDE.sample(jax.random.key(4), 9))
    known = np.unique(np.concatenate([rows, others]), axis=0)
    pool = np.asarray(WIDE.sample(jax.random.key(5), 30))
    for seed in range(5):
        values = np.random.default_rng(seed).uniform(0.1, 1.0, (len(known), 3))
        dense = (known == rows[0]).all(1)
        values[dense, 0] = 0.05
        places = [int(np.flatnonzero((known == row).all(1))[0]) for row in rows]
        alone = Alone(rows, values[places, 0], evaluate.examples)
        screen = Screen(jc.NSGA2(6, WIDE, 3), evaluate, 4, alone)
        # It would agree with all that it was told, had it a say.
        told, guess = _scaled(values[:, 0], evaluate.examples), alone.together(known)
        left_out = fitted(placed(known, WIDE), told - guess).left_out
        assert _agreement(left_out + guess, told) > 0.5
        assert screen._expected(pool, known, values, values[:3]) is None
