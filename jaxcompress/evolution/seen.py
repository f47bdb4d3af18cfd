"""Which genotypes were told before: a table of hashes on the device.

It takes as long for the millionth genotype as for the first. Of two genotypes that fall
into one place only one is remembered: of 20,000 in the smallest table some 4 in 100 are
lost. One that was never told is taken for known once in four billion times. So it is good
for avoiding what was seen, not for looking it up.

Dimensions: n genotypes, d genes, s places.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, UInt32

from jaxcompress.evolution.duplicates import hash_pair

LEAST, MOST = 2**18, 2**22


def nothing_seen(population_size: int) -> UInt32[Array, " s"]:
    """Returns the empty table: 64 places or more for a member, up to 4 million in all."""
    places = 2 ** (64 * population_size - 1).bit_length()
    return jnp.zeros(min(max(places, LEAST), MOST), jnp.uint32)


def remember(
    seen: UInt32[Array, " s"], genotypes: Int[Array, "n d"]
) -> UInt32[Array, " s"]:
    """Returns the table with more genotypes.

    Args:
        seen: uint32 [s], from `nothing_seen` or `remember`.
        genotypes: int32 [n, d].

    Example:
        >>> seen = remember(nothing_seen(2), jnp.array([[1, 2], [3, 4]]))
        >>> recall(seen, jnp.array([[3, 4], [4, 3]]))
        Array([ True, False], dtype=bool)
    """
    place, mark = _place_and_mark(seen, genotypes)
    # The larger mark stays: whichever is written last, the table is the same.
    return seen.at[place].max(mark)


def recall(seen: UInt32[Array, " s"], genotypes: Int[Array, "n d"]) -> Bool[Array, " n"]:
    """Returns which genotypes, int32 [n, d], are in the table."""
    place, mark = _place_and_mark(seen, genotypes)
    return seen[place] == mark


def _place_and_mark(
    seen: UInt32[Array, " s"], genotypes: Int[Array, "n d"]
) -> tuple[Int[Array, " n"], UInt32[Array, " n"]]:
    high, low = hash_pair(genotypes)
    place = low & jnp.uint32(seen.shape[0] - 1)
    return place.astype(jnp.int32), jnp.maximum(high, 1)  # 0 is an empty place
