"""The values that a plan leaves of each tensor, added up from what is counted once.

A plan adds up the cells of each tensor (`cells`) by the share of them that survives, and
leaves out the least magnitudes that it sets to zero. From the values that this leaves
follow a scale and symbols, by the rule of the plan, or the places of a codebook.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxcompress.codings import expected_escapes
from jaxcompress.compress import Counts
from jaxcompress.compress.parts import Part, grid
from jaxcompress.network import Network
from jaxcompress.objectives.cells import Cells
from jaxcompress.objectives.factors import factor_of
from jaxcompress.objectives.grids import (
    BINS,
    WIDTH,
    at,
    between,
    grid_end,
    place,
    symbols_of,
)
from jaxcompress.objectives.zeros import threshold, without_zeros
from jaxcompress.transforms.quantize import STEPS

_EDGES = np.sign(np.arange(-BINS, BINS + 1)) * np.square(np.arange(-BINS, BINS + 1) / BINS)


@dataclass(frozen=True, eq=False)
class Left:
    """The values that a plan leaves of some tensors; vectors over them.

    Attributes:
        tensors: what is counted of them.
        below: how many values are below each edge of the bins.
        inside: as many bins from zero are set to zero, for each class of channels.
        channels, others: the shares that survive of their classes.
        top: the largest magnitude, the mean of those of all scales.
        least, largest: of all values.
        entries, nonzero: how many there are with zeros, and without.
    """

    tensors: Sequence[Cells]
    below: Float[Array, "tensors edges"]
    inside: Float[Array, "tensors classes"]
    channels: Float[Array, "tensors classes"]
    others: Float[Array, "tensors classes"]
    top: Float[Array, " tensors"]
    least: Float[Array, " tensors"]
    largest: Float[Array, " tensors"]
    entries: Float[Array, " tensors"]
    nonzero: Float[Array, " tensors"]

    def of(self, places: Sequence[int]) -> "Left":
        """Returns what is left of some of the tensors."""
        if len(places) == len(self.tensors):
            return self
        which = np.asarray(places, int)
        columns: dict[str, Any] = {**vars(self)}
        tensors = columns.pop("tensors")
        rows = {name: column[which] for name, column in columns.items()}
        return Left([tensors[place] for place in places], **rows)

    def escapes(self, zero: Float[Array, " tensors"]) -> Float[Array, "tensors 7"]:
        """Returns the escapes of "csr".

        Args:
            zero: magnitudes that become zero on the grid, too.
        """
        return jax.vmap(_escapes)(
            _stacked(self.tensors, "below"),
            self.channels,
            self.others,
            jnp.maximum(self.inside, (place(zero) - BINS)[:, None]),
            self.entries,
            _stacked(self.tensors, "across"),
        )


def left(
    network: Network,
    counts: Counts,
    tensors: Sequence[Cells],
    alive: Bool[Array, " units"],
    zeros: bool,
) -> Left:
    """Returns what a plan leaves of tensors.

    Args:
        zeros: whether it may set entries to zero.
    """
    channels, others, tops, leasts, largests = [], [], [], [], []
    for part, tensor in zip(counts.parts, tensors, strict=True):
        channel = _survivors(network, part, tensor.channel_axes, alive)
        other = _survivors(network, part, tensor.other_axes, alive)
        channels.append(_shares(channel, tensor.channels))
        share = _shares(other, tensor.others)
        # In whole steps of the largest.
        others.append(jnp.round(share * (tensor.steps / jnp.maximum(share.max(), 1e-6))))
        there = channel[tensor.largest_channels] & other[tensor.largest_others]
        tops.append(_top(tensor, there, channel))
        least, largest = _ends(tensor, there)
        leasts.append(least)
        largests.append(largest)
    entries = counts.entries.astype(jnp.float32)
    nonzero = counts.nonzero.astype(jnp.float32)
    channel_shares, other_shares = jnp.stack(channels), jnp.stack(others)
    below, inside = jax.vmap(partial(_left, zeros=zeros))(
        _stacked(tensors, "below"),
        _stacked(tensors, "units"),
        channel_shares,
        other_shares,
        entries,
        nonzero,
    )
    bins = jnp.diff(below) > 0.0
    first, last = (
        jnp.argmax(bins, axis=1),
        bins.shape[1] - jnp.argmax(bins[:, ::-1], axis=1),
    )
    edges = jnp.asarray(_EDGES, jnp.float32)
    return Left(
        tensors,
        below,
        inside,
        channel_shares,
        other_shares,
        jnp.stack(tops),
        jnp.maximum(jnp.stack(leasts), edges[first]),
        jnp.minimum(jnp.stack(largests), edges[last]),
        entries,
        nonzero,
    )


def on_grids(
    left: Left, bits: Int[Array, " tensors"], binary: Bool[Array, " tensors"], scale_by: str
) -> tuple[Float[Array, "tensors WIDTH"], Float[Array, " tensors"]]:
    """Returns the histograms of tensors on grids, and which magnitudes become zero.

    Args:
        bits: as they are stored; binary: whether only signs are.
    """
    own = any(tensor.own for tensor in left.tensors)
    share = left.nonzero / jnp.maximum(left.entries, 1.0)

    def one(below: Array, top: Array, table: Array, share: Array, bits: Array, sign: Array):
        end = grid_end(below, top, bits, scale_by, own) * factor_of(table, share, bits)
        end = jnp.where(sign, 0.0, end)
        steps = jnp.asarray(STEPS)[jnp.minimum(bits, 16)]
        half = jnp.where(bits >= 32, 0.0, 0.5 * end / jnp.maximum(steps, 1.0))
        return symbols_of(below, end, bits), half

    table = _stacked(left.tensors, "factors")
    return jax.vmap(one)(left.below, left.top, table, share, bits, binary)


def in_codebooks(
    left: Left, sizes: Int[Array, " tensors"], stored: Bool[Array, " tensors"], pooled: bool
) -> tuple[Float[Array, "tensors WIDTH"], Int[Array, " tensors"]]:
    """Returns how often each place of uniform codebooks occurs, and how many are used.

    Args:
        sizes: how many places there are at most.
        stored: which tensors there are; pooled: whether all have one codebook.
    """
    units = _stacked(left.tensors, "units").max(axis=1)
    least, largest = left.least * units, left.largest * units
    there = stored & (left.nonzero > 0.0)
    if pooled:
        least = jnp.full_like(least, jnp.where(there, least, jnp.inf).min())
        largest = jnp.full_like(largest, jnp.where(there, largest, -jnp.inf).max())
    found = jax.vmap(_uniform)(left.below, least / units, largest / units, sizes)
    # One entry, the largest, has the last place for itself.
    alone = there & (left.largest * units == largest)
    last = jnp.minimum(sizes, WIDTH) - 1
    index = jnp.arange(WIDTH)
    moved = alone[:, None] * ((index == last[:, None]) - 1.0 * (index == last[:, None] - 1))
    found = jnp.maximum(found + moved, 0.0)
    occurs = jnp.where(there[:, None], found, 0.0)
    if pooled:
        occurs = jnp.broadcast_to(occurs.sum(axis=0), occurs.shape)
    used = jnp.where(index == last[:, None], occurs > 0.0, -jnp.expm1(-occurs))
    return found, jnp.round(used.sum(axis=1)).astype(jnp.int32)


def _uniform(
    below: Float[Array, " edges"],
    least: Float[Array, ""],
    largest: Float[Array, ""],
    size: Int[Array, ""],
) -> Float[Array, " WIDTH"]:
    """Returns how many values are in each of `size` - 1 bins of equal width."""
    steps = jnp.minimum(size, WIDTH) - 1
    index = jnp.arange(WIDTH + 1)
    edges = least + (largest - least) * (index / jnp.maximum(steps, 1))
    edges = jnp.where(index == 0, -1.0, jnp.where(index >= steps, 1.0, edges))
    return between(below, edges)


def _left(
    below: Float[Array, "classes classes edges"],
    units: Float[Array, " classes"],
    channels: Float[Array, " classes"],
    others: Float[Array, " classes"],
    entries: Float[Array, ""],
    nonzero: Float[Array, ""],
    zeros: bool,
) -> tuple[Float[Array, " edges"], Float[Array, " classes"]]:
    """Returns how many values are below each edge, and how many bins become zero."""
    exactly = partial(jnp.einsum, precision=lax.Precision.HIGHEST)
    each = exactly("o,coe->ce", others, below) * channels[:, None]
    inside = jnp.zeros_like(units)
    if zeros:
        every = each[:, -1].sum()
        lost = (entries - nonzero) / jnp.maximum(entries, 1.0) * every
        inside = threshold(each, units, lost)
        each = without_zeros(each, inside)
    found = each.sum(axis=0)
    return found * (nonzero / jnp.maximum(found[-1], 1.0)), inside


def _escapes(
    below: Float[Array, "classes classes edges"],
    channels: Float[Array, " classes"],
    others: Float[Array, " classes"],
    inside: Float[Array, " classes"],
    entries: Float[Array, ""],
    across: Bool[Array, ""],
) -> Float[Array, "7"]:
    every = jax.vmap(jax.vmap(at, (0, None)))
    zero = every(below, BINS + inside) - every(below, BINS - inside)
    there = channels[:, None] * others
    totals, zero = there * below[..., -1], there * zero
    whole = entries / jnp.maximum(totals.sum(), 1.0)
    kept = (totals - zero) * whole
    # Lines are the runs in which entries are stored.
    lines = [
        jnp.where(across, x.sum(axis=0), x.sum(axis=1)) for x in (kept, totals * whole)
    ]
    return jax.vmap(expected_escapes)(*lines).sum(axis=0)


def _stacked(tensors: Sequence[Cells], name: str) -> Array:
    return jnp.asarray(np.stack([getattr(tensor, name) for tensor in tensors]))


def _survivors(
    network: Network, part: Part, axes: tuple[int, ...], alive: Bool[Array, " units"]
) -> Bool[Array, " n"]:
    columns = network.columns(part.path)
    masks = [network.layout.mask(columns[axis], alive) for axis in axes]
    return jnp.asarray(grid(masks)).reshape(-1)


def _shares(
    kept: Bool[Array, " n"], members: Float[np.ndarray, "n classes"]
) -> Float[Array, " classes"]:
    """Returns the share of each class that survives."""
    return kept.astype(jnp.float32) @ members / np.maximum(members.sum(axis=0), 1.0)


def _top(
    tensor: Cells, there: Bool[Array, "scales listed"], channel: Bool[Array, " channels"]
) -> Float[Array, ""]:
    """Returns the largest surviving magnitude, the mean of those of all scales."""
    sizes = np.abs(tensor.largest)
    # Where none that is listed survives, those that do are at most the last one.
    tops = jnp.where(there, sizes, sizes[:, -1:]).max(axis=1)
    own = channel if tensor.own else jnp.ones(1, bool)
    return jnp.where(own, tops, 0.0).sum() / jnp.maximum(own.sum(), 1)


def _ends(
    tensor: Cells, there: Bool[Array, "scales listed"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Returns the least and the largest survivor that is listed, of a single scale."""
    last = np.abs(tensor.largest[:, -1:]).max()
    least = jnp.where(there, tensor.largest, -last).min()
    return least, jnp.where(there, tensor.largest, last).max()
