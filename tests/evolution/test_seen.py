"""The table of what was told before."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings, strategies as st

from jaxcompress.evolution import (
    NSGA2,
    Evaluation,
    Grid,
    RandomSearch,
    evolve,
    nothing_seen,
    recall,
    remember,
)

quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
add, look = quick(remember), quick(recall)


def rows_of(seed: int, n: int = 300) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 9, (n, 5)).astype(np.int32)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_what_was_told_is_known_and_nothing_else(seed):
    told, others = rows_of(seed), rows_of(seed + 1)
    seen = add(nothing_seen(2), told)
    # 300 in 65,536 places: about 0.7 fall into a place that is taken, and may be lost.
    assert np.sum(~look(seen, told)) < 10
    known = {tuple(row) for row in told.tolist()}
    new = np.array([tuple(row) not in known for row in others.tolist()])
    assert not np.any(np.asarray(look(seen, others))[new])


def test_the_order_of_telling_makes_no_difference():
    first, second = rows_of(0), rows_of(1)
    one = add(add(nothing_seen(2), first), second)
    other = add(add(nothing_seen(2), second[::-1]), first[::-1])
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(one, add(one, first))


def test_the_table_grows_with_the_population_within_bounds():
    sizes = [nothing_seen(p).shape[0] for p in (2, 1024, 1025, 10**6)]
    assert sizes == [2**16, 2**16, 2**17, 2**20]


def test_a_whole_space_is_seen_before_anything_comes_again():
    # 64 genotypes in 8 generations of 8; then there is nothing new any more.
    grid = Grid([4, 4, 4])

    def cost(rows):
        return Evaluation(rows[:, :2].astype(jnp.float32), jnp.zeros(rows.shape[0]))

    for kind in (NSGA2, RandomSearch):
        algorithm = kind(8, grid, 2)
        found = quick(lambda key, a=algorithm: evolve(key, a, cost, 9))(jax.random.key(0))
        asked = np.asarray(found.genotypes)
        assert len(np.unique(asked[:8].reshape(-1, 3), axis=0)) == 64
        assert len(np.unique(asked[8], axis=0)) == 8
