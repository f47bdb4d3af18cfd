"""Saying that axes of two arrays live together, however they are made up of legs."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from jaxcompress.network.axes import Axes, Factor, freeze, leg_size, spread
from jaxcompress.network.nodes import Nodes
from jaxcompress.network.regroup import regroup


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
    keep_a, *rest_a = sorted(side_a, key=lambda f: (nodes.frozen(f.nodes).all(), f.legs))
    keep_b, *rest_b = sorted(side_b, key=lambda f: (nodes.frozen(f.nodes).all(), f.legs))
    for factor in rest_a + rest_b:
        nodes.freeze(factor.nodes, reason)
    legs_b = [to_b.get(leg, -1 - leg) for leg in keep_a.legs]
    order = legs_b + [leg for leg in keep_b.legs if leg not in legs_b]
    nodes.unite(
        spread(keep_a.nodes, legs_b, order),
        spread(keep_b.nodes, list(keep_b.legs), order),
    )


def _refinement(a: Sequence[int], b: Sequence[int]) -> list[int] | None:
    """Returns the coarsest legs that both lists of legs can be cut into, or None."""
    if tuple(a) == tuple(b):
        return list(a)
    if 0 in a or 0 in b:
        return None
    cuts = sorted({1, *np.cumprod(a).tolist(), *np.cumprod(b).tolist()})
    if any(high % low for low, high in pairwise(cuts)):
        return None
    return [high // low for low, high in pairwise(cuts)]


def _refined(axes: Axes, dim: int, sizes: list[int]) -> Axes:
    """Returns the axes with the legs of axis `dim` cut into `sizes`."""
    if list(axes.legs[dim]) == sizes:
        return axes
    _, parts = regroup(axes.legs[dim], sizes)
    here = axes.legs_of([dim])
    cut = {
        leg: parts[here.index(leg)] if leg in here else [leg_size(axes, leg)]
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
