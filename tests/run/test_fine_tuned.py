"""What is fine-tuned: a plan of several fronts once."""

import jax
import numpy as np
from hypothesis import given, settings, strategies as st

from jaxcompress.fine_tuned import _distinct, rows
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
