"""The entries of a whole tensor, counted once, so that any part of it can be added up.

A tensor is cut into lines, the runs in which it is stored, and each line into places: one
of the two is an output channel, the other all that a channel is made of. Lines of like
magnitude form a class, and so do places. A cell is a class of lines by a class of places;
its entries are counted in fine bins. What survives of a cell is counted as that share of
each of its bins.
"""

from dataclasses import dataclass
from functools import partial
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxcompress.objectives.grids import BINS, WIDTH, grid_end, symbol, symbols_of
from jaxcompress.transforms import quantize
from jaxcompress.transforms.quantize import ALLOWED_BITS

CLASSES = 16
FACTORS = np.exp(np.linspace(-0.4, 0.4, 161)).astype(np.float32)  # of the end of a grid
_LISTED = 4096  # of the largest entries, of all scales together
_LEAST_LISTED = 32  # of those of one scale


@dataclass(frozen=True, eq=False)
class Cells:
    """What is counted of a tensor; host arrays.

    Values are divided by the scale that they have in the whole tensor at 3 bits, and then
    by the largest magnitude of all.

    Attributes:
        line_axes, place_axes: the tensor's axes that make up lines, and places.
        counts: float32, how many entries are in each bin; these run from -1 to 1.
        lines, places: 1 where a line, or a place, belongs to a class, else 0.
        largest: the largest magnitudes of each scale, falling.
        largest_lines, largest_places: where these are.
        by_line, by_place: whether each line, or place, has a scale of its own.
        factors: by bits, what the end of the grid that bins show is multiplied by: so
            the histogram of the whole tensor has the entropy of its codes.
        steps: as many shares of a line's or a place's class are told apart; of so many
            all sums are exact in float32, and so the same in any order.
    """

    line_axes: tuple[int, ...]
    place_axes: tuple[int, ...]
    counts: Float[np.ndarray, "classes classes bins"]
    lines: Float[np.ndarray, "lines classes"]
    places: Float[np.ndarray, "places classes"]
    largest: Float[np.ndarray, "scales listed"]
    largest_lines: Int[np.ndarray, "scales listed"]
    largest_places: Int[np.ndarray, "scales listed"]
    by_line: bool
    by_place: bool
    factors: Float[np.ndarray, "17"]
    steps: float


def cells(
    weight: Float[np.ndarray, "..."],
    out_axes: tuple[int, ...],
    granularity: str,
    scale_by: str,
) -> Cells:
    """Counts the entries of a tensor; on the host.

    Args:
        weight: float32.
        out_axes: its output channels.
        granularity, scale_by: as of a plan.
    """
    others = tuple(d for d in range(weight.ndim) if d not in out_axes)
    across = weight.ndim - 1 in out_axes  # successive entries are of different channels
    line_axes, place_axes = (others, out_axes) if across else (out_axes, others)
    shape = [prod(weight.shape[d] for d in axes) for axes in (line_axes, place_axes)]
    own = granularity == "channel"
    axes = out_axes if own else ()
    values = weight / _unit(weight, axes, scale_by)
    values = np.transpose(values, line_axes + place_axes).reshape(shape)
    by_line, by_place = own and not across, own and across
    values = values / (np.abs(values).max(initial=0.0) or 1.0)
    power = np.square(values)
    line_class, place_class = _classes(power.mean(axis=1)), _classes(power.mean(axis=0))
    root = np.minimum((np.sqrt(np.abs(values)) * BINS).astype(np.int32), BINS - 1)
    bins = np.where(values < 0.0, BINS - 1 - root, BINS + root)
    bins += 2 * BINS * (CLASSES * line_class[:, None] + place_class)
    counts = np.bincount(bins.ravel(), minlength=CLASSES * CLASSES * 2 * BINS)
    counts = counts.reshape(CLASSES, CLASSES, 2 * BINS).astype(np.float32)
    found, listed = counts.sum(axis=(0, 1)), _largest(np.abs(values), by_line, by_place)
    factors = np.ones(17, np.float32)
    if own and scale_by == "least_squares":
        factors = _factors(weight, axes, found, float(listed[0][:, 0].mean()))
    return Cells(
        line_axes,
        place_axes,
        counts,
        np.eye(CLASSES, dtype=np.float32)[line_class],
        np.eye(CLASSES, dtype=np.float32)[place_class],
        *listed,
        by_line,
        by_place,
        factors,
        float(min(int(np.sqrt(2.0**24 / max(found.max(), 1.0))), 256)),
    )


def _unit(weight: np.ndarray, axes: tuple[int, ...], scale_by: str) -> np.ndarray:
    """Returns the scales of the whole tensor at 3 bits: others are close to multiples."""
    with jax.ensure_compile_time_eval():
        kept = np.ones(weight.shape, bool)
        scale = np.asarray(_coded(weight, np.int32(3), kept, axes, scale_by)[0])
    return np.where(scale > 0.0, scale, 1.0)


@partial(jax.jit, static_argnums=(3, 4))
def _coded(
    weight: Array, bits: Array, kept: Array, axes: tuple[int, ...], scale_by: str
) -> tuple[Array, Array]:
    """Returns scales and symbols, both of one program for each shape."""
    found = quantize(weight, bits, kept, axes, scale_by)
    return found.scale, symbol(found.codes, bits)


def _factors(
    weight: np.ndarray, axes: tuple[int, ...], found: np.ndarray, top: float
) -> Float[np.ndarray, "17"]:
    """Returns `Cells.factors`.

    Each channel chooses its grid for itself; how these differ at some bits the unit of
    other bits does not show.
    """
    factors, kept = np.ones(17, np.float32), np.ones(weight.shape, bool)
    with jax.ensure_compile_time_eval():
        for bits in map(jnp.int32, ALLOWED_BITS):
            if 1 < bits < 32:
                _, symbols = _coded(weight, bits, kept, axes, "least_squares")
                counted = np.bincount(np.ravel(symbols), minlength=WIDTH)
                counted = counted.astype(np.float32)
                given = map(jnp.asarray, (counted, found, np.float32(top)))
                factors[bits] = _factor(*given, bits)
    return factors


@jax.jit
def _factor(
    counted: Float[Array, " WIDTH"],
    found: Float[Array, " bins"],
    top: Float[Array, ""],
    bits: Int[Array, ""],
) -> Float[Array, ""]:
    """Returns which of `FACTORS` gives a histogram the entropy of counted codes."""
    end = grid_end(found, top, bits, "least_squares", smooth=True)
    each = jax.vmap(lambda factor: _entropy(symbols_of(found, factor * end, bits)))
    off = jnp.abs(each(jnp.asarray(FACTORS)) - _entropy(counted))
    return jnp.asarray(FACTORS)[jnp.argmin(off)]


def _entropy(counts: Float[Array, " n"]) -> Float[Array, ""]:
    """Returns bits an entry."""
    share = counts / jnp.maximum(counts.sum(), 1.0)
    return -jnp.sum(share * jnp.log2(jnp.where(share > 0.0, share, 1.0)))


def _classes(power: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Returns classes of equally many, by rank."""
    classes = np.empty(power.size, np.int64)
    number = min(power.size, CLASSES)
    classes[np.argsort(power, kind="stable")] = np.arange(power.size) * number // power.size
    return classes


def _largest(
    sizes: np.ndarray, by_line: bool, by_place: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the largest entries of each scale, their lines and their places."""
    lines = np.arange(sizes.shape[0], dtype=np.int32)[:, None]
    places = np.arange(sizes.shape[1], dtype=np.int32)
    grids = [np.broadcast_to(grid, sizes.shape) for grid in (sizes, lines, places)]
    if by_place:
        grids = [grid.T for grid in grids]
    elif not by_line:
        grids = [grid.reshape(1, -1) for grid in grids]
    scales, entries = grids[0].shape
    listed = min(max(_LISTED // max(scales, 1), _LEAST_LISTED), entries)
    found = np.argpartition(-grids[0], listed - 1, axis=1)[:, :listed]
    order = np.argsort(-np.take_along_axis(grids[0], found, axis=1), axis=1)
    found = np.take_along_axis(found, order, axis=1)
    sizes, lines, places = [np.take_along_axis(grid, found, axis=1) for grid in grids]
    return sizes, lines, places
