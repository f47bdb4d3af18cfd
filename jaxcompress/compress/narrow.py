"""The network under a plan in shapes as narrow as it needs, for where a branch is cheap.

A mask leaves every product as large as it was. On a CPU, which runs one network after the
other, a network of half the channels can cost a quarter instead: the channels that a plan
keeps are moved to the front, and each convolution or dot runs at the first of a few widths
that hold them all. Which one is decided when it runs, so one program serves all plans.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int, PyTree

from jaxcompress.network import Around, Group, Network, Run, Step
from jaxcompress.network.axes import Axes
from jaxcompress.network.sizes import Column
from jaxcompress.space import Plan

SHARES = (0.25, 0.5, 0.75, 1.0)  # of a group's channels: the widths
MULTIPLE = 8  # of which widths are, as many float32 as a vector register holds
LEAST = 16  # channels of a group; one of fewer runs whole


def kept_first(network: Network, plan: Plan, params: PyTree) -> tuple[Plan, PyTree]:
    """Returns the same compressed network with the channels that are kept in front.

    Args:
        plan: may be traced.
        params: coded already.

    Returns:
        A plan and parameters for `masked`; of the network as a whole nothing changes but
        the order of sums. Groups whose channels cannot change places stay as they are.
    """
    orders, channels = {}, dict(plan.channels)
    for name, group in _moved(network).items():
        if name in channels:
            kept = jnp.asarray(channels[name])
            orders[name] = jnp.argsort(~kept, stable=True)
            channels[name] = jnp.arange(group.size) < kept.sum()
    leaves = dict(network.leaves(params))
    for (path, dim), places in _places(network).items():
        index: Any = jnp.arange(np.shape(leaves[path])[dim])
        for name, where in places.items():
            if name in orders:
                index = index.at[where].set(jnp.asarray(where)[orders[name]])
        leaves[path] = jnp.take(leaves[path], index, axis=dim)
    return plan.replace(channels=channels), network.unflatten(leaves)


def narrowly(network: Network, plan: Plan) -> Around | None:
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
        for group in _moved(network).values()
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
        widths = [tuple(_width(p.group, share) for p in places) for share in SHARES]
        distinct = list(dict.fromkeys(widths))

        def at(chosen: tuple[int, ...]) -> Callable[[list[Any]], list[Any]]:
            return lambda operands: _run_at(chosen, step, operands, places, run)

        branch = jnp.asarray([distinct.index(chosen) for chosen in widths])[level]
        return lax.switch(branch, [at(chosen) for chosen in distinct], operands)

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
    widths: tuple[int, ...],
    step: Step,
    operands: list[Any],
    places: list[Place],
    run: Run,
) -> list[Any]:
    cut = list(operands)
    for place, width in zip(places, widths, strict=True):
        for operand, dim in place.operands:
            cut[operand] = lax.slice_in_dim(cut[operand], 0, width, axis=dim)
    (result,) = run(step, cut)
    for place, width in zip(places, widths, strict=True):
        if place.result is not None:
            missing = place.group.size - width
            padding = [(0, 0)] * result.ndim
            padding[place.result] = (0, missing)
            result = jnp.pad(result, padding)
    return [result]


def _width(group: Group, share: float) -> int:
    return min(group.size, int(np.ceil(share * group.size / MULTIPLE)) * MULTIPLE)


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


def share_of_macs(network: Network, names: Collection[str]) -> float:
    """Returns which share of a network's MACs can run narrower.

    Args:
        names: of the groups whose channels are removed.
    """
    cuts = cuts_of(network)
    macs = [
        contraction.macs
        for contraction in network.contractions
        if any(p.group.name in names for p in cuts.get(contraction.step.index, ()))
    ]
    return sum(macs) / max(network.macs, 1)


def _moved(network: Network) -> dict[str, Group]:
    """Returns the groups by which some step runs narrower, by name."""
    places = [place for found in cuts_of(network).values() for place in found]
    return {place.group.name: place.group for place in places}


@lru_cache(maxsize=8)
def _places(network: Network) -> dict[tuple[str, int], dict[str, np.ndarray]]:
    """Returns by path and axis where the channels of each moved group lie, in order."""
    found: dict[tuple[str, int], dict[str, np.ndarray]] = {}
    for path in network.paths:
        for dim, column in enumerate(network.columns(path)):
            for name, group in _moved(network).items():
                for line in column.units:  # one at most, see `_movable`
                    if np.isin(group.units, line).any():
                        where = np.argmax(line == group.units[:, None], axis=1)
                        found.setdefault((path, dim), {})[name] = where
    return found


def _movable(network: Network) -> dict[str, Group]:
    """Returns the groups whose channels can change places, by name.

    What treats the indices of an axis differently freezes it, so a network does not mind
    in which order they come, as long as all arrays agree. They do where every array has
    each channel of a group at one index of an axis, if any. Left out are constants, which
    hold a value for each index, and parameters of which several channels decide together.
    """
    layout, steps = network.layout, network.program.walk()
    constants = [axes for _, _, axes in network.program.constants]
    for step in steps:
        if step.body is not None:
            constants += [axes for _, _, axes in step.body.constants]
        if not any(step.driven) and not any(step.sources):
            constants += step.outs
    fixed = np.zeros(layout.count + 1, bool)  # the last is of no unit

    def columns(arrays: Iterable[Axes]) -> dict[Column, None]:
        return dict.fromkeys(layout.column(a, d) for a in arrays for d in range(a.ndim))

    for column in columns(constants):
        for line in column.units:
            fixed[line] = True
    for path in network.paths:
        for column in network.columns(path):
            for line in column.units if len(column.units) > 1 else ():
                fixed[line] = True
    all_axes = [a for step in steps for a in (*step.ins, *step.outs)]
    for column in columns([*network.leaf_axes, *all_axes]):
        for line in column.units:
            units, counts = np.unique(line, return_counts=True)
            fixed[units[counts > 1]] = True
    return {g.name: g for g in network.prunable if not fixed[g.units].any()}
