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
from itertools import accumulate
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
        ends = list(accumulate(map(len, self.legs)))
        return [leg for d in dims for leg in range(ends[d] - len(self.legs[d]), ends[d])]

    def factors_of(self, dims: Sequence[int]) -> list[Factor]:
        """Returns the factors that have a leg in one of the axes `dims`."""
        wanted = set(self.legs_of(dims))
        return [f for f in self.factors if wanted.intersection(f.legs)]


def fresh(nodes: Nodes, shape: Sequence[int], reason: str | None = None) -> Axes:
    """Returns axes of new nodes, one leg for each axis."""
    legs = tuple((int(n),) if n != 1 else () for n in shape)
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
    if len(factor.legs) == 1 or not factor.nodes.size:
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
                first = at_zero(tensor, gone)
                nodes.unite(tensor, np.expand_dims(first, gone))
                tensor = first
            factors.append(Factor(kept, tensor))
    return recorded(nodes, Axes(legs, tuple(factors)))


def select(nodes: Nodes, axes: Axes, dims: Sequence[int]) -> Axes:
    """Returns the axes `dims` of one array, in that order."""
    return assemble(nodes, [axes], [(0, d) for d in dims])


def at_zero(tensor: Ids, places: Sequence[int]) -> Ids:
    return tensor[tuple(0 if i in places else slice(None) for i in range(tensor.ndim))]


def spread(tensor: Ids, legs: list[int], order: list[int]) -> Ids:
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
        first, *rest = sorted(inside, key=lambda f: (nodes.frozen(f.nodes).all(), f.legs))
        for factor in rest:
            nodes.freeze(factor.nodes, "two free axes are merged here")
        others = [f for f in axes.factors if f not in inside]
        for factor in rest:  # legs of frozen factors elsewhere keep their own nodes
            for leg in set(factor.legs) - set(legs):
                others.append(Factor((leg,), nodes.new(leg_size(axes, leg), BLOCK)))
        extra = [leg for leg in first.legs if leg not in legs]
        tensor = spread(first.nodes, list(first.legs), legs + extra)
        sizes = [leg_size(axes, leg) for leg in legs]
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
        return recorded(nodes, Axes(legs, tuple(factors)))
    place = factor.legs.index(leg)  # an axis of size 1 carries nothing: drop its leg
    rest = factor.legs[:place] + factor.legs[place + 1 :]
    factors[index] = Factor(rest, tensor.squeeze(place))
    kept = [f for f in factors if f.legs]
    legs = (*axes.legs[:dim], (), *axes.legs[dim + 1 :])
    return Axes(
        legs,
        tuple(Factor(tuple(p - (p > leg) for p in f.legs), f.nodes) for f in kept),
    )


def recorded(nodes: Nodes, axes: Axes) -> Axes:
    """Notes the joints of an array, so that `settle` keeps them rectangular."""
    if all(len(factor.legs) == 1 for factor in axes.factors):
        return axes
    dim_of = [d for d, legs in enumerate(axes.legs) for _ in legs]
    for factor in axes.factors:
        dims = [dim_of[leg] for leg in factor.legs]
        if len(set(dims)) < 2 or not factor.nodes.size:
            continue
        order = sorted(range(len(dims)), key=lambda i: factor.legs[i])
        tensor = factor.nodes.transpose(order)
        sizes = [
            prod(n for d2, n in zip(sorted(dims), tensor.shape, strict=True) if d2 == d)
            for d in sorted(set(dims))
        ]
        nodes.joints.append(tensor.reshape(sizes))
    return axes


def leg_size(axes: Axes, leg: int) -> int:
    return [n for legs in axes.legs for n in legs][leg]
