"""Short lists of small integers that are like their neighbours: an entropy coder's header.

The differences, folded to 0, 1, 2, … (0, -1, 1, -2, …), stand in exponential-Golomb codes
(Teuhola 1978) of the order 0..7 that is shortest: order k writes v as v + 2^k, after as
many zeros as this has bits beyond k + 1.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcompress.annotations import Array, Float, Int
from jaxcompress.codings.stream import Bits, Reader, code_bits, number_bits

_ORDERS = np.arange(8)
_COLUMNS = 32
_LONGEST = 72  # bits of a code that is not damaged, by far


def levels_bits(levels: Int[np.ndarray, " n"]) -> Bits:
    """Returns a list of integers >= 0 as bits."""
    steps = np.diff(levels, prepend=0)
    folded = np.where(steps < 0, -2 * steps - 1, 2 * steps)
    candidates = [_lengths(folded, int(order)) for order in _ORDERS]
    order = int(np.argmin([lengths.sum() for lengths in candidates]))
    return np.concatenate(
        [
            number_bits(order, len(_ORDERS) - 1),
            code_bits(folded + (1 << order), candidates[order]),
        ]
    )


def read_levels(reader: Reader, count: int, largest: int) -> Int[np.ndarray, " count"]:
    """Returns what `levels_bits` wrote.

    Raises:
        ValueError: a level is not in 0..largest: the data are damaged.
    """
    order = reader.number(len(_ORDERS) - 1)
    text = (reader.rest[: count * _LONGEST] + ord("0")).tobytes()
    levels, level, place = np.zeros(count, np.int64), 0, 0
    for index in range(count):
        first = text.find(b"1", place, place + _LONGEST // 2)
        stop = 2 * first - place + order + 1
        if first < 0 or stop > len(text):
            raise ValueError("the data are damaged, or too short: a level has no end")
        folded = int(text[first:stop], 2) - (1 << order)
        level += -(folded + 1) // 2 if folded % 2 else folded // 2
        if not 0 <= level <= largest:
            raise ValueError(f"the data are damaged: a level is {level}, not 0..{largest}")
        levels[index], place = level, stop
    reader.skip(place)
    return levels


def levels_size(
    levels: Int[Array, " n"], count: Int[Array, ""], before: Int[Array, ""] | None = None
) -> Float[Array, ""]:
    """Returns the number of bits of `levels_bits` for the first `count` levels.

    Args:
        before: one more, which comes before them; None for none.
    """
    start = jnp.int32(0) if before is None else before
    folded = _folded(
        levels - jnp.where(jnp.arange(levels.size) == 0, start, jnp.roll(levels, 1))
    )
    # Of many at once: sums over columns before one of a line.
    folded = jnp.where(jnp.arange(levels.size) < count, folded, -1)
    folded = jnp.pad(folded, (0, -levels.size % _COLUMNS), constant_values=-1)
    folded, orders = folded.reshape(-1, _COLUMNS), jnp.asarray(_ORDERS)
    lengths = jnp.where(folded < 0, 0, _length(folded, orders[:, None, None]))
    lengths = lengths.sum(axis=1).sum(axis=1)
    if before is not None:
        lengths = lengths + _length(_folded(before), orders)
    return (3 + lengths.min()).astype(jnp.float32)


def _folded(steps: Int[Array, "*n"]) -> Int[Array, "*n"]:
    return jnp.where(steps < 0, -2 * steps - 1, 2 * steps)


def _length(folded: Int[Array, "*n"], order: Int[Array, "*m"]) -> Int[Array, "..."]:
    # The exponent of a float, not `bit_length`: it is found for many at once on a CPU.
    plus = (folded + (1 << order)).astype(jnp.float32)
    return 2 * ((lax.bitcast_convert_type(plus, jnp.int32) >> 23) - 126) - 1 - order


def _lengths(folded: Int[np.ndarray, " n"], order: int) -> Int[np.ndarray, " n"]:
    # frexp's exponent of an integer is the number of its bits.
    return 2 * np.frexp(folded + (1 << order))[1].astype(np.int64) - 1 - order
