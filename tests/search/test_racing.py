"""Racing: nothing that is run in full changes, and what is stopped was dominated."""

from copy import copy
from functools import cache

import jax
import numpy as np
import pytest
from scipy.stats import gamma, poisson
from search.test_search import INPUTS, NETWORK, OBJECTIVES, SPACE, TARGETS

import jaxcompress as jc
from jaxcompress import objectives
from jaxcompress.search import Measure, non_dominated

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
    racing = jc.Racing(evaluate)
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


def test_stops_where_the_law_of_the_errors_says_so() -> None:
    """Recomputed from the single predictions, as a mixture of Poisson laws.

    The labels are mostly those of the smallest network: it is everybody's opponent.
    """
    smallest = np.zeros((1, len(SPACE)), np.int32)
    labels = np.asarray(jc.forward(NETWORK, SPACE.decode(smallest[0]), MANY)).argmax(1)
    labels = np.where(FLIPPED, LABELS, labels).astype(np.int32)
    plain, evaluate = evaluator(labels=labels), evaluator(labels=labels)
    _, theirs = plain.window(smallest, 0, plain.batches)
    order = np.argsort(-theirs[0], kind="stable")
    size = -(-len(MANY) // plain.batches)
    racing = jc.Racing(evaluate, confidence=0.9)
    racing(smallest)
    ends = [min(stage * size, len(MANY)) for stage in racing.stages]
    rates = (np.arange(20_000) + 0.5) / 20_000
    runs = []
    for genotype in np.asarray(SPACE.sample(jax.random.key(3), 20)):
        one = copy(racing)
        _, mine = plain.window(genotype[None], 0, plain.batches)
        wanted = len(MANY)
        for end in ends[-2::-1]:
            seen = int(mine[0, order[:end]].sum())
            mean = theirs[0, order[end:]].sum() + 0.5
            allowed = int(theirs.sum()) - seen - 1
            weights = gamma.ppf(rates, seen + 0.5) / (seen + 0.5)
            chance = poisson.cdf(allowed, mean * weights).mean()
            assert abs(chance - 0.1) > 1e-3  # so that rounding decides nothing
            wanted = end if chance < 0.1 else wanted
        before = one.forwards
        one(genotype[None])
        runs.append(one.forwards - before)
        assert runs[-1] == wanted
    assert len(set(runs)) > 1


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
    resumed = run(4, checkpoint_dir=tmp_path / "kept").archive
    whole = run(4).archive
    np.testing.assert_array_equal(resumed.genotypes, whole.genotypes)
    np.testing.assert_array_equal(resumed.objectives, whole.objectives)


def test_what_is_infeasible_is_stopped_and_stays_so() -> None:
    bound = (objectives.Macs() <= 1.0,)
    racing = jc.Racing(evaluator(bound))
    genotypes = np.asarray(SPACE.sample(jax.random.key(0), 8))
    racing(genotypes[:4])
    told = racing(genotypes[4:])
    assert (told.violation > 0).all() and np.isfinite(told.objectives).all()
    assert racing.forwards < 5 * len(MANY)


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
