"""Reshaping axes: legs are dealt out to the new axes, cut where an axis ends in one."""

from collections.abc import Sequence
from math import prod

from jaxcompress.network.axes import (
    Axes,
    Factor,
    assemble,
    fresh,
    leg_size,
    recorded,
    simplify,
)
from jaxcompress.network.nodes import Nodes


def reshape(nodes: Nodes, axes: Axes, shape: Sequence[int], name: str) -> Axes:
    """Returns the axes after a row-major reshape to `shape`.

    Where legs cannot be cut to fit (6 x 2 into 4 x 3), their nodes freeze.
    """
    axes = simplify(nodes, axes)
    if 0 in shape:  # nothing is in it: only the axes before stay what they are
        new = fresh(nodes, shape, "an empty array")
        same = [axes.shape[: d + 1] == tuple(shape[: d + 1]) for d in range(len(shape))]
        picks = [(0, d) if same[d] else (1, d) for d in range(len(shape))]
        return assemble(nodes, [axes, new], picks)
    legs: list[tuple[int, ...]] = []
    factors: list[Factor] = []
    cuts: dict[int, list[int]] = {}
    torn: list[tuple[list[int], list[int]]] = []  # (old legs, positions of new axes)
    for dims, new_dims in _aligned(axes.shape, shape):
        old = axes.legs_of(dims)
        sizes = [n for d in dims for n in axes.legs[d]]
        groups, parts = regroup(sizes, [shape[d] for d in new_dims])
        if groups is None:
            torn.append((old, new_dims))
            groups = [[shape[d]] if shape[d] > 1 else [] for d in new_dims]
        else:
            cuts |= {leg: parts[i] for i, leg in enumerate(old)}
        legs += [tuple(group) for group in groups]
    torn_legs = {leg for old, _ in torn for leg in old}
    reason = f"{name} from {axes.shape} to {tuple(shape)} tears the axis apart"
    for factor in axes.factors:
        if torn_legs.intersection(factor.legs):
            nodes.freeze(factor.nodes, reason)
    # Positions of the new legs: each old leg becomes consecutive new ones.
    result = Axes(tuple(legs), ())
    lost = {leg for _, new in torn for leg in result.legs_of(new)}
    free = iter(leg for leg in range(sum(map(len, legs))) if leg not in lost)
    position = {leg: [next(free) for _ in cuts[leg]] for leg in sorted(cuts)}
    for factor in axes.factors:
        if torn_legs.intersection(factor.legs):
            for leg in factor.legs:
                for new in position.get(leg, ()):
                    size = leg_size(result, new)
                    factors.append(Factor((new,), nodes.new(size, reason)))
            continue
        tensor = factor.nodes.reshape([n for leg in factor.legs for n in cuts[leg]])
        factors.append(
            Factor(tuple(p for leg in factor.legs for p in position[leg]), tensor)
        )
    factors += [
        Factor((leg,), nodes.new(leg_size(result, leg), reason)) for leg in sorted(lost)
    ]
    return recorded(nodes, Axes(tuple(legs), tuple(factors)))


def _aligned(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Cuts two shapes of equal size into the smallest runs of axes of equal size."""
    runs: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        left, right = ([i], [j]) if i < len(old) and j < len(new) else ([], [])
        if not left:  # only axes of size 1 remain
            runs.append((list(range(i, len(old))), list(range(j, len(new)))))
            break
        i, j = i + 1, j + 1
        while (a := prod(old[d] for d in left)) != (b := prod(new[d] for d in right)):
            if a < b:
                left.append(i)
                i += 1
            else:
                right.append(j)
                j += 1
        runs.append((left, right))
    return runs


def regroup(
    sizes: Sequence[int], targets: Sequence[int]
) -> tuple[list[list[int]] | None, list[list[int]]]:
    """Distributes legs over new axes, cutting a leg where an axis ends inside it.

    Returns:
        The legs of each new axis (None if a leg would have to be torn), and for each old
        leg the sizes it was cut into.
    """
    parts: list[list[int]] = [[] for _ in sizes]
    groups: list[list[int]] = []
    current, left = 0, (sizes[0] if sizes else 1)
    for target in targets:
        group: list[int] = []
        while target > 1:
            if left == 1:
                current, left = current + 1, sizes[current + 1]
            if target % left and left % target:
                return None, parts
            step = min(left, target)
            group.append(step)
            parts[current].append(step)
            target, left = target // step, left // step
        groups.append(group)
    return groups, parts
