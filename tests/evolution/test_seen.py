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
    # 300 in 262,144 places: about 0.2 fall into a place that is taken.
    assert np.sum(~look(seen, told)) < 5
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
    sizes = [nothing_seen(p).shape[0] for p in (2, 4096, 4097, 10**6)]
    assert sizes == [2**18, 2**18, 2**19, 2**22]


def test_of_twenty_thousand_a_few_in_a_hundred_are_lost():
    rows = np.stack(np.unravel_index(np.arange(20_000), (30, 30, 30)), 1).astype(np.int32)
    lost = np.mean(~np.asarray(look(add(nothing_seen(100), rows), rows)))
    share = 20_000 / 2**18  # of places; each genotype meets about as many others
    assert abs(lost - share / 2) < 0.005


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
