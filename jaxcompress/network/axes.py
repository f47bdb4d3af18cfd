"""The axes of an intermediate array, and the channel nodes that they are made of.

An axis is a row-major product of *legs*: flattening (H, W, C) gives one axis with three
legs, splitting an axis of heads gives two axes with one leg each. A *factor* is a tensor
of nodes over one leg or several; every leg belongs to exactly one factor. An element of
the array survives if and only if the nodes of all factors at its position survive. A
factor over legs of several axes (a *joint*, made by splitting an axis) stays whole until
something treats one of its axes alone; only then are its nodes united into rows.

Legs of size 1 carry nothing and are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import numpy as np

from jaxcompress.network.nodes import Ids, Nodes

BLOCK = "whole blocks of the major axis are kept or removed"


@dataclass(frozen=True, eq=False)
class Factor:
    """Nodes over some legs.

    Attributes:
        legs: positions of the legs, counted over all axes of the array.
        nodes: node ids, one tensor axis per leg.
    """

    legs: tuple[int, ...]
    nodes: Ids


@dataclass(frozen=True, eq=False)
class Axes:
    """The axes of one array.

    Attributes:
        legs: for each axis the sizes of its legs, major leg first; () for size 1.
        factors: cover every leg once.
    """

    legs: tuple[tuple[int, ...], ...]
    factors: tuple[Factor, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(prod(legs) for legs in self.legs)

    @property
    def ndim(self) -> int:
        return len(self.legs)

    def legs_of(self, dims: Sequence[int]) -> list[int]:
        """Returns the leg positions of the axes `dims`, in the order of `dims`."""
        starts = np.cumsum([0] + [len(legs) for legs in self.legs])
        return [leg for d in dims for leg in range(starts[d], starts[d + 1])]

    def factors_of(self, dims: Sequence[int]) -> list[Factor]:
        """Returns the factors that have a leg in one of the axes `dims`."""
        wanted = set(self.legs_of(dims))
        return [f for f in self.factors if wanted.intersection(f.legs)]


def fresh(nodes: Nodes, shape: Sequence[int], reason: str | None = None) -> Axes:
    """Returns axes of new nodes, one leg for each axis."""
    legs = tuple((int(n),) if n > 1 else () for n in shape)
    sizes = [leg[0] for leg in legs if leg]
    return Axes(
        legs,
        tuple(Factor((i,), nodes.new(n, reason)) for i, n in enumerate(sizes)),
    )


def freeze(nodes: Nodes, axes: Axes, dims: Sequence[int], reason: str) -> None:
    """Freezes every node of the axes `dims`."""
    for factor in axes.factors_of(dims):
        nodes.freeze(factor.nodes, reason)


def simplify(nodes: Nodes, axes: Axes) -> Axes:
    """Splits factors over several legs along which they turned out to be constant."""
    if all(len(factor.legs) == 1 for factor in axes.factors):
        return axes
    factors: list[Factor] = []
    for factor in axes.factors:
        factors += _simplified(nodes, factor)
    return Axes(axes.legs, tuple(factors))


def _simplified(nodes: Nodes, factor: Factor) -> list[Factor]:
    if len(factor.legs) == 1:
        return [factor]
    labels = nodes.labels(factor.nodes)
    tensor, kept, split = factor.nodes, [], []
    for position, leg in enumerate(factor.legs):
        first = labels.take([0], position)
        # Of a tensor that is constant throughout, the last leg still holds the class.
        last = position == len(factor.legs) - 1 and not kept
        if (labels == first).all() and not last:
            split.append((leg, factor.nodes.shape[position]))
            tensor = tensor.take([0], position)
        else:
            kept.append(leg)
    rest = Factor(tuple(kept), tensor.reshape([n for n in tensor.shape if n > 1]))
    return [rest] + [Factor((leg,), nodes.new(size, BLOCK)) for leg, size in split]


def assemble(
    nodes: Nodes, sources: Sequence[Axes], picks: Sequence[tuple[int, int]]
) -> Axes:
    """Returns the axes of an array whose axes come from those of other arrays.

    Factors that reach into axes that are left out are united along those legs: what is
    left of them lives or dies whole.

    Args:
        picks: for each axis of the result its (position in sources, axis there).
    """
    factors: list[Factor] = []
    legs = tuple(sources[source].legs[dim] for source, dim in picks)
    ends = np.cumsum([0] + [len(sizes) for sizes in legs])
    for number, axes in enumerate(sources):
        axes = simplify(nodes, axes)
        position: dict[int, int] = {}
        for place, (source, dim) in enumerate(picks):
            if source == number:
                for i, leg in enumerate(axes.legs_of([dim])):
                    position[leg] = int(ends[place]) + i
        for factor in axes.factors:
            tensor = factor.nodes
            gone = tuple(i for i, leg in enumerate(factor.legs) if leg not in position)
            kept = tuple(position[leg] for leg in factor.legs if leg in position)
            if not kept:
                continue
            if gone:
                first = _slice_at_zero(tensor, gone)
                nodes.unite(tensor, np.expand_dims(first, gone))
                tensor = first
            factors.append(Factor(kept, tensor))
    return _recorded(nodes, Axes(legs, tuple(factors)))


def select(nodes: Nodes, axes: Axes, dims: Sequence[int]) -> Axes:
    """Returns the axes `dims` of one array, in that order."""
    return assemble(nodes, [axes], [(0, d) for d in dims])


def _slice_at_zero(tensor: Ids, places: Sequence[int]) -> Ids:
    return tensor[tuple(0 if i in places else slice(None) for i in range(tensor.ndim))]


def reshape(nodes: Nodes, axes: Axes, shape: Sequence[int], name: str) -> Axes:
    """Returns the axes after a row-major reshape to `shape`.

    Where legs cannot be cut to fit (6 x 2 into 4 x 3), their nodes freeze.
    """
    axes = simplify(nodes, axes)
    legs: list[tuple[int, ...]] = []
    factors: list[Factor] = []
    cuts: dict[int, list[int]] = {}
    torn: list[tuple[list[int], list[int]]] = []  # (old legs, positions of new axes)
    for dims, new_dims in _aligned(axes.shape, shape):
        old = axes.legs_of(dims)
        sizes = [n for d in dims for n in axes.legs[d]]
        groups, parts = _regroup(sizes, [shape[d] for d in new_dims])
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
                    size = _size(result, new)
                    factors.append(Factor((new,), nodes.new(size, reason)))
            continue
        tensor = factor.nodes.reshape([n for leg in factor.legs for n in cuts[leg]])
        factors.append(
            Factor(tuple(p for leg in factor.legs for p in position[leg]), tensor)
        )
    factors += [
        Factor((leg,), nodes.new(_size(result, leg), reason)) for leg in sorted(lost)
    ]
    return _recorded(nodes, Axes(tuple(legs), tuple(factors)))


def unite(
    nodes: Nodes,
    a: Axes,
    dims_a: Sequence[int],
    b: Axes,
    dims_b: Sequence[int],
    reason: str,
) -> tuple[Axes, Axes]:
    """Makes the axes `dims_a` of one array and `dims_b` of another live together.

    Args:
        reason: why nodes freeze where the two structures cannot be matched.

    Returns:
        Both, with their legs cut alike.
    """
    pairs: list[tuple[int, int]] = []
    for da, db in zip(dims_a, dims_b, strict=True):
        sizes = _refinement(a.legs[da], b.legs[db])
        if sizes is None:
            freeze(nodes, a, [da], reason)
            freeze(nodes, b, [db], reason)
            continue
        a, b = _refined(a, da, sizes), _refined(b, db, sizes)
    for da, db in zip(dims_a, dims_b, strict=True):
        if len(a.legs[da]) == len(b.legs[db]):
            pairs += zip(a.legs_of([da]), b.legs_of([db]), strict=True)
    to_b = dict(pairs)
    owner_b = {leg: i for i, f in enumerate(b.factors) for leg in f.legs}
    owner_a = {leg: i for i, f in enumerate(a.factors) for leg in f.legs}
    done: set[int] = set()
    for leg, _ in pairs:
        if owner_a[leg] in done:
            continue
        cluster_a, cluster_b = _cluster(a, b, owner_a, owner_b, to_b, owner_a[leg])
        done |= set(cluster_a)
        _unite_cluster(
            nodes,
            [a.factors[i] for i in cluster_a],
            [b.factors[i] for i in cluster_b],
            to_b,
            reason,
        )
    return a, b


def _cluster(
    a: Axes,
    b: Axes,
    owner_a: dict[int, int],
    owner_b: dict[int, int],
    to_b: dict[int, int],
    start: int,
) -> tuple[list[int], list[int]]:
    """Returns the factors of both sides that hang together through shared legs."""
    to_a = {v: k for k, v in to_b.items()}
    seen_a, seen_b, todo = [start], [], [start]
    while todo:
        for leg in a.factors[todo.pop()].legs:
            if leg not in to_b or owner_b[to_b[leg]] in seen_b:
                continue
            other = owner_b[to_b[leg]]
            seen_b.append(other)
            for back in b.factors[other].legs:
                if back in to_a and owner_a[to_a[back]] not in seen_a:
                    seen_a.append(owner_a[to_a[back]])
                    todo.append(owner_a[to_a[back]])
    return seen_a, seen_b


def _unite_cluster(
    nodes: Nodes,
    side_a: list[Factor],
    side_b: list[Factor],
    to_b: dict[int, int],
    reason: str,
) -> None:
    if len(side_a) > 1 and len(side_b) > 1:
        for factor in side_a + side_b:
            nodes.freeze(factor.nodes, reason)
        return
    # A product on one side meets a single tensor on the other: one factor of the
    # product (the most major free one) carries on, the others must always be whole.
    keep_a, *rest_a = sorted(
        side_a, key=lambda f: (nodes.frozen(f.nodes).all(), f.legs)
    )
    keep_b, *rest_b = sorted(
        side_b, key=lambda f: (nodes.frozen(f.nodes).all(), f.legs)
    )
    for factor in rest_a + rest_b:
        nodes.freeze(factor.nodes, reason)
    legs_b = [to_b.get(leg, -1 - leg) for leg in keep_a.legs]
    order = legs_b + [leg for leg in keep_b.legs if leg not in legs_b]
    nodes.unite(
        _spread(keep_a.nodes, legs_b, order),
        _spread(keep_b.nodes, list(keep_b.legs), order),
    )


def _spread(tensor: Ids, legs: list[int], order: list[int]) -> Ids:
    """Returns the tensor with its legs in the places that `order` gives them."""
    present = [leg for leg in order if leg in legs]
    tensor = tensor.transpose([legs.index(leg) for leg in present])
    return tensor.reshape(
        [tensor.shape[present.index(leg)] if leg in legs else 1 for leg in order]
    )


def column(nodes: Nodes, axes: Axes, dim: int) -> tuple[Axes, int]:
    """Returns the axes with axis `dim` as one single leg, and that leg's factor index.

    Several free factors in one axis cannot be held by one leg: all but the most major
    free one are frozen.
    """
    axes = simplify(nodes, axes)
    legs = axes.legs_of([dim])
    if len(legs) != 1:
        axes = _merged(nodes, axes, dim)
        legs = axes.legs_of([dim])
    (index,) = (i for i, f in enumerate(axes.factors) if legs[0] in f.legs)
    return axes, index


def _merged(nodes: Nodes, axes: Axes, dim: int) -> Axes:
    """Returns the axes with the legs of axis `dim` made one (also from none at all)."""
    legs = axes.legs_of([dim])
    inside = [f for f in axes.factors if set(f.legs) & set(legs)]
    start = sum(len(axes.legs[d]) for d in range(dim))
    if not inside:  # size 1: give it a leg of one new frozen node
        keep = Factor((start,), nodes.new(1, "an axis of size 1"))
        others, extra = list(axes.factors), []
    else:
        first, *rest = sorted(
            inside, key=lambda f: (nodes.frozen(f.nodes).all(), f.legs)
        )
        for factor in rest:
            nodes.freeze(factor.nodes, "two free axes are merged here")
        others = [f for f in axes.factors if f not in inside]
        for factor in rest:  # legs of frozen factors elsewhere keep their own nodes
            for leg in set(factor.legs) - set(legs):
                others.append(Factor((leg,), nodes.new(_size(axes, leg), BLOCK)))
        extra = [leg for leg in first.legs if leg not in legs]
        tensor = _spread(first.nodes, list(first.legs), legs + extra)
        sizes = [_size(axes, leg) for leg in legs]
        tensor = np.broadcast_to(tensor, (*sizes, *tensor.shape[len(legs) :]))
        keep = Factor((start, *extra), tensor.reshape(-1, *tensor.shape[len(legs) :]))
    shift = 1 - len(legs)

    def moved(leg: int) -> int:
        return leg + shift if leg >= start + len(legs) else leg

    new = [Factor(tuple(map(moved, f.legs)), f.nodes) for f in others]
    new.append(Factor((start, *map(moved, extra)), keep.nodes))
    size = prod(axes.legs[dim])
    return Axes((*axes.legs[:dim], (size,), *axes.legs[dim + 1 :]), tuple(new))


def with_column(nodes: Nodes, axes: Axes, dim: int, index: int, tensor: Ids) -> Axes:
    """Returns the axes with the nodes along axis `dim` replaced (after `column`).

    Args:
        index: the factor, as `column` gave it.
        tensor: its new nodes; the axis of `dim` may have a new size.
    """
    (leg,) = axes.legs_of([dim])
    factor = axes.factors[index]
    size = tensor.shape[factor.legs.index(leg)]
    factors = list(axes.factors)
    factors[index] = Factor(factor.legs, tensor)
    legs = (*axes.legs[:dim], (size,), *axes.legs[dim + 1 :])
    if size != 1:
        return _recorded(nodes, Axes(legs, tuple(factors)))
    place = factor.legs.index(leg)  # an axis of size 1 carries nothing: drop its leg
    rest = factor.legs[:place] + factor.legs[place + 1 :]
    factors[index] = Factor(rest, tensor.squeeze(place))
    kept = [f for f in factors if f.legs]
    legs = (*axes.legs[:dim], (), *axes.legs[dim + 1 :])
    return Axes(
        legs,
        tuple(Factor(tuple(p - (p > leg) for p in f.legs), f.nodes) for f in kept),
    )


def settle(nodes: Nodes) -> None:
    """Unites what is needed for every joint to stay rectangular under every plan.

    A tensor of nodes over several axes of one array can only be narrowed if its classes
    depend on one axis alone. Where the network left more freedom than that, the axis
    that keeps most classes apart is chosen.
    """
    for tensor in nodes.joints:
        labels = nodes.labels(tensor)
        lines = [
            np.moveaxis(labels, d, 0).reshape(n, -1) for d, n in enumerate(tensor.shape)
        ]
        if any((line == line[:, :1]).all() for line in lines):
            continue
        best = max(range(tensor.ndim), key=lambda d: _classes_if_united(lines[d]))
        rows = np.moveaxis(tensor, best, 0).reshape(tensor.shape[best], -1)
        nodes.unite(rows, rows[:, :1])


def _classes_if_united(rows: np.ndarray) -> int:
    """Returns how many removable classes remain if each row became one class."""
    merge = Nodes()
    values, inverse = np.unique(rows, return_inverse=True)
    ids = merge.new(len(values))[inverse].reshape(rows.shape)
    if values[0] == -1:
        merge.freeze(ids[rows == -1], "frozen")
    merge.unite(ids, ids[:, :1])
    labels = merge.labels(ids)
    return len(np.unique(labels[labels >= 0]))


def survivors(nodes: Nodes, axes: Axes, dim: int) -> list[Ids]:
    """Returns what decides which indices of axis `dim` survive (after `settle`).

    Returns:
        Node arrays of the axis' length; an index survives iff its nodes in all of them
        do. Frozen nodes are among them.
    """
    legs = axes.legs_of([dim])
    sizes = list(axes.legs[dim])
    columns = []
    for factor in axes.factors_of([dim]):
        inside = tuple(i for i, leg in enumerate(factor.legs) if leg in legs)
        outside = tuple(i for i in range(len(factor.legs)) if i not in inside)
        tensor = factor.nodes
        if outside:
            first = _slice_at_zero(tensor, outside)
            labels = nodes.labels(tensor)
            if not (labels == nodes.labels(np.expand_dims(first, outside))).all():
                continue  # classes depend on another axis: this one stays whole
            tensor = first
        order = [factor.legs[i] for i in inside]
        spread = _spread(tensor, order, legs)
        columns.append(np.broadcast_to(spread, sizes).ravel())
    return columns


def _recorded(nodes: Nodes, axes: Axes) -> Axes:
    """Notes the joints of an array, so that `settle` keeps them rectangular."""
    if all(len(factor.legs) == 1 for factor in axes.factors):
        return axes
    dim_of = [d for d, legs in enumerate(axes.legs) for _ in legs]
    for factor in axes.factors:
        dims = [dim_of[leg] for leg in factor.legs]
        if len(set(dims)) < 2:
            continue
        order = sorted(range(len(dims)), key=lambda i: factor.legs[i])
        tensor = factor.nodes.transpose(order)
        sizes = [
            prod(n for d2, n in zip(sorted(dims), tensor.shape, strict=True) if d2 == d)
            for d in sorted(set(dims))
        ]
        nodes.joints.append(tensor.reshape(sizes))
    return axes


def _size(axes: Axes, leg: int) -> int:
    return [n for legs in axes.legs for n in legs][leg]


def _aligned(
    old: Sequence[int], new: Sequence[int]
) -> list[tuple[list[int], list[int]]]:
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


def _regroup(
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


def _refinement(a: Sequence[int], b: Sequence[int]) -> list[int] | None:
    """Returns the coarsest legs that both lists of legs can be cut into, or None."""
    if tuple(a) == tuple(b):
        return list(a)
    cuts = sorted({1, *np.cumprod(a).tolist(), *np.cumprod(b).tolist()})
    if any(high % low for low, high in pairwise(cuts)):
        return None
    return [high // low for low, high in pairwise(cuts)]


def _refined(axes: Axes, dim: int, sizes: list[int]) -> Axes:
    """Returns the axes with the legs of axis `dim` cut into `sizes`."""
    if list(axes.legs[dim]) == sizes:
        return axes
    _, parts = _regroup(axes.legs[dim], sizes)
    here = axes.legs_of([dim])
    cut = {
        leg: parts[here.index(leg)] if leg in here else [_size(axes, leg)]
        for leg in range(sum(map(len, axes.legs)))
    }
    position, count = {}, 0
    for leg, pieces in cut.items():
        position[leg] = list(range(count, count + len(pieces)))
        count += len(pieces)
    factors = tuple(
        Factor(
            tuple(p for leg in f.legs for p in position[leg]),
            f.nodes.reshape([n for leg in f.legs for n in cut[leg]]),
        )
        for f in axes.factors
    )
    return Axes((*axes.legs[:dim], tuple(sizes), *axes.legs[dim + 1 :]), factors)
