"""The network under a plan in shapes as narrow as it needs, for where a branch is cheap.

A mask leaves every product as large as it was. On a CPU, which runs one network after the
other, a network of half the channels can cost a quarter instead: the channels that a plan
keeps are moved to the front, and each convolution or dot runs at the first of a few widths
that hold them all. Which one is decided when it runs, so one program serves all plans.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int, PyTree

from jaxcompress.network import Group, Network, Step
from jaxcompress.space import Plan

SHARES = (0.25, 0.5, 0.75, 1.0)  # of a group's channels: the widths
# Narrower products are hardly faster (docs/results/performance.md).
LEAST = 32

Run = Callable[[Step, list[Any]], list[Any]]


def kept_first(network: Network, plan: Plan, params: PyTree) -> tuple[Plan, PyTree]:
    """Returns the same compressed network with the channels that are kept in front.

    Args:
        plan: may be traced.
        params: coded already.

    Returns:
        A plan and parameters for `masked`; of the network as a whole nothing changes but
        the order of sums. Groups whose channels cannot change places stay as they are.
    """
    movable = _movable(network)
    order: Any = jnp.arange(network.layout.count)
    channels = dict(plan.channels)
    for name in set(movable) & set(channels):
        group, kept = movable[name], jnp.asarray(channels[name])
        units = jnp.asarray(group.units)
        order = order.at[units].set(units[jnp.argsort(~kept, stable=True)])
        channels[name] = jnp.arange(group.size) < kept.sum()
    leaves = dict(network.leaves(params))
    for (path, dim), line in _lines(network).items():
        leaves[path] = jnp.take(leaves[path], line.moved(order), axis=dim)
    return plan.replace(channels=channels), network.unflatten(leaves)


def narrowly(
    network: Network, plan: Plan
) -> Callable[[Step, list[Any], Run], list[Any]] | None:
    """Returns how each step of a network is run, the kept channels being in front.

    Returns:
        (step, operands, how it runs) -> results, in full shapes; what is in the place of
        removed channels means nothing. None if no step can run narrower.
    """
    cuts = cuts_of(network)
    if not cuts or not plan.channels:
        return None
    levels = {
        group.name: _level(group, plan.channels[group.name])
        for group in _movable(network).values()
        if group.name in plan.channels
    }

    def around(step: Step, operands: list[Any], run: Run) -> list[Any]:
        cut = cuts.get(step.index)
        places = [] if cut is None else [p for p in cut if p.group.name in levels]
        if not places:
            return run(step, operands)
        level = levels[places[0].group.name]
        for place in places[1:]:
            level = jnp.maximum(level, levels[place.group.name])

        def at(share: float) -> Callable[[list[Any]], list[Any]]:
            return lambda operands: _run_at(share, step, operands, places, run)

        return lax.switch(level, [at(share) for share in SHARES], operands)

    return around


@dataclass(frozen=True, eq=False)
class Place:
    """Where a product holds the channels of a group, and nothing else, in order.

    Attributes:
        operands: (operand, axis) pairs; result: the axis of the result, or None.
    """

    group: Group
    operands: tuple[tuple[int, int], ...]
    result: int | None


def _run_at(
    share: float, step: Step, operands: list[Any], places: list[Place], run: Run
) -> list[Any]:
    cut = list(operands)
    for place in places:
        width = _width(place.group, share)
        for operand, dim in place.operands:
            cut[operand] = lax.slice_in_dim(cut[operand], 0, width, axis=dim)
    (result,) = run(step, cut)
    for place in places:
        if place.result is not None:
            missing = place.group.size - _width(place.group, share)
            padding = [(0, 0)] * result.ndim
            padding[place.result] = (0, missing)
            result = jnp.pad(result, padding)
    return [result]


def _width(group: Group, share: float) -> int:
    return int(np.ceil(share * group.size))


def _level(group: Group, kept: Any) -> Int[Array, ""]:
    """Returns the place of the first share that holds all channels which are kept."""
    widths = np.asarray([_width(group, share) for share in SHARES[:-1]])
    return (jnp.asarray(kept).sum() > widths).sum(dtype=jnp.int32)


@lru_cache(maxsize=8)
def cuts_of(network: Network) -> dict[int, list[Place]]:
    """Returns by step the places at which it can run narrower."""
    groups = {
        group.units.tobytes(): group
        for group in _movable(network).values()
        if group.size >= LEAST
    }

    def group_at(step: Step, operand: int, dim: int) -> Group | None:
        units = network.layout.column(step.ins[operand], dim).units
        return groups.get(units[0].tobytes()) if len(units) == 1 else None

    found: dict[int, list[Place]] = {}
    for contraction in network.contractions:
        step, weight = contraction.step, contraction.weight
        if weight is None or contraction.kind not in ("convolution", "dense"):
            continue
        places = []
        for left, right in zip(*contraction.contracted, strict=True):
            group = group_at(step, weight, (left, right)[weight])
            if group is not None:
                places.append(Place(group, ((0, left), (1, right)), None))
        for dim in contraction.outer[weight]:
            group = group_at(step, weight, dim)
            column = network.layout.column(step.ins[weight], dim)
            out = step.outs[0]
            results = [
                d for d in range(out.ndim) if network.layout.column(out, d) is column
            ]
            if group is not None and len(results) == 1:
                places.append(Place(group, ((weight, dim),), results[0]))
        if places:
            found[step.index] = places
    return found


def share_of_macs(network: Network) -> float:
    """Returns which share of a network's MACs is in steps that can run narrower."""
    cuts = cuts_of(network)
    macs = [c.macs for c in network.contractions if c.step.index in cuts]
    return sum(macs) / max(network.macs, 1)


@dataclass(frozen=True, eq=False)
class _Line:
    """How the indices of a parameter's axis move with its channels.

    Attributes:
        units: int [n], of each index; negative: of none.
        copies: int [n], which of the indices with this unit it is, counted from 0.
        places: int [copies, units], the index of each.
    """

    units: np.ndarray
    copies: np.ndarray
    places: np.ndarray

    def moved(self, order: Int[Array, " units"]) -> Int[Array, " n"]:
        """Returns for each index which one comes there; order: likewise for units."""
        there = jnp.asarray(self.places)[self.copies, order[np.maximum(self.units, 0)]]
        return jnp.where(self.units < 0, np.arange(len(self.units)), there)


@lru_cache(maxsize=8)
def _lines(network: Network) -> dict[tuple[str, int], _Line]:
    """Returns by path and axis how the indices of parameters move."""
    movable = np.zeros(network.layout.count + 1, bool)  # the last: of no unit
    for group in _movable(network).values():
        movable[group.units] = True
    found = {}
    for path in network.paths:
        for dim, column in enumerate(network.columns(path)):
            if len(column.units) != 1 or not movable[column.units[0]].any():
                continue
            units = np.where(movable[column.units[0]], column.units[0], -1)
            copies, seen = np.zeros(len(units), int), np.zeros(network.layout.count, int)
            held = np.flatnonzero(units >= 0)
            for index in held:
                copies[index] = seen[units[index]]
                seen[units[index]] += 1
            places = np.zeros((seen.max(), network.layout.count), int)
            places[copies[held], units[held]] = held
            found[path, dim] = _Line(units, copies, places)
    return found


@lru_cache(maxsize=8)
def _movable(network: Network) -> dict[str, Group]:
    """Returns the groups whose channels can change places, by name.

    Channels of a group run through the same axes of all arrays, and what treats the
    indices of an axis differently freezes it. Left are constants, which hold a value for
    each index, and axes of which several channels decide together.
    """
    fixed: set[int] = set()
    layout = network.layout
    for path in network.paths:
        for column in network.columns(path):
            if len(column.units) > 1:
                fixed.update(int(u) for line in column.units for u in line)
    constants = [axes for _, _, axes in network.program.constants]
    for step in network.program.walk():
        if step.body is not None:
            constants += [axes for _, _, axes in step.body.constants]
        if not any(step.driven) and not any(step.sources):
            constants += step.outs
    for axes in constants:
        for dim in range(axes.ndim):
            fixed.update(int(u) for line in layout.column(axes, dim).units for u in line)
    return {
        group.name: group
        for group in network.prunable
        if not fixed & set(group.units.tolist())
    }
