"""Reads the convolutions and dots off a program: what they multiply, what they cost."""

from dataclasses import dataclass
from math import prod

from jaxcompress.network.axes import Axes
from jaxcompress.network.primitives.contraction import dot_axes
from jaxcompress.network.program import Program, Step
from jaxcompress.network.sizes import Column, Layout


@dataclass(frozen=True, eq=False)
class Contraction:
    """A convolution or dot, and what it costs.

    Attributes:
        step: its program step.
        kind: "convolution", "depthwise", "grouped" or "dense".
        constant: MACs of one channel combination in one example; 0 for a product of
            parameters, which does not depend on the inputs.
        columns: the axes whose surviving lengths multiply with it.
        contracted: for each operand its contracted axes.
        outer: for each operand the axes that reach the output, without batch axes.
    """

    step: Step
    kind: str
    constant: int
    columns: tuple[Column, ...]
    contracted: tuple[tuple[int, ...], tuple[int, ...]]
    outer: tuple[tuple[int, ...], tuple[int, ...]]

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one example, nothing removed."""
        return self.constant * prod(column.size for column in self.columns)

    @property
    def weight(self) -> int | None:
        """Which operand is a parameter applied to activations, or None."""
        driven = self.step.driven
        return None if driven[0] == driven[1] else driven.index(False)


def contractions(program: Program, layout: Layout) -> tuple[Contraction, ...]:
    """Returns every convolution and dot."""
    readers = {"dot_general": _dot, "conv_general_dilated": _convolution}
    return tuple(
        readers[step.primitive.name](step, layout)
        for step in program.walk()
        if step.primitive.name in readers
    )


def _dot(step: Step, layout: Layout) -> Contraction:
    (con_a, con_b), (bat_a, bat_b) = dot_axes(step.params)
    a, b = step.ins
    outer_a = [d for d in range(a.ndim) if d not in con_a + bat_a]
    outer_b = [d for d in range(b.ndim) if d not in con_b + bat_b]
    axes = [(a, d) for d in bat_a + outer_a + con_a] + [(b, d) for d in outer_b]
    constant, columns = _costs(axes, layout)
    return Contraction(
        step,
        "dense",
        constant * step.repeats * any(step.driven),
        columns,
        (tuple(con_a), tuple(con_b)),
        (tuple(outer_a), tuple(outer_b)),
    )


def _convolution(step: Step, layout: Layout) -> Contraction:
    left, right = step.ins
    spec = step.params["dimension_numbers"]
    out, inner, *kernel = spec.rhs_spec
    groups, width = step.params["feature_group_count"], right.shape[inner]
    constant, columns = _costs([(right, inner), (right, out)], layout)
    space = [step.outs[0].shape[d] for d in spec.out_spec[2:]]
    kind = "convolution" if groups == 1 else "depthwise" if width == 1 else "grouped"
    return Contraction(
        step,
        kind,
        constant
        * prod(space)
        * prod(right.shape[d] for d in kernel)
        * step.repeats
        * any(step.driven),
        columns,
        (() if kind == "depthwise" else (spec.lhs_spec[1],), (inner,)),
        (tuple(d for d in range(left.ndim) if d not in spec.lhs_spec[:2]), (out,)),
    )


def _costs(axes: list[tuple[Axes, int]], layout: Layout) -> tuple[int, tuple[Column, ...]]:
    """Splits axes into a constant and the columns that a plan can shorten."""
    constant, columns = 1, []
    for array, dim in axes:
        column = layout.column(array, dim)
        if column.batch > 1:  # cost is counted for one example
            column = column.one_example()
        if column.units:
            columns.append(column)
        else:
            constant *= column.size
    return constant, tuple(columns)
