"""Operators for binary genes in groups, each of which keeps its number of ones.

For masks that say which of a group's members are kept, when how many is fixed elsewhere.

Dimensions: n genotypes, d genes. A gene's group is an id, 0 or more; a gene with a
negative id belongs to none and is left alone.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key

from jaxcompress.evolution.crossover import Pair
from jaxcompress.evolution.mutation import Rate


def exchange_mutation(
    key: Key[Array, ""],
    genotypes: Int[Array, "n d"],
    groups: np.ndarray,
    rate: Rate,
) -> Int[Array, "n d"]:
    """Turns a random 1 off and a random 0 on, in each group that is drawn.

    Args:
        key: random key, consumed.
        genotypes: int32 [n, d], 0 or 1 where `groups` is not negative.
        groups: int [d], static.
        rate: probability that a group is drawn, in [0, 1].

    Returns:
        int32 [n, d]; each group has as many ones as before. A group of equal genes stays.

    Example:
        >>> groups = np.array([0, 0, -1])
        >>> exchange_mutation(jax.random.key(0), jnp.array([[1, 0, 7]]), groups, 1.0)
        Array([[0, 1, 7]], dtype=int32)
    """
    key_draw, key_exchange = jax.random.split(key)
    shape = genotypes.shape[0], group_count(groups)
    drawn = jax.random.bernoulli(key_draw, rate, shape)
    return exchange_drawn(key_exchange, genotypes, groups, drawn)


def group_count(groups: np.ndarray, least: int = 1) -> int:
    """Returns how many groups there are with `least` members or more."""
    return int(np.sum(np.unique(groups[groups >= 0], return_counts=True)[1] >= least))


def group_is_mixed(
    genotypes: Int[Array, "n d"], groups: np.ndarray
) -> Bool[Array, "n groups"]:
    """Returns which groups have both a 1 and a 0, in the order of the groups' ids."""
    member = _members(groups, genotypes.shape[1])[None]
    ones = (genotypes == 1)[:, None, :]
    return jnp.any(member & ones, axis=2) & jnp.any(member & ~ones, axis=2)


def exchange_drawn(
    key: Key[Array, ""],
    genotypes: Int[Array, "n d"],
    groups: np.ndarray,
    drawn: Bool[Array, "n groups"],
) -> Int[Array, "n d"]:
    """Turns a random 1 off and a random 0 on in the groups that are drawn.

    Args:
        key: random key, consumed.
        genotypes: int32 [n, d], 0 or 1 where `groups` is not negative.
        groups: int [d], static.
        drawn: bool [n, groups], in the order of the groups' ids.

    Returns:
        int32 [n, d].
    """
    member = _members(groups, genotypes.shape[1])
    key_one, key_zero = jax.random.split(key)

    def pick(key: Array, wanted: Bool[Array, "n d"]) -> tuple[Array, Array]:
        # In each group one of the wanted genes, [n, groups, d], and if there is one.
        score = jax.random.uniform(key, wanted.shape)
        score = jnp.where(wanted[:, None, :] & member[None], score[:, None, :], -1.0)
        gene = jnp.argmax(score, axis=2)[:, :, None]
        found = jnp.any(wanted[:, None, :] & member[None], axis=2)
        return jnp.arange(wanted.shape[1])[None, None, :] == gene, found

    off, has_one = pick(key_one, genotypes == 1)
    on, has_zero = pick(key_zero, genotypes == 0)
    moved = (drawn & has_one & has_zero)[:, :, None]
    flipped = jnp.any((off | on) & moved, axis=1)
    return jnp.where(flipped, 1 - genotypes, genotypes)


def exchange_crossover(
    key: Key[Array, ""],
    first: Int[Array, "n d"],
    second: Int[Array, "n d"],
    groups: np.ndarray,
) -> Pair:
    """Shares the genes out in which the parents differ, group by group.

    What both parents have, both children have. Of the genes that are 1 in just one
    parent, each child gets a random half, or rather as many as make up its own parent's
    number of ones: child i has in each group as many ones as parent i.

    Args:
        key: random key, consumed.
        first: int32 [n, d], 0 or 1 where `groups` is not negative.
        second: int32 [n, d], likewise.
        groups: int [d], static.

    Returns:
        Two children for each pair, int32 [n, d] each; genes without a group as in the
        parents.
    """
    member = _members(groups, first.shape[1])
    number = jnp.argmax(member, axis=0)  # of each gene's group; any where it has none
    inside = jnp.any(member, axis=0)[None, :]
    differs = (first != second) & inside
    score = jax.random.uniform(key, first.shape)
    # Group by group, those in which the parents differ first, in random order.
    group = jnp.broadcast_to(
        jnp.where(inside, number[None, :], member.shape[0]), score.shape
    )
    order = jnp.lexsort((score, ~differs, group), axis=1)
    sizes = jnp.sum(member, axis=1)
    place = jnp.argsort(order, axis=1) - (jnp.cumsum(sizes) - sizes)[number][None, :]
    given = jnp.where(differs, first, 0).astype(jnp.float32) @ member.T.astype(jnp.float32)
    wanted = given.astype(jnp.int32)[:, number]
    # What the first child does not take, the second does: then its number is right too.
    taken = place < wanted
    child_a = jnp.where(differs, taken.astype(first.dtype), first)
    child_b = jnp.where(differs, (~taken).astype(first.dtype), second)
    return child_a, child_b


def _members(groups: np.ndarray, width: int) -> Bool[Array, "k d"]:
    ids = np.asarray(groups)
    if ids.shape != (width,) or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(
            f"groups have dtype {ids.dtype} and shape {ids.shape}; pass one integer for "
            f"each of {width} genes, negative for those without a group."
        )
    names = np.unique(ids[ids >= 0])
    return jnp.asarray(ids[None, :] == names[:, None])
