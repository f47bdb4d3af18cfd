"""Layers: the convolutions and dots that multiply activations by a parameter."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from jaxcompress.network.axes import Axes
from jaxcompress.network.contractions import Contraction
from jaxcompress.network.groups import Group
from jaxcompress.network.nodes import Nodes
from jaxcompress.network.program import Program
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
        in_axes: those that multiply input channels; axes of size 1 are in neither.
        plain: whether the parameter is multiplied as it is, here and nowhere else; not
            plain is one that is transposed before, tied, or inside a scan.
        macs: multiply-accumulates for one example, nothing removed.
        groups_in, groups_out: names of the channel groups at its input and output.
        step, operand: its step in the program, and which operand the activations are.
    """

    name: str
    kind: str
    weight: str
    shape: tuple[int, ...]
    out_axes: tuple[int, ...]
    in_axes: tuple[int, ...]
    plain: bool
    macs: int
    groups_in: tuple[str, ...]
    groups_out: tuple[str, ...]
    step: int
    operand: int

    @property
    def kernel_axes(self) -> tuple[int, ...]:
        """The axes of a convolution's parameter that run along its window."""
        if self.kind == "dense":
            return ()
        channels = self.out_axes + self.in_axes
        return tuple(d for d, n in enumerate(self.shape) if d not in channels and n > 1)


@dataclass(frozen=True, eq=False)
class Weight:
    """The parameter that a contraction multiplies by.

    Attributes:
        leaf: its position among the parameters.
        out_axes: its axes that make output channels.
        in_axes: its axes that multiply input channels.
    """

    leaf: int
    out_axes: tuple[int, ...]
    in_axes: tuple[int, ...]


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
    out, into = _sides(leaves[leaf], outer, inner)
    if not out:
        outer, inner = ({int(nodes.find_one(n)) for n in side} for side in (outer, inner))
        out, into = _sides(leaves[leaf], outer, inner, nodes)
    return Weight(leaf, out, into)


def _sides(
    leaf: Axes, outer: set[int], inner: set[int], nodes: Nodes | None = None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (
        _axes_within(leaf, outer, inner, nodes),
        _axes_within(leaf, inner, outer, nodes),
    )


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
    program: Program,
) -> tuple[Layer, ...]:
    """Returns the layers in the order of execution."""
    plain = _plain(program)
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
                in_axes=weight.in_axes,
                plain=plain.get(weight.leaf) == (contraction.step.index, operand),
                macs=contraction.macs,
                groups_in=touching(columns_in),
                groups_out=touching(columns_out),
                step=contraction.step.index,
                operand=1 - operand,
            )
        )
    return tuple(layers)


def _plain(program: Program) -> dict[int, tuple[int, int]]:
    """Returns for each leaf that is used just once the step and operand that use it."""
    outside = {step.index for step in program.steps}
    uses: dict[int, list[tuple[int, int]]] = {}
    for step in program.walk():
        for operand, arg in enumerate(step.args):
            if isinstance(arg, int) and step.index in outside:
                uses.setdefault(arg, []).append((step.index, operand))
    for out in program.outputs:
        if isinstance(out, int):
            uses.setdefault(out, []).append((-1, -1))
    leaves = {slot: leaf for leaf, slot in enumerate(program.inputs)}
    return {
        leaves[slot]: found[0]
        for slot, found in uses.items()
        if slot in leaves and len(found) == 1
    }
