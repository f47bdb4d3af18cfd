"""Layers: the convolutions and dots that multiply activations by a parameter."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from jaxcompress.network.axes import Axes
from jaxcompress.network.contractions import Contraction
from jaxcompress.network.groups import Group
from jaxcompress.network.nodes import Nodes
from jaxcompress.network.sizes import ALWAYS, Column, Layout


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution or dot of activations with a parameter.

    Attributes:
        name: from the parameter's path.
        kind: "convolution", "depthwise", "grouped" or "dense".
        weight: the path of its parameter.
        shape: the parameter's shape.
        out_axes: the axes of the parameter that make output channels.
        macs: multiply-accumulates for one example, nothing removed.
        groups_in, groups_out: names of the channel groups at its input and output.
        step, operand: its step in the program, and which operand the activations are.
    """

    name: str
    kind: str
    weight: str
    shape: tuple[int, ...]
    out_axes: tuple[int, ...]
    macs: int
    groups_in: tuple[str, ...]
    groups_out: tuple[str, ...]
    step: int
    operand: int


@dataclass(frozen=True, eq=False)
class Weight:
    """The parameter that a contraction multiplies by.

    Attributes:
        leaf: its position among the parameters.
        out_axes: its axes that make output channels.
    """

    leaf: int
    out_axes: tuple[int, ...]


def weight_of(
    contraction: Contraction, nodes: Nodes, leaves: Sequence[Axes]
) -> Weight | None:
    """Returns which parameter a contraction applies; None if it is no layer."""
    operand = contraction.weight
    if operand is None or not contraction.step.sources[operand]:
        return None
    # Of a weight that is computed from several parameters, the largest is the weight.
    sources = sorted(contraction.step.sources[operand])
    leaf = max(sources, key=lambda i: prod(leaves[i].shape))
    axes = contraction.step.ins[operand]
    outer, inner = (
        {int(n) for f in axes.factors_of(dims) for n in f.nodes.ravel()}
        for dims in (contraction.outer[operand], contraction.contracted[operand])
    )
    # The nodes of a leaf's axes are its own as long as it is only re-arranged; where it
    # went through arithmetic, their classes still tell.
    out = _axes_within(leaves[leaf], outer, inner)
    if not out:
        outer, inner = ({int(nodes.find_one(n)) for n in side} for side in (outer, inner))
        out = _axes_within(leaves[leaf], outer, inner, nodes)
    return Weight(leaf, out)


def _axes_within(
    leaf: Axes, outer: set[int], inner: set[int], nodes: Nodes | None = None
) -> tuple[int, ...]:
    out = []
    for dim in range(leaf.ndim):
        own = {int(n) for f in leaf.factors_of([dim]) for n in f.nodes.ravel()}
        if nodes is not None:
            own = {nodes.find_one(n) for n in own}
        if own and own <= outer and not own <= inner:
            out.append(dim)
    return tuple(out)


def layer_names(weights: Sequence[Weight | None], paths: Sequence[str]) -> list[str]:
    """Returns a unique name for each layer, from its parameter's path."""
    short = [_parent(paths[w.leaf]) for w in weights if w is not None]
    leaves = [w.leaf for w in weights if w is not None]
    names, used = [], {}
    for name, leaf in zip(short, leaves, strict=True):
        shared = {other for n, other in zip(short, leaves, strict=True) if n == name}
        if len(shared) > 1 or not name:  # one module with several weights
            name = paths[leaf]
        used[name] = used.get(name, 0) + 1
        names.append(name if used[name] == 1 else f"{name}#{used[name]}")
    return names


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def find_layers(
    contractions: Sequence[Contraction],
    weights: Sequence[Weight | None],
    names: Sequence[str],
    paths: Sequence[str],
    leaves: Sequence[Axes],
    groups: Sequence[Group],
    layout: Layout,
) -> tuple[Layer, ...]:
    """Returns the layers in the order of execution."""
    owner = {int(unit): group.name for group in groups for unit in group.units}

    def touching(columns: list[Column]) -> tuple[str, ...]:
        units = [int(u) for c in columns for line in c.units for u in line if u != ALWAYS]
        return tuple(dict.fromkeys(owner[unit] for unit in units))

    layers, name = [], iter(names)
    for contraction, weight in zip(contractions, weights, strict=True):
        if weight is None:
            continue
        operand = contraction.step.driven.index(False)
        axes = contraction.step.ins[operand]
        inputs = contraction.contracted[operand]
        outputs = contraction.outer[operand]
        columns_in = [layout.column(axes, d) for d in inputs]
        columns_out = [layout.column(axes, d) for d in outputs]
        if contraction.kind == "depthwise":
            columns_in = columns_out
        layers.append(
            Layer(
                name=next(name),
                kind=contraction.kind,
                weight=paths[weight.leaf],
                shape=leaves[weight.leaf].shape,
                out_axes=weight.out_axes,
                macs=contraction.macs,
                groups_in=touching(columns_in),
                groups_out=touching(columns_out),
                step=contraction.step.index,
                operand=1 - operand,
            )
        )
    return tuple(layers)
