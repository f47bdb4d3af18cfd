"""The largest survivors, against a sort in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from jaxcompress.transforms import kept_count, largest

LARGEST = jax.jit(largest, static_argnums=3)
# Few different values, so that ties are the rule; a negative zero and the least floats.
VALUES = st.sampled_from([0.0, -0.0, 1e-45, 1e-38, 0.5, 1.0, 1.5, 3e38])


@pytest.mark.parametrize("by_sorting", [False, True])
@settings(max_examples=60, deadline=None)
@given(
    st.lists(VALUES, min_size=7, max_size=7),
    st.lists(st.booleans(), min_size=7, max_size=7),
    st.integers(0, 7),
)
def test_exactly_the_largest_are_marked(by_sorting, values, kept, count) -> None:
    sizes, mask = np.abs(np.asarray(values, np.float32)), np.asarray(kept)
    parts = [sizes[:4].reshape(2, 2), sizes[4:]]
    masks = [mask[:4].reshape(2, 2), mask[4:]]
    arrays = [*map(jnp.asarray, parts)], [*map(jnp.asarray, masks)]
    found = LARGEST(*arrays, count, by_sorting)
    marked = np.concatenate([np.asarray(part).ravel() for part in found])
    # A stable sort of the survivors: equals in order of their places.
    order = sorted(np.flatnonzero(mask), key=lambda i: -float(sizes[i]))
    wanted = np.zeros(7, bool)
    wanted[order[:count]] = True
    assert (marked == wanted).all()


def test_large_tensors_are_cut_at_the_quantile() -> None:
    rng = np.random.default_rng(0)
    sizes = np.abs(rng.normal(size=(64, 501))).astype(np.float32)
    kept = rng.random(sizes.shape) < 0.7
    count = int(kept.sum() * 0.3)
    (found,) = LARGEST([jnp.asarray(sizes)], [jnp.asarray(kept)], count, None)
    threshold = np.sort(sizes[kept])[-count]
    assert (np.asarray(found) == (kept & (sizes >= threshold))).all()
    assert int(found.sum()) == count


def test_counts_are_rounded_and_never_negative() -> None:
    counts = [
        int(kept_count(jnp.float32(s), jnp.int32(n)))
        for s, n in [(0.0, 9), (0.5, 9), (0.5, 10), (0.9, 1), (0.999, 1000), (0.25, 0)]
    ]
    assert counts == [9, 4, 5, 0, 1, 0]
