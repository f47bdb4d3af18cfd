"""What is fine-tuned, and from where: a plan of several fronts once."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from rich.console import Console

from jaxcompress.config import Config
from jaxcompress.fine_tuned import _distinct, rows
from jaxcompress.given import given as read, traced
from jaxcompress.job import Job
from jaxcompress.prepared import before_focus
from jaxcompress.run_directory import made
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


@pytest.mark.parametrize(
    ("given", "before"),
    [
        ({"adapt": {"focus": 1}}, True),
        ({"adapt": {"focus": 1, "every": 2}}, False),  # trained for what was found
        ({"adapt": {"focus": 1}, "first": {"kinds": ["channels"]}}, False),
        ({"adapt": {"epochs": 1}}, False),
    ],
)
def test_training_begins_with_the_weights_before_focus(
    given: dict[str, Any], before: bool, tmp_path: Path
) -> None:
    config = Config.model_validate({"model": "run.tiny:network", **given})
    key = jax.random.key(0)
    start = read(config, key)
    assert start.apply is not None
    network = traced(start, start.apply, start.params)
    adapted = {path: leaf + 1 for path, leaf in network.leaves().items()}
    with made(config, tmp_path / "run") as place:
        place.kept("adapt", lambda: adapted)
        job = Job(config, start, {"adapt": key}, place, Console(quiet=True))
        begin = network.leaves(before_focus(job, network, network.params))
    wanted = adapted if before else network.leaves()
    jax.tree.map(np.testing.assert_array_equal, begin, wanted)
