"""Whether a function works at other batch sizes than the one it was traced at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, JaxprEqn

from jaxcompress.network.axes import Axes
from jaxcompress.network.inline import Arg, inline
from jaxcompress.network.nodes import Nodes
from jaxcompress.network.primitives.rule import result_shapes
from jaxcompress.network.program import Program
from jaxcompress.network.sizes import Layout, Sizes


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

    Every step and constant must be the same as at another batch size, with the shapes
    that the layout gives the steps there.

    Args:
        closed: the function at that batch size.
    """
    sizes = Sizes(layout, None, batch)
    ours, (theirs, constants) = program.walk(), _equations(closed)
    if len(ours) != len(theirs):
        return "apply takes other steps at another batch size"
    for step, twin in zip(ours, theirs, strict=True):
        name = step.primitive.name
        shapes = [sizes.shape(axes) for axes in step.outs]
        if name != twin.name or shapes != twin.shapes:
            return f"the shape of a {name} has the batch size in it"
        scalars = [arg for arg in step.args if not isinstance(arg, int)]
        ins = [axes.shape for axes in step.ins]
        if not _same(scalars, twin.literals) or _numbers(step.params, ins) != twin.numbers:
            return f"a {name} computes with the batch size"
    held = [value for _, value, _ in program.constants]
    for step in ours:
        if step.body is not None:
            held += [value for _, value, _ in step.body.constants]
    return None if _same(held, constants) else "a constant has the batch size in it"


@dataclass(frozen=True, eq=False)
class _Equation:
    name: str
    shapes: list[tuple[int, ...]]
    literals: list[np.ndarray]
    numbers: dict[str, Any]


def _equations(closed: ClosedJaxpr) -> tuple[list[_Equation], list[Any]]:
    """Returns all equations in the order of `walk`, and the constants, outer ones first."""
    found: list[_Equation] = []

    def run(closed: Any) -> list[Any]:
        own: list[Any] = []
        inner: list[Any] = []

        def constant(value: Any) -> int:
            own.append(value)
            return 0

        def emit(eqn: JaxprEqn, operands: list[Arg]) -> Sequence[Arg]:
            literals = [arg for arg in operands if not isinstance(arg, int)]
            ins = [np.shape(atom.aval) for atom in eqn.invars]  # type: ignore[arg-type]
            numbers = _numbers(eqn.params, ins)
            name = eqn.primitive.name
            found.append(_Equation(name, result_shapes(eqn), literals, numbers))
            if name == "scan":
                inner.extend(run(eqn.params["jaxpr"]))
            return [0] * len(eqn.outvars)

        slots: list[Arg] = [0] * len(closed.jaxpr.invars)
        inline(closed.jaxpr, closed.consts, slots, constant, emit)
        return own + inner

    constants = run(closed)
    return found, constants


def _numbers(params: Mapping[str, Any], ins: Sequence[tuple[int, ...]]) -> dict[str, Any]:
    """Returns the numbers among an equation's parameters, but for the lengths of axes."""
    found = {}
    for key, value in params.items():
        if key in ("new_sizes", "shape"):  # the shape of the result, compared as such
            continue
        items = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(item, (int, float, np.integer)) for item in items):
            continue
        if key in ("limit_indices", "slice_sizes"):  # None: the whole axis
            items = [None if n == m else n for n, m in zip(items, ins[0], strict=True)]
        found[key] = [None if item is None else float(item) for item in items]
    return found


def _same(ours: Sequence[Any], theirs: Sequence[Any]) -> bool:
    if len(ours) != len(theirs):
        return False
    for a, b in zip(map(np.asarray, ours), map(np.asarray, theirs), strict=True):
        inexact = jnp.issubdtype(a.dtype, jnp.inexact)
        if a.shape != b.shape or not np.array_equal(a, b, equal_nan=bool(inexact)):
            return False
    return True
