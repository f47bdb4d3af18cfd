"""Which symbols a histogram of values becomes on a grid, and where the grid ends.

Dimensions: BINS on each side of zero, equally wide in the square root of a magnitude;
values run from -1 to 1.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxcompress.transforms.quantize import PERCENTILE, SHRINKS, STEPS

BINS = 128
WIDTH = 1024  # symbols of a histogram; of larger alphabets the low bits are left out
# By bits: half a grid, the low bits that an entropy coder leaves out, the whole grid.
_HALF = np.asarray([0, 0] + [2 ** (b - 1) - 1 for b in range(2, 17)] + [0] * 16, np.int32)
_SHIFT = np.asarray([max(b - 10, 0) for b in range(17)] + [0] * 16, np.int32)
ALPHABET = np.asarray([1, 2] + [2**b - 1 for b in range(2, 17)] + [1] * 16, np.int32)
_EDGES = np.square(np.arange(BINS + 1, dtype=np.float32) / BINS)  # on one side of zero


def symbol(codes: Int[Array, "..."], bits: Int[Array, ""]) -> Int[Array, "..."]:
    """Returns codes of a grid as symbols 0..WIDTH - 1, without their low bits."""
    whole = (codes + jnp.asarray(_HALF)[bits]) >> jnp.asarray(_SHIFT)[bits]
    return jnp.where(bits == 1, (codes + 1) // 2, whole)


def alphabet(bits: Int[Array, "*n"]) -> Int[Array, "*n"]:
    """Returns how many symbols a grid has; 1 for plain values."""
    return jnp.asarray(ALPHABET)[bits]


def symbols_of(
    below: Float[Array, " edges"], end: Float[Array, ""], bits: Int[Array, ""]
) -> Float[Array, " WIDTH"]:
    """Returns how often each symbol occurs.

    Args:
        below: how many values are below each edge of the bins.
        end: the magnitude at the end of the grid.
    """
    steps = jnp.asarray(STEPS)[jnp.minimum(bits, 16)]
    # The lower edge of each symbol; all below the first are in it, those above the last.
    index = jnp.arange(WIDTH + 1)
    code = (index << jnp.asarray(_SHIFT)[bits]) - jnp.asarray(_HALF)[bits]
    edges = jnp.where(bits == 1, 0.0, (code - 0.5) * (end / jnp.maximum(steps, 1.0)))
    edges = jnp.where(index == 0, -1.0, edges)
    last = (jnp.asarray(ALPHABET)[bits] - 1) >> jnp.asarray(_SHIFT)[bits]
    return between(below, jnp.where(index > last, 1.0, edges))


def zero_symbol(bits: Int[Array, "*n"]) -> Int[Array, "*n"]:
    """Returns which symbol the zero of a grid is, or shares."""
    return jnp.asarray(_HALF >> _SHIFT)[bits]


def grid_end(
    below: Float[Array, " edges"],
    top: Float[Array, ""],
    bits: Int[Array, ""],
    scale_by: str,
    smooth: bool,
) -> Float[Array, ""]:
    """Returns the magnitude at the end of the grid, as `quantize` finds it.

    Args:
        below: as for `symbols_of`.
        top: the largest magnitude.
        smooth: whether this is the mean of many grids that are found one by one; a
            single one has one of the ranges that `quantize` tries.
    """
    found = jnp.diff(below)
    sizes = found[BINS:] + found[:BINS][::-1]
    if scale_by == "percentile":
        ends = jnp.cumsum(sizes)
        wanted = PERCENTILE / 100.0 * ends[-1]
        place = jnp.minimum(jnp.sum(ends < wanted), BINS - 1)
        inside = 1.0 - (ends[place] - wanted) / jnp.maximum(sizes[place], 1.0)
        top = jnp.square((place + jnp.clip(inside, 0.0, 1.0)) / BINS)
    top = jnp.where(top > 0.0, top, 1.0)
    if scale_by != "least_squares":
        return top
    losses = _losses(sizes, top, jnp.asarray(STEPS)[jnp.minimum(bits, 16)])
    best = jnp.argmin(losses)
    shrink = jnp.asarray(SHRINKS)[best]
    if smooth:  # the least of a parabola through three losses
        inner = jnp.clip(best, 1, SHRINKS.size - 2)
        below, least, above = losses[inner - 1], losses[inner], losses[inner + 1]
        bend = below - 2.0 * least + above
        shift = jnp.clip(0.5 * (below - above) / jnp.maximum(bend, 1e-30), -0.5, 0.5)
        width = float(SHRINKS[1] - SHRINKS[0])
        shrink = shrink + jnp.where(inner == best, shift, 0.0) * width
    return top * shrink


def _losses(
    sizes: Float[Array, " BINS"], top: Array, steps: Array
) -> Float[Array, " shrinks"]:
    """Returns the squared error at each of the ranges that `quantize` tries."""
    edges = jnp.asarray(_EDGES / SHRINKS[:, None]) * (steps / top)  # in steps of the grid
    codes = jnp.minimum(jnp.round(edges), steps)
    # Its integral from 0 to each edge, in units of a step: 1/12 for a whole one.
    upto = codes / 12.0 + (edges - codes) ** 3 / 3.0
    # Summed by parts: how much denser values are below each edge than above it.
    falls = -jnp.diff(sizes / jnp.asarray(np.diff(_EDGES)), prepend=0.0, append=0.0)
    return (upto * falls).sum(axis=1) * jnp.asarray(SHRINKS) ** 3


def between(
    below: Float[Array, " edges"], values: Float[Array, " n1"]
) -> Float[Array, " n"]:
    """Returns how many entries are between values that follow each other."""
    places = place(values)
    # Not the difference of one array, which compiles to a slow loop on a CPU.
    return jnp.maximum(at(below, places[1:]) - at(below, places[:-1]), 0.0)


def at(below: Float[Array, " edges"], places: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Returns how many entries are below some places."""
    first = jnp.clip(places.astype(jnp.int32), 0, 2 * BINS - 1)
    lower, upper = below[first], below[first + 1]
    return lower + (places - first) * (upper - lower)


def place(values: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Returns the bin of each value, and how far in it, 0..2 BINS."""
    root = jnp.sqrt(jnp.minimum(jnp.abs(values), 1.0))
    return BINS * (1.0 + jnp.sign(values) * root)
