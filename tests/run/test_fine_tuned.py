"""What is fine-tuned, and from where: a plan of several fronts once."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from rich.console import Console

import jaxcompress as jc
from jaxcompress.config import Config
from jaxcompress.fine_tuned import (
    LEFT,
    _distinct,
    expecting_training,
    fine_tuned,
    rows,
    with_test_errors,
)
from jaxcompress.given import given as read, traced
from jaxcompress.job import Job
from jaxcompress.prepared import prepared
from jaxcompress.report import Member
from jaxcompress.run_directory import made
from jaxcompress.search import Measure
from jaxcompress.space import Plan


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(2, 3), st.booleans(), st.booleans()), min_size=1))
def test_equal_plans_are_one(choices: list[tuple[int, bool, bool]]) -> None:
    bits, *kept = np.asarray(choices).T
    plans = Plan(
        weight_bits={"layer": bits.astype(np.int32)},
        channels={"group": np.stack(kept, 1).astype(bool)},
    )
    first, same = _distinct(plans)
    again = rows(rows(plans, first), same)
    jax.tree.map(np.testing.assert_array_equal, again, plans)
    assert len(first) == len(set(choices))
    # In the order in which they came.
    assert [choices[place] for place in first] == list(dict.fromkeys(choices))


def test_members_are_chosen_by_what_training_leaves() -> None:
    """Against the volume of boxes, of errors that have shrunk."""
    measure = Measure((0, 1), (0.4, 10.0), logged=(1,))
    points = np.asarray([[0.05, 64.0], [0.3, 16.0], [0.5, 2.0], [0.7, 1.0]])
    error, size = points[:, 0] * LEFT, np.log2(points[:, 1])
    right = np.asarray([10.0, *size[:-1]])
    volume = (np.maximum(0.4 - error, 0.0) * (right - size)).sum()
    assert measure(points) < volume / LEFT  # which has no place for the third
    assert expecting_training(measure)(points) * LEFT == pytest.approx(volume)
    # Not beyond chance, and never nearer than it was.
    chance, near = (expecting_training(measure, most).reference for most in (0.5, 0.3))
    assert chance == (0.5, 10.0)
    assert near == measure.reference


@pytest.mark.parametrize("focus", [0, 1])
def test_training_begins_with_the_weights_before_focus(focus: int, tmp_path: Path) -> None:
    values = {"model": "run.tiny:network", "adapt": {"focus": focus}}
    config = Config.model_validate(values | {"space": {"importance": "l1"}})
    key = jax.random.key(0)
    start = read(config, key)
    assert start.apply is not None
    network = traced(start, start.apply, start.params)

    def kept(more: int) -> dict[str, Any]:
        return {path: leaf + more for path, leaf in network.leaves().items()}

    with made(config, tmp_path / "run") as place:
        place.kept("adapt", lambda: kept(1))
        place.kept("focus", lambda: kept(2))
        job = Job(config, start, {"adapt": key}, place, Console(quiet=True))
        found = prepared(job, network, Measure((0, 1), (1.0, 20.0), logged=(1,)))
    for weights, more in ((found.begin, 1), (found.shared, 1 + focus)):
        own = network.leaves(weights)
        jax.tree.map(np.testing.assert_array_equal, own, kept(more))


def test_what_was_fine_tuned_for_other_members_is_refused(tmp_path: Path) -> None:
    values = {"model": "run.tiny:network", "space": {"importance": "l1"}}
    config, key = Config.model_validate(values), jax.random.key(0)
    start = read(config, key)
    assert start.apply is not None
    network = traced(start, start.apply, start.params)
    measure = Measure((0, 1), (1.0, 20.0), logged=(1,))
    with made(config, tmp_path / "run") as place:
        place.kept("adapt", network.leaves)
        job = Job(config, start, {"adapt": key}, place, Console(quiet=True))
        ready = prepared(job, network, measure)
        evaluate = ready.evaluate
        genotypes = np.asarray(evaluate.space.dense)[None]
        result: Any = SimpleNamespace(
            genotypes=genotypes, objectives=np.asarray([[0.1, 1024.0]])
        )
        others = {"plans": np.zeros(8, np.uint8)}
        place.kept("finetune", lambda: others, config.search.generations)
        weights = ready.shared, ready.begin
        with pytest.raises(ValueError, match=r"not those .*; remove .*finetune"):
            fine_tuned(job, evaluate, *weights, measure, {"search": result}, {})


def test_members_without_a_file_are_tested_as_they_are(tmp_path: Path) -> None:
    """Whatever the file of an equal plan says: values of it may have been merged."""
    config = Config.model_validate({"model": "run.tiny:network"})
    start = read(config, jax.random.key(0))
    assert start.apply is not None
    network = traced(start, start.apply, start.params)
    bits = {layer.weight: np.asarray([1, 8, 1, 8]) for layer in network.layers}
    plans = Plan(weight_bits=bits)
    params = jax.tree.map(lambda leaf: np.stack([leaf] * 4), network.params)
    errors = (None, 0.123, None, None)
    members = [Member("search", 0.5, 1.0, 1.0, test_error=error) for error in errors]
    with made(config, tmp_path / "run") as place:
        job = Job(config, start, {}, place, Console(quiet=True))
        found = [
            m.test_error for m in with_test_errors(job, network, plans, params, members)
        ]
    test, x = start.data.test, start.data.normalize(start.data.test.inputs)
    outputs = [np.asarray(jc.forward(network, rows(plans, i), x)) for i in range(2)]
    coarse, fine = ((each.argmax(1) != test.targets).mean() for each in outputs)
    assert coarse > fine
    assert found == pytest.approx([coarse, 0.123, coarse, fine], abs=1e-6)
