"""Racing: nothing that is run in full changes, and what is stopped was dominated."""

from functools import cache

import jax
import numpy as np
import pytest
from scipy.stats import norm
from search.test_search import INPUTS, NETWORK, OBJECTIVES, SPACE, TARGETS

import jaxcompress as jc
from jaxcompress import objectives
from jaxcompress.search import Measure, empty_archive, non_dominated
from jaxcompress.search.predicted import predicted

REPEATS = 8
FLIPPED = np.random.default_rng(1).random(len(TARGETS) * REPEATS) < 0.2
MANY = np.concatenate(
    [
        INPUTS + np.float32(0.3) * np.random.default_rng(i).normal(size=INPUTS.shape)
        for i in range(REPEATS)
    ]
).astype(np.float32)
LABELS = np.asarray(NETWORK.apply(NETWORK.params, MANY)).argmax(1)
LABELS = np.where(FLIPPED, (LABELS + 1) % 3, LABELS).astype(np.int32)


@cache
def shared() -> jc.Evaluator:
    return evaluator()


def evaluator(constraints=(), labels: np.ndarray = LABELS) -> jc.Evaluator:
    return jc.Evaluator(
        NETWORK,
        SPACE,
        OBJECTIVES,
        constraints=constraints,
        inputs=MANY,
        targets=labels,
        chunk=8,
        splits=16,
    )


def test_a_window_gives_its_part_of_the_whole() -> None:
    evaluate = evaluator()
    genotypes = np.asarray(SPACE.sample(jax.random.key(0), 5))
    whole, each = evaluate.window(genotypes, 0, evaluate.batches)
    assert each.shape == (5, len(MANY))
    np.testing.assert_allclose(whole.objectives[:, 0], each.mean(1), atol=1e-6)
    parts = [evaluate.window(genotypes, i, i + 4)[1] for i in range(0, 16, 4)]
    np.testing.assert_array_equal(np.concatenate(parts, 1), each)
    assert evaluate.compilations == 1
    assert evaluate.forwards == 2 * 5 * len(MANY)


def test_what_is_run_in_full_is_the_same_and_what_is_stopped_was_dominated() -> None:
    evaluate = evaluator()
    racing = jc.Racing(evaluate, confidence=0.99)
    exact, raced, full = [], [], []
    for key in jax.random.split(jax.random.key(1), 6):
        genotypes = np.unique(np.asarray(SPACE.sample(key, 30)), axis=0)
        before = racing.forwards
        raced.append(np.asarray(racing(genotypes).objectives))
        assert racing.forwards - before <= len(genotypes) * len(MANY)
        exact.append(np.asarray(evaluate(genotypes).objectives))
        full.append((raced[-1] == exact[-1]).all(1))
    truth, told, ran = map(np.concatenate, (exact, raced, full))
    np.testing.assert_array_equal(told[:, 1:], truth[:, 1:])  # costs are never estimates
    assert racing.saved > 0 and (~ran).any()
    # No estimate is on the front, and all of the true front was run in full.
    assert ran[non_dominated(told)].all()
    assert ran[non_dominated(truth)].all()


def test_stops_where_the_prediction_says_so() -> None:
    """Recomputed network by network from all answers, run apart.

    The labels are mostly those of the smallest network: it is everybody's opponent.
    """
    smallest = np.zeros((1, len(SPACE)), np.int32)
    labels = np.asarray(jc.forward(NETWORK, SPACE.decode(smallest[0]), MANY)).argmax(1)
    labels = np.where(FLIPPED, LABELS, labels).astype(np.int32)
    plain = evaluator(labels=labels)
    racing = jc.Racing(plain)
    others = np.asarray(SPACE.sample(jax.random.key(8), 7))
    known = np.unique(np.concatenate([smallest, others]), axis=0)
    candidates = np.asarray(SPACE.sample(jax.random.key(3), 60))
    racing(known)
    order, size = racing.memory.order, plain.batch_size
    ends = [min(stage * size, len(MANY)) for stage in racing.stages]
    assert sorted(order) == list(range(len(MANY)))

    def wrong(genotypes: np.ndarray) -> np.ndarray:
        return plain.window(genotypes, 0, plain.batches)[1][:, order]

    theirs, sizes = wrong(known), np.asarray(plain(known).objectives)
    bits = np.unpackbits(racing.memory.wrong, axis=1)
    np.testing.assert_array_equal(bits[:, : len(MANY)], theirs)
    runs = []
    for genotype, mine in zip(candidates, wrong(candidates), strict=True):
        costs = np.asarray(plain(genotype[None]).objectives)[0, 1:]
        lowest = theirs[(sizes[:, 1:] <= costs).all(1)].sum(1).min()
        wanted = len(MANY)
        for end in ends[-2::-1]:
            chance = 0.0
            if mine[:end].sum() < lowest:
                mean, deviation = by_hand(known, theirs, genotype, mine[:end])
                allowed = np.log(lowest - mine[:end].sum())
                chance = norm.cdf((allowed - mean) / deviation)
            assert abs(chance - 0.15) > 1e-6  # so that rounding decides nothing
            wanted = end if chance < 0.15 else wanted
        one = jc.Racing(plain)
        one.recall(racing.memory)
        one(genotype[None])
        runs.append(one.forwards)
        assert runs[-1] == wanted
    assert len(set(runs)) > 2


def by_hand(
    known: np.ndarray, wrong: np.ndarray, genotype: np.ndarray, mine: np.ndarray
) -> tuple[float, float]:
    """Returns mean and deviation of the logarithm of the errors to come of one network.

    Conditions of one normal law of all networks: each known one by leaving it out, and the
    new one by all of them.
    """
    seen = len(mine)
    genes = np.concatenate([known, genotype[None]])
    errors = np.concatenate([wrong[:, :seen], mine[None]]).astype(float)
    made = np.log(errors.sum(1) + 0.5)
    come = np.log(wrong[:, seen:].sum(1) + 0.5)
    factor = (come - made[:-1]).mean()
    centre = made[:-1].mean()

    def noise(logarithm: float) -> float:
        return 1e-4 + 0.3 / np.exp(logarithm) + 0.25 / np.exp(2 * logarithm)

    def covariance(i: int, j: int) -> float:
        size = np.sqrt((errors[i].sum() + 0.5) * (errors[j].sum() + 0.5))
        return (
            0.04 * (made[i] - centre) * (made[j] - centre)
            + 0.16 * (errors[i] @ errors[j] + 0.5) / size
            + 0.09 * (genes[i] == genes[j]).mean()
        )

    count = len(known)
    every = np.asarray(
        [[covariance(i, j) for j in range(count + 1)] for i in range(count + 1)]
    )
    for i in range(count):
        every[i, i] += noise(come[i])

    def given(i: int, by: list[int]) -> tuple[float, float]:
        gain = np.linalg.solve(every[np.ix_(by, by)], every[by, i])
        told = gain @ (come[by] - made[by] - factor)
        return made[i] + factor + told, every[i, i] - gain @ every[by, i]

    squares = []
    for i in range(count):
        mean, variance = given(i, [j for j in range(count) if j != i])
        squares.append((come[i] - mean) ** 2 / variance)
    mean, variance = given(count, list(range(count)))
    variance = max(variance + noise(mean), noise(mean))
    return mean, np.sqrt(np.mean(squares) * variance)


def test_a_prediction_is_as_sure_as_it_says() -> None:
    """Networks of any quality, on examples of any difficulty: how often it comes true."""
    rng = np.random.default_rng(0)
    hard = np.sort(rng.beta(0.5, 1.0, 400))[::-1]

    def networks(count: int) -> tuple[np.ndarray, np.ndarray]:
        genes = rng.integers(0, 4, (count, 6))
        skill = np.exp(genes.mean(1, keepdims=True) - 1.5 + rng.normal(size=(count, 1)) / 2)
        return genes, rng.random((count, 400)) < hard**skill

    (known, theirs), (new, mine) = networks(300), networks(4000)
    for end in (50, 100, 200):
        told = predicted(new, mine[:, :end], known, theirs)
        errors = mine.sum(1)
        assert abs((errors < told.errors).mean() - 0.5) < 0.1
        for quantile in (0.15, 0.5, 0.85):
            come = np.exp(told.mean + told.spread * norm.ppf(quantile))
            others = np.maximum(np.round(told.made + come), told.made + 1)
            chance = told.chance_below(others)
            assert abs((errors < others).mean() - chance.mean()) < 0.08


def test_what_is_alike_tells_more() -> None:
    """Two kinds of networks, which err at the same rate early, and not late.

    Which one a new network is of, its genes tell, or where it errs.
    """
    rng = np.random.default_rng(1)
    genes = np.repeat([[0, 0, 1], [2, 1, 0]], 20, axis=0)
    wrong = np.concatenate([rng.random((40, 60)) < 0.5, rng.random((40, 340)) < 0.3], 1)
    wrong[:20, :30], wrong[20:, 30:60], wrong[20:, 60:] = False, False, False
    same, few = np.zeros_like(genes[:2]), np.zeros((2, 60), bool)
    by_genes = predicted(genes[[0, -1]], few, genes, wrong).errors
    few[0, 30:60:2], few[1, :30:2] = True, True
    by_errors = predicted(same, few, np.zeros_like(genes), wrong).errors
    for told in (by_genes, by_errors):
        assert told[0] > 3 * told[1]


def test_nothing_is_predicted_from_few_and_nobody_stops_without_an_opponent() -> None:
    known = np.arange(7)[:, None]
    wrong = np.arange(60) % 20 < 3 * known  # as many errors in each third
    new, some = np.asarray([[1], [6]]), wrong[[1, 6], :40]
    told = predicted(new, some, known, wrong)
    assert np.isinf(told.spread).all()
    np.testing.assert_array_equal(told.chance_below(np.asarray([7.0, np.inf])), [1, 1])
    told = predicted(new, some, np.repeat(known, 3, axis=0), np.repeat(wrong, 3, axis=0))
    chances = told.chance_below(np.asarray([7.0, np.inf]))
    assert chances[0] < 1e-3 and chances[1] == 1


def test_networks_that_all_err_alike_make_nothing_certain() -> None:
    """As random plans of a deep network do: all of them give every image one label."""
    known = np.arange(16)[:, None] * np.ones((1, 4), np.int32)
    wrong = np.repeat((np.arange(60) % 10 > 0)[None], 16, axis=0)
    new = np.asarray([[1, 1, 1, 1], [20, 3, 9, 14]])
    told = predicted(new, wrong[:2, :30], known, wrong)
    assert (told.spread > 0).all()
    chances = told.chance_below(np.asarray([53.0, 55.0]))
    assert ((chances > 0) & (chances < 1)).all()


def test_a_race_that_calibrates_at_each_stage_has_fewer_and_counts_it() -> None:
    def raced(count: int) -> jc.Racing:
        evaluate = jc.Evaluator(
            NETWORK,
            SPACE,
            OBJECTIVES,
            inputs=MANY,
            targets=LABELS,
            calibration=MANY[:count],
            splits=16,
        )
        return jc.Racing(evaluate)

    part, size = raced(len(MANY) // 4), len(MANY) // 16
    assert part.stages == (4, 8, 12, 16)
    assert all(np.diff(part.stages) * size >= len(MANY) // 4)
    assert raced(len(MANY)).stages == (16,)
    genotypes = np.asarray(SPACE.sample(jax.random.key(0), 24))
    part(genotypes[:8])
    assert part.forwards == 8 * (len(MANY) + len(MANY) // 4) and part.saved == 0
    part(genotypes[8:])
    assert part.forwards == part.evaluate.forwards > 8 * part.work


def test_a_race_that_was_run_serves_no_second_search() -> None:
    racing = jc.Racing(shared())
    algorithm, key = jc.NSGA2(8, SPACE, 3), jax.random.key(6)
    jc.search(key, algorithm, racing, generations=1)
    with pytest.raises(ValueError, match="learned from another search"):
        jc.search(key, algorithm, racing, generations=1)


def test_a_race_learns_from_what_is_known_and_waits_for_eight() -> None:
    plain = shared()
    rows = np.unique(np.asarray(SPACE.sample(jax.random.key(9), 24)), axis=0)
    known = empty_archive(plain)
    told = plain(rows[8:])
    known.add(rows[8:], np.asarray(told.objectives), np.asarray(told.violation))
    racing = jc.Racing(plain)
    racing.learn(known)
    racing(rows[:3])
    assert not len(racing.memory.order) and len(racing.memory.genotypes) == 3
    racing(rows[3:8])
    assert racing.forwards == 8 * len(MANY) and racing.saved == 0
    order = racing.memory.order
    _, each = plain.window(rows[:8], 0, plain.batches)
    bits = np.unpackbits(racing.memory.wrong, axis=1)[:, : len(MANY)]
    np.testing.assert_array_equal(bits, each[:, order])
    assert len(racing.memory.objectives) == len(rows)


def test_what_comes_after_the_first_eight_races_at_once() -> None:
    """Against eight from everywhere, in the examples' own order; then there is another."""
    plain = shared()
    rows = np.unique(np.asarray(SPACE.sample(jax.random.key(9), 40)), axis=0)
    exact = np.asarray(plain(rows).objectives)
    racing = jc.Racing(plain, confidence=0.99)
    told = np.asarray(racing(rows).objectives)
    full = (told == exact).all(1)
    ahead = np.linspace(0, len(rows) - 1, 8).astype(int)
    assert full[ahead].all() and full[non_dominated(exact)].all() and not full.all()
    assert racing.saved > 0
    np.testing.assert_array_equal(told[:, 1:], exact[:, 1:])
    ran, order = racing.memory.genotypes, racing.memory.order
    assert {*map(bytes, ran)} == {*map(bytes, rows[full])}
    bits = np.unpackbits(racing.memory.wrong, axis=1)[:, : len(MANY)]
    _, each = plain.window(ran, 0, plain.batches)
    np.testing.assert_array_equal(bits, each[:, order])


def test_searches_alike() -> None:
    measure = Measure((0, 1), (0.9, float(np.log2(4_000))), logged=(1,))
    algorithm = jc.NSGA2(16, SPACE, 3)
    plain = shared()
    racing = jc.Racing(plain)
    results = [
        jc.search(jax.random.key(5), algorithm, e, generations=6, measure=measure)
        for e in (plain, racing)
    ]
    assert results[1].hypervolume == pytest.approx(results[0].hypervolume, rel=0.01)
    exact = np.asarray(plain(results[1].genotypes).objectives)
    np.testing.assert_array_equal(exact, results[1].objectives)
    assert racing.forwards + racing.saved == len(results[1].archive) * len(MANY)


def test_a_search_that_goes_on_ends_where_it_would_have(tmp_path) -> None:
    def run(generations: int, **how) -> jc.Result:
        racing = jc.Racing(shared())
        algorithm = jc.NSGA2(8, SPACE, 3)
        key = jax.random.key(6)
        return jc.search(key, algorithm, racing, generations=generations, **how)

    run(2, checkpoint_dir=tmp_path / "kept")
    resumed = run(4, checkpoint_dir=tmp_path / "kept")
    whole = run(4)
    np.testing.assert_array_equal(resumed.archive.genotypes, whole.archive.genotypes)
    np.testing.assert_array_equal(resumed.archive.objectives, whole.archive.objectives)
    # Nothing is run again, and the last stops count as the first.
    assert resumed.history[-1].forwards == whole.history[-1].forwards
    assert whole.history[-1].spared > 0


@pytest.mark.parametrize("change", ["splits", "examples"])
def test_a_race_over_other_examples_is_refused(change: str, tmp_path) -> None:
    def run(splits: int, examples: int) -> None:
        racing = jc.Racing(
            jc.Evaluator(
                NETWORK,
                SPACE,
                OBJECTIVES,
                inputs=MANY[:examples],
                targets=LABELS[:examples],
                splits=splits,
            )
        )
        algorithm, key = jc.NSGA2(8, SPACE, 3), jax.random.key(6)
        jc.search(key, algorithm, racing, generations=2, checkpoint_dir=tmp_path / "kept")

    run(16, len(MANY))
    with pytest.raises(ValueError, match="racing"):
        run(16, 200) if change == "examples" else run(5, len(MANY))


def test_an_estimate_is_of_no_more_errors_than_there_are_examples() -> None:
    racing = jc.Racing(evaluator(labels=(LABELS + 1) % 3))  # nearly all are wrong
    genotypes = np.asarray(SPACE.sample(jax.random.key(1), 40))
    racing(genotypes[:12])
    told = np.asarray(racing(genotypes[12:]).objectives)
    assert racing.saved > 0
    assert (told[:, 0] <= 1.0 + 0.5 / len(MANY)).all()


def test_what_is_infeasible_is_stopped_and_stays_so() -> None:
    bound = (objectives.Macs() <= 1.0,)
    racing = jc.Racing(evaluator(bound))
    genotypes = np.asarray(SPACE.sample(jax.random.key(0), 12))
    racing(genotypes[:8])
    told = racing(genotypes[8:])
    assert (told.violation > 0).all() and np.isfinite(told.objectives).all()
    assert racing.forwards < 9 * len(MANY)


def test_what_is_not_finite_is_stopped_at_once_and_told_as_such() -> None:
    """The channel of "b" that goes first is NaN: networks which keep it are too."""
    least = np.argmin(np.square(NETWORK.params["b"]).sum(0))
    broken = {**NETWORK.params, "b": NETWORK.params["b"].at[:, least].set(np.nan)}
    racing = jc.Racing(evaluator().under(broken))
    rows = np.unique(np.asarray(SPACE.sample(jax.random.key(2), 60)), axis=0)
    racing(rows[::2])
    before, later = racing.forwards, rows[1::2]
    finite = np.isfinite(np.asarray(evaluator().under(broken)(later).objectives)).all(1)
    assert 3 < finite.sum() < len(later) - 3
    told = np.asarray(racing(later).objectives)
    np.testing.assert_array_equal(np.isfinite(told).all(1), finite)
    remembered = {*map(bytes, racing.memory.genotypes)}
    assert remembered and remembered.isdisjoint(map(bytes, later[~finite]))
    first = racing.stages[0] * racing.evaluate.batch_size
    most = finite.sum() * len(MANY) + (~finite).sum() * first
    assert racing.forwards - before <= most


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: jc.Racing(shared(), confidence=1.0), "allowed: 0 < it < 1"),
        (
            lambda: jc.Racing(
                jc.Evaluator(NETWORK, SPACE, OBJECTIVES, inputs=INPUTS, targets=TARGETS)
            ),
            "splits=16",
        ),
        (lambda: jc.Racing(jc.Evaluator(NETWORK, SPACE, OBJECTIVES[1:])), "it needs one"),
        (
            lambda: jc.Racing(evaluator((objectives.Error() <= 0.5,))),
            r"error <= 0\.5 is a bound on a quality",
        ),
    ],
)
def test_bad_use_is_refused(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
