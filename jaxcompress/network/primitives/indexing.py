"""Indexing: axes that are taken or written whole pass through, others freeze."""

import jax
from jax.extend.core import JaxprEqn

from jaxcompress.network.axes import Axes, assemble, freeze, fresh
from jaxcompress.network.nodes import Nodes
from jaxcompress.network.primitives.rule import Rule, Site, Sizes, opaque, shape_of
from jaxcompress.network.unite import unite


def _gather(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    operand, indices = ins
    numbers, sizes = eqn.params["dimension_numbers"], eqn.params["slice_sizes"]
    if numbers.operand_batching_dims:
        return opaque("a gather with batch axes")(nodes, eqn, ins)
    offsets = [d for d in range(operand.ndim) if d not in numbers.collapsed_slice_dims]
    whole = [d for d in offsets if sizes[d] == operand.shape[d]]
    partial = [d for d in range(operand.ndim) if d not in whole]
    freeze(nodes, operand, partial, "a gather indexes this axis")
    freeze(nodes, indices, [indices.ndim - 1], "indices of a gather")
    new = fresh(nodes, shape_of(eqn), "a gather indexes this axis")
    batch = iter(range(indices.ndim - 1))
    offset = iter(offsets)
    picks = []
    for d in range(new.ndim):
        if d not in numbers.offset_dims:
            picks.append((1, next(batch)))
            continue
        source = next(offset)
        picks.append((0, source) if source in whole else (2, d))
    return [assemble(nodes, [operand, indices, new], picks)]


def _rebuild_sizes(sizes: Sizes, site: Site, args: list[jax.Array]) -> list[jax.Array]:
    """Rebuilds an equation with `slice_sizes`: whole axes are still taken whole."""
    del sizes
    old = site.ins[0].shape
    new = tuple(
        args[0].shape[d] if n == old[d] else n
        for d, n in enumerate(site.params["slice_sizes"])
    )
    return [site.primitive.bind(*args, **(site.params | {"slice_sizes": new}))]


def _dynamic_slice(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    operand, sizes = ins[0], eqn.params["slice_sizes"]
    partial = [d for d in range(operand.ndim) if sizes[d] != operand.shape[d]]
    freeze(nodes, operand, partial, "a dynamic slice indexes this axis")
    new = fresh(nodes, shape_of(eqn), "a dynamic slice indexes this axis")
    picks = [(1 if d in partial else 0, d) for d in range(operand.ndim)]
    return [assemble(nodes, [operand, new], picks)]


def _dynamic_update_slice(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    operand, update = ins[0], ins[1]
    whole = [d for d in range(operand.ndim) if update.shape[d] == operand.shape[d]]
    partial = [d for d in range(operand.ndim) if d not in whole]
    freeze(nodes, operand, partial, "a dynamic update indexes this axis")
    freeze(nodes, update, partial, "a dynamic update indexes this axis")
    reason = "an update of unlike axes"
    operand, _ = unite(nodes, operand, whole, update, whole, reason)
    return [operand]


def _scatter(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    operand, indices, updates = ins
    numbers = eqn.params["dimension_numbers"]
    if numbers.operand_batching_dims:
        return opaque("a scatter with batch axes")(nodes, eqn, ins)
    windows = [d for d in range(operand.ndim) if d not in numbers.inserted_window_dims]
    pairs = [
        (d, u)
        for d, u in zip(windows, numbers.update_window_dims, strict=True)
        if operand.shape[d] == updates.shape[u]
        and d not in numbers.scatter_dims_to_operand_dims
    ]
    whole, written = [d for d, _ in pairs], [u for _, u in pairs]
    reason = "a scatter indexes this axis"
    freeze(nodes, operand, [d for d in range(operand.ndim) if d not in whole], reason)
    places = [u for u in range(updates.ndim) if u not in numbers.update_window_dims]
    partial = [u for u in range(updates.ndim) if u not in written + places]
    freeze(nodes, updates, partial, reason)
    freeze(nodes, indices, [indices.ndim - 1], "indices of a scatter")
    rows = list(range(indices.ndim - 1))
    unite(nodes, indices, rows, updates, places, "a scatter of unlike axes")
    same = [(d, u) for d, u in pairs if operand.legs[d] and updates.legs[u]]
    dims, others = [d for d, _ in same], [u for _, u in same]
    operand, _ = unite(nodes, operand, dims, updates, others, "a scatter of unlike axes")
    return [operand]


SCATTERS = "scatter scatter-add scatter-sub scatter-mul scatter-min scatter-max".split()
RULES = {
    "gather": Rule(_gather, _rebuild_sizes),
    "dynamic_slice": Rule(_dynamic_slice, _rebuild_sizes),
    "dynamic_update_slice": Rule(_dynamic_update_slice),
} | {name: Rule(_scatter) for name in SCATTERS}
