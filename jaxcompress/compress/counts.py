"""How many numbers a plan leaves of each tensor."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jaxcompress.compress.parts import Part, parts_of, stored
from jaxcompress.compress.sparse import pooled
from jaxcompress.compress.work import chosen
from jaxcompress.network import Network
from jaxcompress.network.blocks import needed_each
from jaxcompress.network.sizes import products
from jaxcompress.space import Plan, check_plan
from jaxcompress.space.bases import bases
from jaxcompress.space.plan import coded_paths
from jaxcompress.transforms import kept_count


@dataclass(frozen=True, eq=False)
class Counts:
    """What is stored of some tensors: vectors over them, which may be traced.

    (One object for each tensor would be simpler, but a deep network would compile for
    long.)

    Attributes:
        parts: which tensors.
        stored: bool, whether each is in the file at all; the numbers below do not say.
        entries: int32, its surviving entries.
        nonzero: int32, those that a plan does not set to zero.
        scales: int32, the scales of its codes, if it has any.
        bits: int32, of a code as it is stored: zeros of one-bit codes need two.
    """

    parts: tuple[Part, ...]
    stored: Bool[Array, " tensors"]
    entries: Int[Array, " tensors"]
    nonzero: Int[Array, " tensors"]
    scales: Int[Array, " tensors"]
    bits: Int[Array, " tensors"]

    def of(self, places: Sequence[int]) -> "Counts":
        """Returns the counts of some of the tensors."""
        which = np.asarray(places, int)
        return Counts(
            parts=tuple(self.parts[place] for place in places),
            stored=self.stored[which],
            entries=self.entries[which],
            nonzero=self.nonzero[which],
            scales=self.scales[which],
            bits=self.bits[which],
        )


def counts(network: Network, plan: Plan, params: Any = None) -> Counts:
    """Returns what is stored of every parameter (traceable).

    First come the tensors that are stored as they are, then those of `parts_of`.

    Args:
        params: whose values decide what one threshold for all leaves of each tensor;
            nothing else looks at any. The network's own if None.

    Raises:
        ValueError: the plan does not fit the network.
    """
    check_plan(network, plan)
    alive = network.alive(plan.channels, plan.blocks)
    coded = parts_of(network, plan)
    named = {*coded_paths(plan)}
    plain = [
        Part(path, None, tuple(range(len(network.columns(path)))), ())
        for path in network.paths
        if path not in named
    ]
    parts = [*plain, *coded]
    paths = [part.path for part in parts]
    lengths, rows = _lengths(network, plan, parts, alive)
    entries = products(lengths, rows)
    by_channel = plan.granularity == "channel"
    own = [
        [row[axis] for axis in part.out_axes if by_channel]
        for part, row in zip(parts, rows, strict=True)
    ]
    windows = [_window(network, p) if p in plan.kernel_sparsity else 1 for p in paths]
    window = jnp.asarray(windows, jnp.int32)
    zero_kernels = jnp.asarray(chosen(plan.kernel_sparsity, paths, 0.0))
    left = kept_count(zero_kernels, entries // window) * window
    left = kept_count(jnp.asarray(chosen(plan.sparsity, paths, 0.0)), left)
    together = pooled(network, plan, params)
    for place, part in enumerate(parts):
        if part.name in together:
            left = left.at[place].set(together[part.name][0])
    bits = jnp.asarray(chosen(plan.weight_bits, paths, 32.0)).astype(jnp.int32)
    liveness = dict(zip(network.paths, network.liveness.leaves, strict=True))
    there = needed_each([liveness[path] for path in paths], alive)
    if plan.ranks:
        there = there & jnp.stack([stored(network, plan, part) for part in parts])
    return Counts(
        parts=tuple(parts),
        stored=there,
        entries=entries,
        nonzero=left,
        scales=products(lengths, own),
        bits=jnp.where((bits == 1) & (left < entries), 2, bits),
    )


def _lengths(
    network: Network, plan: Plan, parts: Sequence[Part], alive: Bool[Array, " units"]
) -> tuple[Int[Array, " axes"], list[list[int]]]:
    """Returns how many indices of each axis survive, and which axes each part has."""
    # A parameter is stored whole, also where the batch is part of one of its axes.
    columns = {
        part.path: [replace(c, batch=1, first=None) if c.batch > 1 else c for c in found]
        for part in parts
        for found in [network.columns(part.path)]
    }
    axes: list[list[Any]] = [
        [columns[part.path][axis] if axis >= 0 else (part.path, axis) for axis in part.axes]
        for part in parts
    ]
    kinds = list(dict.fromkeys(c for path in columns for c in columns[path]))
    places: dict[Any, int] = {column: place for place, column in enumerate(kinds)}
    lengths = [network.layout.lengths(kinds, alive)]
    for path, ranks in plan.ranks.items():
        full = np.asarray(bases(network)[path].full, np.int32)
        places |= {(path, -1 - i): len(places) + i for i in range(len(full))}
        lengths.append(jnp.clip(jnp.asarray(ranks, jnp.int32), 0, full))
    return jnp.concatenate(lengths), [[places[axis] for axis in own] for own in axes]


def _window(network: Network, path: str) -> int:
    shape = [column.size for column in network.columns(path)]
    return prod(shape[axis] for axis in network.kernel_axes(path))
