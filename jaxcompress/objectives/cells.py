"""The entries of a whole tensor, counted once, so that any part of it can be added up.

A tensor is cut into channels, its outputs, and each channel into others, all that it is
made of. Channels of like scale form a class (of like magnitude, if the tensor has one
scale), and so do others of like magnitude. A cell is a class of channels by a class of
others; its entries are counted in fine bins. What survives of a cell is counted as that
share of each of its bins.
"""

from dataclasses import dataclass
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxcompress.objectives.factors import coded, factors, no_factors
from jaxcompress.objectives.grids import BINS

_CLASSES = 16
_LISTED = 1024  # of the largest entries, of all scales together
_LEAST_LISTED = 32  # of those of one scale


@dataclass(frozen=True, eq=False)
class Cells:
    """What is counted of a tensor; host arrays.

    Values are divided by the scale that they have in the whole tensor at 3 bits, and then
    by the largest magnitude of all.

    Attributes:
        channel_axes, other_axes: the tensor's axes that make up channels, and others.
        below: float32, how many entries are below each edge of the bins, from -1 to 1.
        channels, others: 1 where a channel, or another, belongs to a class, else 0.
        units: what the value 1 of each class of channels is in the tensor, on the mean.
        largest: the entries of largest magnitude of each scale, falling.
        largest_channels, largest_others: where these are.
        own: whether each channel has a scale of its own.
        across: whether the entries that follow each other are of different channels.
        factors: what the end of the grid that bins show is multiplied by (`factor_of`).
        steps: as many shares of a class of others are told apart: of so many all sums
            over them are exact in float32, and so the same in any order.
    """

    channel_axes: tuple[int, ...]
    other_axes: tuple[int, ...]
    below: Float[np.ndarray, "classes classes edges"]
    channels: Float[np.ndarray, "channels classes"]
    others: Float[np.ndarray, "others classes"]
    units: Float[np.ndarray, " classes"]
    largest: Float[np.ndarray, "scales listed"]
    largest_channels: Int[np.ndarray, "scales listed"]
    largest_others: Int[np.ndarray, "scales listed"]
    own: bool
    across: bool
    factors: Float[np.ndarray, "halvings 17"]
    steps: float


def cells(
    weight: Float[np.ndarray, "..."],
    out_axes: tuple[int, ...],
    granularity: str,
    scale_by: str,
    zeros: bool,
) -> Cells:
    """Counts the entries of a tensor; on the host.

    Args:
        weight: float32.
        out_axes: its output channels.
        granularity, scale_by: as of a plan.
        zeros: whether plans may set entries to zero.
    """
    others = tuple(d for d in range(weight.ndim) if d not in out_axes)
    own = granularity == "channel"
    scale = _scale(weight, out_axes if own else (), scale_by)
    table = np.transpose(weight, out_axes + others)
    table = table.reshape(prod(weight.shape[d] for d in out_axes), -1)
    units = np.transpose(np.broadcast_to(scale, weight.shape), out_axes + others)
    units = units.reshape(table.shape)[:, :1]
    values = table / units
    peak = np.abs(values).max(initial=0.0) or np.float32(1.0)
    values, units = values / peak, units[:, 0] * peak
    power = np.square(values)
    channel_class = _classes(units if own else power.mean(axis=1), _CLASSES)
    other_class = _classes(power.mean(axis=0), _CLASSES)
    root = np.minimum((np.sqrt(np.abs(values)) * BINS).astype(np.int32), BINS - 1)
    bins = np.where(values < 0.0, BINS - 1 - root, BINS + root)
    del root, power
    cell = _CLASSES * channel_class[:, None] + other_class
    below = _below(2 * BINS * cell + bins, _CLASSES**2)
    below = below.reshape(_CLASSES, _CLASSES, -1)
    channels = np.eye(_CLASSES, dtype=np.float32)[channel_class]
    number = channels.sum(axis=0)
    means = np.where(number > 0.0, units @ channels / np.maximum(number, 1.0), units.max())
    means = means.astype(np.float32)

    def sample(rows: Int[np.ndarray, " n"]) -> Float[np.ndarray, "classes edges"]:
        return _below(2 * BINS * channel_class[rows, None] + bins[rows], _CLASSES)

    return Cells(
        out_axes,
        others,
        below,
        channels,
        np.eye(_CLASSES, dtype=np.float32)[other_class],
        means,
        *_largest(values, own),
        own,
        weight.ndim - 1 in out_axes,
        factors(table, units, means, sample, scale_by, zeros) if own else no_factors(),
        float(np.clip(2**24 // max(below[..., -1].sum(axis=1).max(), 1.0), 1, 256)),
    )


def _scale(
    weight: np.ndarray, axes: tuple[int, ...], scale_by: str
) -> Float[np.ndarray, "..."]:
    """Returns the scales of the whole tensor at 3 bits: others are close to multiples."""
    with jax.ensure_compile_time_eval():
        kept = np.ones(weight.shape, bool)
        scale = np.asarray(coded(weight, jnp.int32(3), kept, axes, scale_by)[0])
    there = scale > 0.0
    return np.where(there, scale, scale.min(where=there, initial=1.0))


def _classes(size: Float[np.ndarray, " n"], most: int) -> Int[np.ndarray, " n"]:
    """Returns classes of equally many, by rank."""
    classes = np.empty(size.size, np.int64)
    number = min(size.size, most)
    classes[np.argsort(size, kind="stable")] = np.arange(size.size) * number // size.size
    return classes


def _below(places: Int[np.ndarray, "..."], rows: int) -> Float[np.ndarray, "rows edges"]:
    """Returns for each row of bins how many entries are below each edge."""
    counts = np.bincount(places.ravel(), minlength=rows * 2 * BINS).reshape(rows, -1)
    return np.pad(np.cumsum(counts, axis=1), ((0, 0), (1, 0))).astype(np.float32)


def _largest(
    values: Float[np.ndarray, "channels others"], own: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the largest entries of each scale, their channels and the others."""
    table = values if own else values.reshape(1, -1)
    scales, entries = table.shape
    listed = min(max(_LISTED // max(scales, 1), _LEAST_LISTED), entries)
    found = np.argpartition(-np.abs(table), listed - 1, axis=1)[:, :listed]
    order = np.argsort(-np.abs(np.take_along_axis(table, found, axis=1)), axis=1)
    found = np.take_along_axis(found, order, axis=1)
    flat = found + entries * np.arange(scales)[:, None]
    channels, others = np.divmod(flat.astype(np.int32), np.int32(values.shape[1]))
    return np.take_along_axis(table, found, axis=1), channels, others
