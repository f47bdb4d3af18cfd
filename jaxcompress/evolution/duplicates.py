"""Copies in a population: finding them exactly, and replacing them.

On a grid of integers copies are the rule, and each one wastes an evaluation.

Dimensions: n genotypes, k genotypes known before, c candidates, d genes.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Int, Key, UInt32

Mutate = Callable[[Array, Array], Array]
Known = Callable[[Array], Array]


def duplicate_mask(
    genotypes: Int[Array, "n d"], against: Int[Array, "k d"] | None = None
) -> Bool[Array, " n"]:
    """Marks every copy after the first, and every row that stands in `against`.

    Rows are sorted by a 64-bit hash and neighbours are compared in full. Should two
    different rows ever have the same hash, all pairs are compared: the result is exact.

    Args:
        genotypes: int32 [n, d].
        against: int32 [k, d], rows that count as seen before; None for none.

    Returns:
        bool [n].

    Example:
        >>> duplicate_mask(jnp.array([[1, 2], [3, 4], [1, 2]]))
        Array([False, False,  True], dtype=bool)
    """
    n = genotypes.shape[0]
    rows = genotypes if against is None else jnp.concatenate([against, genotypes])
    high, low = hash_pair(rows)
    index = jnp.arange(rows.shape[0])
    high, low, order = lax.sort((high, low, index), num_keys=2, is_stable=True)
    ordered = rows[order]
    same_hash = (high[1:] == high[:-1]) & (low[1:] == low[:-1])
    same_row = jnp.all(ordered[1:] == ordered[:-1], axis=1)
    copies = jnp.zeros(rows.shape[0], bool).at[order[1:]].set(same_row)
    collided = jnp.any(same_hash & ~same_row)
    # A loop of one round at most, and not a cond: under vmap a cond would always pay
    # for the slow branch, while a loop runs only if some member of the batch needs it.
    copies, _ = lax.while_loop(
        lambda carry: carry[1],
        lambda carry: (_compare_all(rows), jnp.zeros_like(carry[1])),
        (copies, collided),
    )
    return copies[rows.shape[0] - n :]


def replace_duplicates(
    key: Key[Array, ""],
    genotypes: Int[Array, "n d"],
    against: Int[Array, "k d"] | None,
    mutate: Mutate,
    rounds: int,
    known: Known | None = None,
) -> Int[Array, "n d"]:
    """Mutates copies, and what is known, again and again until none is left.

    Args:
        key: random key, consumed.
        genotypes: int32 [n, d].
        against: int32 [k, d], rows that must not come up either; None for none.
        mutate: (key, int32 [n, d]) -> int32 [n, d]; only its rows for copies are used.
        rounds: the most rounds; a crowded corner of the space may need several. After
            them as many more are for copies alone, should known rows be left.
        known: int32 [n, d] -> bool [n], for any n: which others must not come up; None
            for none.

    Returns:
        int32 [n, d], equal to `genotypes` where these were neither copies nor known.
        Some of both may be left after the last round.

    Raises:
        ValueError: `rounds` is negative.
    """
    if rounds < 0:
        raise ValueError(f"replace_duplicates: rounds is {rounds}; pass 0 or more rounds.")

    def go_on(carry):
        count, _, again = carry
        return (count < (rounds if known is None else 2 * rounds)) & again

    def replace(carry):
        count, rows, _ = carry
        copies = duplicate_mask(rows, against)
        if known is not None:
            copies |= known(rows) & (count < rounds)
        again = jnp.any(copies)

        def fresh(rows):
            changed = mutate(jax.random.fold_in(key, count), rows)
            return jnp.where(copies[:, None], changed, rows)

        return count + 1, lax.cond(again, fresh, lambda rows: rows, rows), again

    start = (jnp.zeros((), jnp.int32), genotypes, jnp.array(True))
    return lax.while_loop(go_on, replace, start)[1]


def fill_unseen(
    key: Key[Array, ""],
    genotypes: Int[Array, "n d"],
    against: Int[Array, "k d"] | None,
    candidates: Int[Array, "c d"],
    known: Known | None = None,
) -> Int[Array, "n d"]:
    """Replaces copies by random candidates that nobody has: as many as there are.

    For spaces so small that all their genotypes are the candidates, where mutation
    seldom hits the few that are free.

    Args:
        key: random key, consumed.
        genotypes: int32 [n, d].
        against: int32 [k, d], rows that must not come up either; None for none.
        candidates: int32 [c, d]; copies among them count once.
        known: see `replace_duplicates`; a copy is replaced by what is known if nothing
            else is left, for a known genotype is better than two of the same.

    Returns:
        int32 [n, d], equal to `genotypes` where these were neither copies nor known, and
        free of copies if enough candidates are free.
    """
    copies = duplicate_mask(genotypes, against)
    old = jnp.zeros_like(copies) if known is None else known(genotypes) & ~copies

    def fill(_):
        present = genotypes if against is None else jnp.concatenate([against, genotypes])
        taken = duplicate_mask(candidates, present)
        seen = jnp.zeros_like(taken) if known is None else known(candidates)
        score = jax.random.uniform(key, taken.shape)
        order = jnp.lexsort((score, seen, taken))
        # The i-th copy gets the i-th free candidate, then the known ones what is new.
        turn = jnp.where(copies, jnp.cumsum(copies), jnp.sum(copies) + jnp.cumsum(old)) - 1
        free = jnp.where(copies, jnp.sum(~taken), jnp.sum(~taken & ~seen))
        served = (copies | old) & (turn < free)
        chosen = candidates[order[jnp.minimum(turn, taken.size - 1)]]
        return jnp.where(served[:, None], chosen, genotypes)

    return lax.cond(jnp.any(copies | old), fill, lambda _: genotypes, None)


def _compare_all(rows: Int[Array, "n d"]) -> Bool[Array, " n"]:
    """Marks copies in O(n² d), one row at a time so that memory stays O(n d)."""
    index = jnp.arange(rows.shape[0])

    def seen_before(item):
        row, position = item
        equal = jnp.all(rows == row[None, :], axis=1)
        return jnp.any(equal & (index < position))

    return lax.map(seen_before, (rows, index))


def hash_pair(
    rows: Int[Array, "n d"],
) -> tuple[UInt32[Array, " n"], UInt32[Array, " n"]]:
    """Two independent 32-bit hashes of each row."""
    columns = np.arange(1, rows.shape[1] + 1, dtype=np.uint32)
    values = rows.astype(jnp.uint32)

    def one(salt: int) -> Array:
        # Each gene is scrambled together with its position (the finalizer of
        # MurmurHash3), for a plain weighted sum collides on regular populations.
        mixed = values * np.uint32(0x9E3779B1) + (columns * np.uint32(salt))[None, :]
        mixed = (mixed ^ (mixed >> 16)) * np.uint32(0x85EBCA6B)
        mixed = (mixed ^ (mixed >> 13)) * np.uint32(0xC2B2AE35)
        mixed = mixed ^ (mixed >> 16)
        return jnp.sum(mixed, axis=1, dtype=jnp.uint32)

    return one(0x7FEB352D), one(0x846CA68B)
