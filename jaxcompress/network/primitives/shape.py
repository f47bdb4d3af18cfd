"""Primitives that only re-arrange: reshape, transpose, slice, pad, stack, tile, ..."""

from collections.abc import Callable
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import JaxprEqn

from jaxcompress.network.axes import Axes, assemble, column, fresh, select, with_column
from jaxcompress.network.nodes import Ids, Nodes
from jaxcompress.network.primitives.rule import Rule, Site, Sizes, shape_of
from jaxcompress.network.regroup import reshape
from jaxcompress.network.unite import unite


def _reshape(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    order = eqn.params.get("dimensions")
    axes = ins[0] if order is None else select(nodes, ins[0], order)
    return [reshape(nodes, axes, shape_of(eqn), "reshape")]


def _rebuild_reshape(sizes: Sizes, site: Site, args: list[jax.Array]) -> list[jax.Array]:
    order = site.params.get("dimensions")
    return [lax.reshape(args[0], sizes.shape(site.outs[0]), order)]


def _broadcast(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    shape = shape_of(eqn)
    # The new axes hold fresh nodes: whatever meets them later adopts them.
    picks = [(1, d) for d in range(len(shape))]
    for source, target in enumerate(eqn.params["broadcast_dimensions"]):
        if ins[0].shape[source] == shape[target]:
            picks[int(target)] = (0, source)
    new = [n if picks[d][0] else 1 for d, n in enumerate(shape)]
    return [assemble(nodes, [ins[0], fresh(nodes, new)], picks)]


def _rebuild_broadcast(sizes: Sizes, site: Site, args: list[jax.Array]) -> list[jax.Array]:
    dims = [int(d) for d in site.params["broadcast_dimensions"]]
    return [lax.broadcast_in_dim(args[0], sizes.shape(site.outs[0]), dims)]


def _transpose(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    return [select(nodes, ins[0], eqn.params["permutation"])]


def _squeeze(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    gone = {d % ins[0].ndim for d in eqn.params["dimensions"]}
    return [select(nodes, ins[0], [d for d in range(ins[0].ndim) if d not in gone])]


def _rev(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    axes = ins[0]
    for dim in map(int, eqn.params["dimensions"]):
        if axes.legs[dim]:
            _pin_batch(nodes, axes, dim, "a reversal")
            axes = _edit(nodes, axes, dim, lambda tensor: tensor[::-1])
    return [axes]


def _edit(nodes: Nodes, axes: Axes, dim: int, change: Callable[[Ids], Ids]) -> Axes:
    """Applies `change` to the nodes along one axis, which comes first."""
    axes, index = column(nodes, axes, dim)
    factor = axes.factors[index]
    place = factor.legs.index(axes.legs_of([dim])[0])
    tensor = np.moveaxis(change(np.moveaxis(factor.nodes, place, 0)), 0, place)
    return with_column(nodes, axes, dim, index, tensor)


def _cut(nodes: Nodes, axes: Axes, dim: int, start: int, stop: int, step: int) -> Axes:
    """Returns the axes after slicing one of them."""
    size = axes.shape[dim]
    if (start, stop, step) == (0, size, 1):
        return axes
    if (start, stop) != (0, 1):  # the first example is there at every batch size
        _pin_batch(nodes, axes, dim, "a slice")

    def cut(tensor: Ids) -> Ids:
        taken = tensor[start:stop:step]
        # An axis of size 1 carries no nodes, so nothing would tell that this one is gone.
        if taken.size == 1 and not nodes.batch(taken).any():
            nodes.freeze(taken, "a single index is cut out of this axis")
        return taken

    return _edit(nodes, axes, dim, cut)


def _pin_batch(nodes: Nodes, axes: Axes, dim: int, what: str) -> None:
    """Freezes the batch indices in an axis that is about to lose its length."""
    for factor in axes.factors_of([dim]):
        if nodes.batch(factor.nodes).any():
            nodes.freeze(factor.nodes, f"{what} along the batch axis")


def _slice(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    axes = ins[0]
    strides = eqn.params["strides"] or (1,) * axes.ndim
    bounds = zip(
        eqn.params["start_indices"], eqn.params["limit_indices"], strides, strict=True
    )
    for dim, (start, stop, step) in enumerate(bounds):
        axes = _cut(nodes, axes, dim, start, stop, step)
    return [axes]


def _rebuild_slice(sizes: Sizes, site: Site, args: list[jax.Array]) -> list[jax.Array]:
    strides = site.params["strides"] or (1,) * len(args[0].shape)
    bounds = zip(
        site.params["start_indices"], site.params["limit_indices"], strides, strict=True
    )
    result, axes = args[0], site.ins[0]
    for dim, (start, stop, step) in enumerate(bounds):
        if (start, stop, step) == (0, axes.shape[dim], 1):
            continue
        kept = sizes.kept(axes, dim)
        if kept is None:
            result = lax.slice_in_dim(result, start, stop, step, dim)
            continue
        chosen = slice(start, stop, step)
        result = _take(result, (np.cumsum(kept) - 1)[chosen][kept[chosen]], dim)
    return [result]


def _take(array: jax.Array, positions: np.ndarray, dim: int) -> jax.Array:
    """Takes fixed positions along an axis, by a slice where they are contiguous."""
    first, count = (int(positions[0]), len(positions)) if len(positions) else (0, 0)
    if np.array_equal(positions, np.arange(first, first + count)):
        return lax.slice_in_dim(array, first, first + count, 1, dim)
    return jnp.take(array, positions, dim, mode="clip")


def _split(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    dim = int(eqn.params["axis"])
    ends = np.cumsum([0, *eqn.params["sizes"]])
    return [_cut(nodes, ins[0], dim, int(a), int(b), 1) for a, b in pairwise(ends)]


def _rebuild_split(sizes: Sizes, site: Site, args: list[jax.Array]) -> list[jax.Array]:
    dim = int(site.params["axis"])
    kept = sizes.kept(site.ins[0], dim)
    if kept is None:
        return list(lax.split(args[0], site.params["sizes"], dim))
    ends = np.cumsum([0, *site.params["sizes"]])
    parts = [int(kept[a:b].sum()) for a, b in pairwise(ends)]
    return list(lax.split(args[0], parts, dim))


def _pad(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    axes = ins[0]
    for dim, config in enumerate(eqn.params["padding_config"]):
        low, high, inner = map(int, config)
        if (low, high, inner) == (0, 0, 0):
            continue
        _pin_batch(nodes, axes, dim, "padding")
        if low < 0 or high < 0 or inner:
            for factor in axes.factors_of([dim]):
                nodes.freeze(factor.nodes, "padding with holes or cuts")
            size = shape_of(eqn)[dim]
            axes = _edit(nodes, axes, dim, lambda t, n=size: _rows(nodes, n, t, "padding"))
            continue
        # Padded channels are fresh: they go when what they are added to goes.
        axes = _edit(
            nodes,
            axes,
            dim,
            lambda t, a=low, b=high: np.concatenate(
                [_rows(nodes, a, t), t, _rows(nodes, b, t)]
            ),
        )
    return [axes]


def _rows(nodes: Nodes, count: int, like: Ids, reason: str | None = None) -> Ids:
    """Returns new nodes for `count` rows of a tensor."""
    ids = nodes.new(count, reason).reshape(count, *(1,) * (like.ndim - 1))
    return np.broadcast_to(ids, (count, *like.shape[1:]))


def _rebuild_pad(sizes: Sizes, site: Site, args: list[jax.Array]) -> list[jax.Array]:
    config = []
    for dim, (low, high, inner) in enumerate(site.params["padding_config"]):
        kept = sizes.kept(site.outs[0], dim)
        if kept is not None and low >= 0 and high >= 0:
            low, high = int(kept[:low].sum()), int(kept[len(kept) - high :].sum())
        config.append((low, high, inner))
    return [lax.pad(args[0], args[1], config)]


def _concatenate(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    dim = int(eqn.params["dimension"])
    others = [d for d in range(ins[0].ndim) if d != dim]
    first, parts = ins[0], []
    for axes in ins:
        _pin_batch(nodes, axes, dim, "concatenation")
    for axes in ins[1:]:
        same = [d for d in others if first.legs[d]]
        first, axes = unite(nodes, first, same, axes, same, "concatenation")
        parts.append(axes)
    columns = [column(nodes, axes, dim) for axes in [first, *parts]]
    base, index = columns[0]
    legs = base.factors[index].legs
    place = legs.index(base.legs_of([dim])[0])
    tensors = []
    for axes, i in columns:
        factor = axes.factors[i]
        if factor.legs != legs or factor.nodes.shape[:place] + factor.nodes.shape[
            place + 1 :
        ] != (
            base.factors[index].nodes.shape[:place]
            + base.factors[index].nodes.shape[place + 1 :]
        ):
            reason = "concatenation of unlike axes"
            for other, j in columns:
                nodes.freeze(other.factors[j].nodes, reason)
            total = fresh(nodes, shape_of(eqn), reason)
            picks = [(1 if d == dim else 0, d) for d in range(first.ndim)]
            return [assemble(nodes, [first, total], picks)]
        tensors.append(factor.nodes)
    return [with_column(nodes, base, dim, index, np.concatenate(tensors, place))]


def _stack(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    first, dims = ins[0], range(ins[0].ndim)
    for axes in ins[1:]:
        same = [d for d in dims if first.legs[d]]
        first, _ = unite(nodes, first, same, axes, same, "a stack of unlike axes")
    new = fresh(nodes, (len(ins),), "arrays are stacked along this axis")
    picks = [(0, d) for d in dims]
    picks.insert(eqn.params["axis"], (1, 0))
    return [assemble(nodes, [first, new], picks)]


def _unstack(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    dim = int(eqn.params["axis"]) % ins[0].ndim
    rest = [d for d in range(ins[0].ndim) if d != dim]
    parts = [_cut(nodes, ins[0], dim, i, i + 1, 1) for i in range(ins[0].shape[dim])]
    return [select(nodes, part, rest) for part in parts]


def _tile(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    """Repeats whole axes; an axis of size 1 is broadcast, and may lose copies."""
    axes, reps = ins[0], [int(n) for n in eqn.params["reps"]]
    whole = fresh(nodes, reps, "an axis is repeated as a whole")
    free = fresh(nodes, reps)
    picks = []
    for d, size in enumerate(axes.shape):
        picks += [(1 if size == 1 else 2, d), (0, d)]
    paired = assemble(nodes, [axes, free, whole], picks)
    return [reshape(nodes, paired, shape_of(eqn), "tile")]


def _rebuild_tile(sizes: Sizes, site: Site, args: list[jax.Array]) -> list[jax.Array]:
    shape, was = sizes.shape(site.outs[0]), site.ins[0].shape
    reps = [shape[d] if was[d] == 1 else int(n) for d, n in enumerate(site.params["reps"])]
    return [jnp.tile(args[0], reps)]


def _iota(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    del ins
    return [fresh(nodes, shape_of(eqn))]


def _rebuild_iota(sizes: Sizes, site: Site, args: list[jax.Array]) -> list[jax.Array]:
    del args
    dim, dtype = site.params["dimension"], site.params["dtype"]
    shape = sizes.shape(site.outs[0])
    kept = sizes.kept(site.outs[0], dim)
    if kept is None:
        return [lax.broadcasted_iota(dtype, shape, dim)]
    # What survives keeps the number that it had.
    return [lax.broadcast_in_dim(jnp.asarray(np.flatnonzero(kept), dtype), shape, (dim,))]


RULES = {
    "reshape": Rule(_reshape, _rebuild_reshape),
    "broadcast_in_dim": Rule(_broadcast, _rebuild_broadcast),
    "transpose": Rule(_transpose),
    "squeeze": Rule(_squeeze),
    "rev": Rule(_rev),
    "slice": Rule(_slice, _rebuild_slice),
    "split": Rule(_split, _rebuild_split),
    "pad": Rule(_pad, _rebuild_pad),
    "concatenate": Rule(_concatenate),
    "stack": Rule(_stack),
    "unstack": Rule(_unstack),
    "tile": Rule(_tile, _rebuild_tile),
    "iota": Rule(_iota, _rebuild_iota),
}
