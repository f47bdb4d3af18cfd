"""Weight sharing by one-dimensional k-means, on cells: no sort, and one pass."""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxcompress.transforms.sharing import Cells, Sharing, ends, place, tally

# Cells for each shared value, and at least so many; their density is estimated in groups.
_CELLS_A_VALUE, _LEAST_CELLS, _GROUP = 16, 4096, 32


@dataclass(frozen=True)
class KMeans(Sharing):
    """Shares K values of small squared error (Lloyd 1982), O(N).

    The weights of a cell stay together; there are at least 16 cells for each value,
    narrow around the mean and wide far from it. The start has the density that is best
    for many values, the cube root of the weights' own (Panter and Dite 1951); with each
    of Lloyd's iterations one value may move to where it saves more error. Where no more
    than K cells are occupied, each has a value of its own.

    Attributes:
        zero: one of the K values is 0 (as in ANNC, Yang et al. 2020); it takes no place
            in the codebook if no entry is nearest to it.
        steps: iterations.

    Example:
        >>> import jax.numpy as jnp
        >>> w = jnp.asarray([0.0, 0.25, 0.75, 1.0])
        >>> KMeans()(w, jnp.asarray(2), jnp.ones(4, bool), 2).values
        Array([0.125, 0.125, 0.875, 0.875], dtype=float32)
    """

    zero: bool = False
    steps: int = 32

    def cells(
        self,
        weights: Float[Array, "..."],
        size: Int[Array, ""],
        kept: Bool[Array, "..."],
        max_size: int,
    ) -> tuple[Int[Array, "..."], Cells]:
        c = max(_LEAST_CELLS, _CELLS_A_VALUE * max_size)
        survivors = jnp.maximum(kept.sum(dtype=jnp.int32), 1)
        middle = jnp.sum(weights, where=kept) / survivors
        distance = jnp.abs(weights - middle)
        spread = jnp.sum(distance, where=kept) / survivors
        spread = jnp.where(spread > 0.0, spread, 1.0)
        # Equal steps of this ratio: an outlier takes few cells away from all others.
        ratio = (weights - middle) / (distance + spread)
        low, high = ends(ratio, kept)
        of = jnp.minimum(place(ratio, low, high, c), c - 1)
        marks = low + (high - low) * jnp.linspace(0.0, 1.0, c + 1)
        edges = middle + spread * marks / jnp.maximum(1.0 - jnp.abs(marks), 1e-6)
        return of, Cells(*tally(weights, kept, of, edges[:-1]), edges)

    def groups(
        self, cells: Cells, size: Int[Array, ""], max_size: int
    ) -> tuple[Int[Array, " c"], Bool[Array, " k"]]:
        size = jnp.minimum(size, max_size)
        line = _line_of(cells)

        def pinned(values: Float[Array, " k"]) -> Bool[Array, " k"]:
            return (jnp.arange(max_size) == jnp.argmin(jnp.abs(values))) & self.zero

        def step(values: Float[Array, " k"], _: None) -> tuple[Float[Array, " k"], None]:
            return _improved(line, values, pinned(values), size), None

        values = _start(cells, size, max_size)
        values = jnp.where(pinned(values), 0.0, values)
        values, _ = lax.scan(step, values, length=self.steps)
        group = jnp.searchsorted(_between(values), line.means, side="left")
        # No more cells than values: none needs to share, and none needs the 0.
        occupied = (cells.counts > 0).astype(jnp.int32)
        alone = occupied.sum() <= size - self.zero
        own = jnp.minimum(jnp.cumsum(occupied) - occupied, max_size - 1)
        return jnp.where(alone, own, group), pinned(values) & ~alone


class _Line(NamedTuple):
    """Cells in ascending order, ready for sums over any range of them.

    Attributes:
        means: of the survivors of each cell, or its middle if there is none.
        counts: how many survivors come before each cell, and at last of all.
        sums: their sum; lost: what float32 lost of it, so that small ranges are exact.
    """

    means: Float[Array, " c"]
    counts: Int[Array, " c1"]
    sums: Float[Array, " c1"]
    lost: Float[Array, " c1"]

    def within(
        self, first: Int[Array, " k"], last: Int[Array, " k"]
    ) -> tuple[Int[Array, " k"], Float[Array, " k"]]:
        """Returns count and mean of the ranges of cells first..last-1 (empty: 0, 0)."""
        count = self.counts[last] - self.counts[first]
        total = (self.sums[last] - self.sums[first]) + (self.lost[last] - self.lost[first])
        return count, total / jnp.maximum(count, 1)


def _line_of(cells: Cells) -> _Line:
    means = cells.sums / jnp.maximum(cells.counts, 1)
    means = jnp.where(cells.counts > 0, means, _between(cells.edges))
    counts = jnp.pad(jnp.cumsum(cells.counts), (1, 0))
    sums = jnp.pad(jnp.cumsum(cells.sums), (1, 0))
    lost = jnp.pad(jnp.cumsum(cells.sums - jnp.diff(sums)), (1, 0))
    return _Line(means, counts, sums, lost)


def _improved(
    line: _Line, values: Float[Array, " k"], pinned: Bool[Array, " k"], size: Int[Array, ""]
) -> Float[Array, " k"]:
    """Returns values of no larger error: an iteration of Lloyd's, and one move.

    Args:
        values: ascending; the first `size` count, the others are inf.
        pinned: the value that stays where it is.
    """
    inner = jnp.searchsorted(line.means, _between(values), side="right")
    first, last = jnp.pad(inner, (1, 0)), jnp.append(inner, line.means.size)
    count, mean = line.within(first, last)
    values = jnp.where(pinned | (count == 0), values, mean)
    if values.size < 3:
        return values
    # What a second value would save, if a set were cut at its mean.
    middle = jnp.searchsorted(line.means, values, side="right")
    middle = jnp.clip(middle, first, last)
    (lower, low), (upper, high) = line.within(first, middle), line.within(middle, last)
    saved = jnp.where(pinned, 0.0, _apart(lower, low, upper, high))
    cut = jnp.argmax(saved)
    # What one value instead of two would cost, for neighbours that the cut leaves alone.
    at = jnp.arange(1, values.size)
    cost = _apart(count[:-1], mean[:-1], count[1:], mean[1:])
    free = (at < size) & (at != cut) & (at - 1 != cut) & ~pinned[1:] & ~pinned[:-1]
    cost = jnp.where(free, cost, jnp.inf)
    left = jnp.argmin(cost)
    right = left + 1
    both = (count[left] * mean[left] + count[right] * mean[right]) / jnp.maximum(
        count[left] + count[right], 1
    )
    moved = values.at[left].set(both).at[right].set(high[cut]).at[cut].set(low[cut])
    return jnp.where(saved[cut] > cost[left], jnp.sort(moved), values)


def _apart(
    n: Int[Array, " k"], a: Float[Array, " k"], m: Int[Array, " k"], b: Float[Array, " k"]
) -> Float[Array, " k"]:
    """Returns how much less error two sets have with the means a and b than with one."""
    n, m = n.astype(jnp.float32), m.astype(jnp.float32)
    return n * m / jnp.maximum(n + m, 1.0) * jnp.square(b - a)


def _between(values: Float[Array, " k1"]) -> Float[Array, " k"]:
    return (values[1:] + values[:-1]) / 2


def _start(cells: Cells, size: Int[Array, ""], k: int) -> Float[Array, " {k}"]:
    """Returns `size` ascending values with the density of a fine quantizer, then inf."""
    counts, edges = cells.counts.reshape(-1, _GROUP).sum(1), cells.edges[::_GROUP]
    mass = jnp.cbrt(counts * jnp.square(jnp.diff(edges)))
    mass = jnp.pad(jnp.cumsum(mass), (1, 0))
    wanted = (jnp.arange(k) + 0.5) / size * mass[-1]
    return jnp.where(jnp.arange(k) < size, jnp.interp(wanted, mass, edges), jnp.inf)
