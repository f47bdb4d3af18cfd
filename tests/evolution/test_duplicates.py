"""Copies: found exactly, even when hashes collide, and replaced."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from jaxcompress.evolution import (
    Grid,
    change_one_gene,
    duplicate_mask,
    duplicates,
    fill_unseen,
    replace_duplicates,
)

# Compiled, for eager calls compile every operation by itself, and quickly.
quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
mask_of = quick(duplicate_mask)


def rows_of(n: int):
    return arrays(np.int32, (n, 3), elements=st.integers(0, 2))


def copies(genotypes, against=()) -> list[bool]:
    seen, marks = {tuple(map(int, row)) for row in against}, []
    for row in genotypes:
        marks.append(tuple(map(int, row)) in seen)
        seen.add(tuple(map(int, row)))
    return marks


@settings(max_examples=60, deadline=None)
@given(genotypes=rows_of(10), against=rows_of(4))
def test_mask_equals_a_set_of_tuples(genotypes, against):
    assert mask_of(genotypes).tolist() == copies(genotypes)
    assert mask_of(genotypes, against).tolist() == copies(genotypes, against)


@pytest.mark.parametrize("weak", ["constant", "sum"])
def test_equal_hashes_of_different_rows_are_not_confused(monkeypatch, weak):
    def hash_pair(rows):
        total = rows.sum(axis=1) if weak == "sum" else jnp.zeros(len(rows), int)
        total = total.astype(jnp.uint32)
        return total, total

    monkeypatch.setattr(duplicates, "hash_pair", hash_pair)
    rng = np.random.default_rng(0)
    exact = quick(lambda rows: duplicate_mask(rows[4:], rows[:4]))
    # A, B, A with equal hashes: comparing neighbours alone would miss the second A.
    rows = rng.integers(0, 3, (20, 30, 3)).astype(np.int32)
    rows[0, :7] = [[0, 1, 2], [2, 1, 0], [0, 1, 2], [1, 1, 1], [0, 1, 2]] + 2 * [[1] * 3]
    for batch in rows:
        assert exact(batch).tolist() == copies(batch[4:], batch[:4])
    together = jax.vmap(exact)(rows)
    assert together.tolist() == [copies(batch[4:], batch[:4]) for batch in rows]


def test_the_hash_spreads_regular_rows():
    # All 4,096 rows of a binary grid, and a ladder in one gene: no 64-bit collision,
    # and no more 32-bit collisions than chance explains (expected 0.002 each).
    binary = np.stack(np.unravel_index(np.arange(4096), (2,) * 12), axis=1)
    ladder = np.zeros((4096, 12), np.int64)
    ladder[:, 5] = np.arange(4096)
    for rows in (binary, ladder):
        for half in duplicates.hash_pair(jnp.asarray(rows, jnp.int32)):
            assert len(np.unique(half)) >= 4095


def test_replacing_leaves_first_copies_and_makes_the_rest_new():
    grid = Grid(np.full(6, 4))
    genotypes = jnp.zeros((16, 6), jnp.int32).at[3].set(1)
    against = jnp.full((2, 6), 1, jnp.int32)

    def change(key, rows):
        return change_one_gene(key, rows, grid)

    replace = quick(partial(replace_duplicates, mutate=change, rounds=8))
    replaced = replace(jax.random.key(0), genotypes, against)
    assert not any(copies(np.asarray(replaced), np.asarray(against)))
    np.testing.assert_array_equal(replaced[0], 0)  # the first is no copy: untouched


def test_replacing_is_bounded():
    def stubborn(key, rows):
        return rows

    genotypes = jnp.zeros((4, 2), jnp.int32)
    replace = quick(partial(replace_duplicates, mutate=stubborn, rounds=3))
    same = replace(jax.random.key(0), genotypes, None)
    np.testing.assert_array_equal(same, genotypes)
    with pytest.raises(ValueError, match="rounds is -1"):
        replace_duplicates(jax.random.key(0), genotypes, None, stubborn, -1)


def test_filling_takes_what_is_free_and_only_that():
    candidates = jnp.arange(6, dtype=jnp.int32)[:, None]
    genotypes = jnp.array([[0], [0], [0], [5]], jnp.int32)
    against = jnp.array([[1], [2]], jnp.int32)
    fill = quick(fill_unseen)
    filled = np.asarray(fill(jax.random.key(0), genotypes, against, candidates))
    assert filled[0] == 0
    assert filled[3] == 5
    assert {int(filled[1, 0]), int(filled[2, 0])} == {3, 4}
    # What is known comes after what is new, and is replaced by new ones only: of the free
    # 3 and 4, 4 was seen; 5 was seen too, and gives way to nothing.
    known = quick(
        lambda rows: fill_unseen(
            jax.random.key(0), rows, against, candidates, lambda rows: rows[:, 0] >= 4
        )
    )
    assert np.asarray(known(genotypes))[:, 0].tolist() == [0, 3, 4, 5]
    one = jnp.array([[0], [0], [3], [5]], jnp.int32)  # nothing new is left
    assert np.asarray(known(one))[:, 0].tolist() == [0, 4, 3, 5]
    one = jnp.array([[0], [4], [4], [5]], jnp.int32)  # copies first: 3 is for the second 4
    assert np.asarray(known(one))[:, 0].tolist() == [0, 4, 3, 5]
    # One free candidate for two copies: one is served, the other stays.
    filled = np.asarray(fill(jax.random.key(0), genotypes, against, candidates[:4]))
    assert filled[:, 0].tolist() == [0, 3, 0, 5]
