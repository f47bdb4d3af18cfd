"""Whether a function works at other batch sizes than the one it was traced at."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr, JaxprEqn

from jaxcompress.network.axes import Axes
from jaxcompress.network.inline import Arg, inline
from jaxcompress.network.nodes import Nodes
from jaxcompress.network.primitives.rule import result_shapes
from jaxcompress.network.program import Program
from jaxcompress.network.sizes import Layout, Sizes

Equation = tuple[str, list[tuple[int, ...]], list[np.ndarray]]


def batch_reason(nodes: Nodes, program: Program, leaves: Sequence[Axes]) -> str | None:
    """Returns why the network only works at the batch size it was traced with, or None."""
    for tensor in nodes.joints:
        if nodes.batch(tensor).any():
            return "the batch axis is split"
    constants = [axes for _, _, axes in program.constants]
    for axes in [*leaves, *constants]:
        if any(nodes.batch(factor.nodes).any() for factor in axes.factors):
            return "a parameter or constant has the batch size for an axis"
    return nodes.frozen_batch()


def baked_in(
    closed: ClosedJaxpr, batch: int, program: Program, layout: Layout
) -> str | None:
    """Returns where the batch size entered the function as a number, or None.

    Every step must be the same as at another batch size, with the shapes that the layout
    gives it there.

    Args:
        closed: the function at that batch size.
    """
    sizes = Sizes(layout, None, batch)
    ours, theirs = program.walk(), _equations(closed)
    if len(ours) != len(theirs):
        return "apply takes other steps at another batch size"
    for step, (name, shapes, literals) in zip(ours, theirs, strict=True):
        mine = [sizes.shape(axes) for axes in step.outs]
        if step.primitive.name != name or mine != shapes:
            return f"the shape of a {step.primitive.name} has the batch size in it"
        scalars = [arg for arg in step.args if not isinstance(arg, int)]
        if len(scalars) != len(literals) or not all(
            np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
            for a, b in zip(scalars, literals, strict=True)
        ):
            return f"a {name} computes with the batch size"
    return None


def _equations(closed: ClosedJaxpr) -> list[Equation]:
    """Returns name, shapes of results and literals of each step, in order of `walk`."""
    found: list[Equation] = []

    def emit(eqn: JaxprEqn, operands: list[Arg]) -> Sequence[Arg]:
        literals = [arg for arg in operands if not isinstance(arg, int)]
        found.append((eqn.primitive.name, result_shapes(eqn), literals))
        if eqn.primitive.name == "scan":
            run(eqn.params["jaxpr"])
        return [0] * len(eqn.outvars)

    def run(closed: Any) -> None:
        slots: list[Arg] = [0] * len(closed.jaxpr.invars)
        inline(closed.jaxpr, closed.consts, slots, lambda value: 0, emit)

    run(closed)
    return found
