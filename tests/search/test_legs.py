"""A search in legs: errors under different weights never meet, and nothing is lost."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from search.test_racing import evaluator
from search.test_search import EVALUATE, INPUTS, NETWORK, SPACE, TARGETS

import jaxcompress as jc
from jaxcompress import objectives
from jaxcompress.compress import compiled_forward
from jaxcompress.search import Archive, Generation
from jaxcompress.search.legs import carried

# Programs that other tests of this folder compile too.
ALGORITHM = jc.NSGA2(16, SPACE, 3)


class Stop(Exception):
    pass


class Shaken:
    """Weights that are others after each leg, and the fronts that it was told of."""

    def __init__(self, stop: int = 0) -> None:
        self.fronts: list[np.ndarray] = []
        self._stop = stop

    def __call__(self, key: Any, weights: Any, genotypes: np.ndarray) -> Any:
        self.fronts.append(genotypes)
        if len(self.fronts) == self._stop:
            raise Stop
        noise = jax.random.normal(key, (1000,))
        return jax.tree.map(
            lambda w: w * (1.0 + 0.5 * noise[: w.size].reshape(w.shape)), weights
        )


def run(train: Any, generations: int = 7, every: int = 3, **options: Any) -> Any:
    evaluate = options.pop("evaluate", EVALUATE)
    return jc.search_in_legs(
        jax.random.key(0),
        ALGORITHM,
        evaluate,
        options.pop("weights", NETWORK.params),
        train,
        generations=generations,
        every=every,
        checkpoint_every=2,
        **options,
    )


def same(a: Any, b: Any) -> None:
    """Compares results and weights bit for bit."""
    (one, left), (other, right) = a, b
    for name in ("genotypes", "objectives", "violation"):
        x, y = (getattr(result.archive, name) for result in (one, other))
        np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(one.genotypes, other.genotypes)
    untimed = [
        [(g.generation, g.evaluations, g.asked, g.forwards, g.spared, g.best) for g in r]
        for r in (one.history, other.history)
    ]
    assert untimed[0] == untimed[1] and one.hypervolume == other.hypervolume
    for x, y in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("every", [0, 4, 9])
def test_one_leg_is_the_search_itself(every: int) -> None:
    train = Shaken()
    plain = jc.search(jax.random.key(0), ALGORITHM, EVALUATE, generations=4)
    same(run(train, 4, every), (plain, NETWORK.params))
    assert not train.fronts


def test_all_that_is_compared_was_measured_under_the_same_weights() -> None:
    train, compiled, heard_at = Shaken(), [0], []

    def heard(event: str, *_: object, **__: object) -> None:
        compiled[0] += event == "/jax/core/compile/backend_compile_duration"

    jax.monitoring.register_event_duration_secs_listener(heard)
    try:
        result, weights = run(
            train, 8, on_generation=lambda _: heard_at.append(compiled[0])
        )
    finally:
        jax.monitoring.unregister_event_duration_listener(heard)
    assert heard_at[5] == heard_at[7]  # the third leg compiles nothing
    assert EVALUATE.compilations == 1

    archive, moved, forward = result.archive, 0, compiled_forward(NETWORK)
    for genotype, found in zip(archive.genotypes, archive.objectives, strict=True):
        plan = SPACE.decode(genotype)
        errors = [
            np.asarray(forward(plan, INPUTS, params)).argmax(1) != TARGETS
            for params in (weights, NETWORK.params)
        ]
        assert found[0] == pytest.approx(errors[0].mean(), abs=1e-6)
        moved += errors[0].mean() != errors[1].mean()
    assert moved  # else the weights of the beginning would have passed too

    known = {row.tobytes() for row in archive.genotypes}
    assert len(train.fronts) == 2
    assert {row.tobytes() for row in train.fronts[-1]} <= known
    assert [g.generation for g in result.history] == [*range(1, 9)]
    last = result.history[-1]
    assert result.evaluations == last.evaluations > len(archive)
    assert last.forwards == last.evaluations * len(INPUTS)
    assert last.forwards + last.spared == last.asked * len(INPUTS)
    steps = [g.evaluations for g in result.history]
    assert steps == sorted(steps)


@pytest.mark.parametrize("racing", [False, True])
def test_stopped_anywhere_it_ends_where_it_would_have(tmp_path: Path, racing: bool) -> None:
    plain = evaluator() if racing else EVALUATE

    def search(train: Any, **options: Any) -> Any:
        evaluate = jc.Racing(plain) if racing else plain
        return run(train, evaluate=evaluate, **options)

    def at(number: int) -> Any:
        def on_generation(generation: Generation) -> None:
            if generation.generation == number:
                raise Stop

        return on_generation

    whole, seen = search(Shaken()), []
    for options in (
        {"train": Shaken(), "on_generation": at(2)},
        {"train": Shaken(stop=1)},
        {"train": Shaken(), "on_generation": at(5)},
        {"train": Shaken(stop=1)},  # the first training is not repeated
        {"train": Shaken(), "on_generation": at(7)},
    ):
        with pytest.raises(Stop):
            search(checkpoint_dir=tmp_path, **options)
    with pytest.raises(ValueError, match="weights-1 has weights of another search"):
        others = jax.tree.map(lambda leaf: 2 * leaf, NETWORK.params)
        search(Shaken(), weights=others, checkpoint_dir=tmp_path)
    train = Shaken()
    resumed = search(
        train,
        checkpoint_dir=tmp_path,
        on_generation=lambda generation: seen.append(generation.generation),
    )
    same(whole, resumed)
    assert seen == [*range(1, 8)] and not train.fronts
    same(
        search(Shaken(), generations=8),
        search(train, generations=8, checkpoint_dir=tmp_path),
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.integers(1, 30), st.integers(0, 99))
def test_a_leg_begins_with_the_front_and_what_comes_next(
    size: int, count: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    archive = Archive(1, 2)
    values = rng.permutation(2 * count).reshape(count, 2).astype(np.float32)
    violation = (rng.random(count) < 0.3).astype(np.float32)
    archive.add(np.arange(count, dtype=np.int32)[:, None], values, violation)
    usable = np.flatnonzero(violation == 0)
    if not len(usable):
        return
    found = carried(archive, size)[:, 0]
    assert len(set(found)) == len(found) and set(found) <= set(usable)

    def rank(row: Any, among: list[Any]) -> int:
        """By definition: 0 on the front, else one more than the best that dominates it."""
        above = [i for i in among if (values[i] < values[row]).all()]
        return 1 + max((rank(i, above) for i in above), default=-1)

    ranks = {i: rank(i, [*usable]) for i in usable}
    front = {i for i in usable if ranks[i] == 0}
    assert front == {i for i in found if ranks[i] == 0}
    assert len(found) == max(len(front), min(size, len(usable)))
    left_out = [ranks[i] for i in usable if i not in set(found)]
    assert max(ranks[i] for i in found) <= min(left_out, default=count)


def test_bad_use_is_refused() -> None:
    costs = jc.Evaluator(NETWORK, SPACE, (objectives.Macs(), objectives.Size("dense")))
    for every in (-1, 1):
        with pytest.raises(ValueError, match=f"every is {every}; allowed: 0, or 2 or more"):
            run(Shaken(), every=every)
    with pytest.raises(
        ValueError, match=r"\['macs', 'size'\] measure no outputs: there is"
    ):
        run(Shaken(), evaluate=costs)
    with pytest.raises(ValueError, match=r"first has shape \(2, 1\); wanted genotypes"):
        first = np.zeros((2, 1), np.int32)
        jc.search(jax.random.key(0), ALGORITHM, EVALUATE, generations=1, first=first)
