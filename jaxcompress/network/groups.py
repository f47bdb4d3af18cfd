"""Channel groups: which channels can be removed, each for itself, and which cannot."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jaxcompress.network.axes import Axes
from jaxcompress.network.nodes import Ids, Nodes
from jaxcompress.network.primitives.contraction import KERNEL
from jaxcompress.network.sizes import ALWAYS, Layout


@dataclass(frozen=True, eq=False)
class Group:
    """Channels that run through the same parameters.

    A channel is a set of (parameter, axis, index) entries that can only be removed
    together.

    Attributes:
        name: after the layer that makes the channels.
        size: number of channels.
        members: the (parameter path, axis) pairs that hold the channels.
        prunable: whether a plan may remove channels (never all of them).
        reason: why it may not.
        units: positions of the channels among all removable ones, int [size]; empty for
            a frozen group.
    """

    name: str
    size: int
    members: tuple[tuple[str, int], ...]
    prunable: bool
    reason: str | None
    units: np.ndarray


def find_groups(
    nodes: Nodes, leaves: Sequence[Axes], paths: Sequence[str], arrays: Iterable[Axes]
) -> tuple[Layout, list[Group]]:
    """Groups the node classes of the parameters by the axes they run through.

    Channels of one group run through the same axes of parameters and of all arrays. So
    as long as every group keeps a channel, no array loses all of an axis: not even one
    that holds only some of a layer's channels (a slice, half of a split).

    Args:
        nodes: settled.
        leaves: the axes of the parameters.
        paths: their names.
        arrays: the axes of everything that is computed.

    Returns:
        The layout, and the groups in order of first appearance, not yet named.
    """
    members: dict[int, list[tuple[str, int]]] = {}
    for path, axes in zip(paths, leaves, strict=True):
        for factor in axes.factors:
            (dim,) = (d for d in range(axes.ndim) if factor.legs[0] in axes.legs_of([d]))
            for root in dict.fromkeys(nodes.find(factor.nodes).tolist()):
                members.setdefault(root, []).append((path, dim))
    roots = np.asarray(list(members), np.int64)
    frozen = nodes.frozen(roots) | nodes.batch(roots)
    courses = _courses(nodes, arrays)
    classes: dict[tuple, list[int]] = {}
    for root, fixed in zip(roots.tolist(), frozen.tolist(), strict=True):
        reason = (nodes.reason(root) or "the batch axis") if fixed else None
        if reason != KERNEL:
            course = 0 if fixed else courses[root]
            classes.setdefault((tuple(members[root]), reason, course), []).append(root)

    units = np.full(nodes.count, ALWAYS)
    groups, count = [], 0
    for (ties, reason, _), channels in classes.items():
        if reason is None and len(channels) == 1:
            reason = "a single channel cannot be removed"
        ids = np.zeros(0, int)
        if reason is None:
            ids = np.arange(count, count + len(channels))
            units[channels] = ids
            count += len(channels)
        groups.append(Group("", len(channels), ties, reason is None, reason, ids))
    return Layout(nodes, units, count), groups


def _courses(nodes: Nodes, arrays: Iterable[Axes]) -> Ids:
    """Returns for every class a number that tells through which axes it runs.

    The exclusive or of a random 64-bit mark for each axis: equal for equal sets of axes,
    and for others as good as never.
    """
    courses = np.zeros(nodes.count, np.uint64)
    marks = np.random.default_rng(0)
    for axes in dict.fromkeys(arrays):
        for factor in axes.factors:
            roots = np.unique(nodes.find(factor.nodes))
            courses[roots] ^= marks.integers(1, 2**64, dtype=np.uint64)
    return courses


def named(groups: Sequence[Group], makers: dict[tuple[str, int], str]) -> tuple[Group, ...]:
    """Names each group after the first layer that makes its channels.

    Args:
        makers: (parameter path, axis) -> layer name, in the order of execution.
    """
    names: list[str] = []
    for group in groups:
        made = [name for tie, name in makers.items() if tie in group.members]
        path, axis = group.members[0]
        names.append(made[0] if made else f"{path}[{axis}]")
    seen: dict[str, int] = {}
    result = []
    for group, name in zip(groups, names, strict=True):
        seen[name] = seen.get(name, 0) + 1
        if names.count(name) > 1:
            name = f"{name}.{seen[name]}"
        result.append(replace(group, name=name))
    return tuple(result)
