"""What the table says of one primitive."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
from jax.extend.core import JaxprEqn

from jaxcompress.network.axes import Axes, freeze, fresh
from jaxcompress.network.nodes import Nodes

Flow = Callable[[Nodes, JaxprEqn, list[Axes]], list[Axes]]


@runtime_checkable
class Sizes(Protocol):
    """How large the axes of an array are once channels are gone."""

    def shape(self, axes: Axes) -> tuple[Any, ...]:
        """Returns the narrower shape (the batch axis has the size of the call)."""
        ...

    def kept(self, axes: Axes, dim: int) -> Any:
        """Returns the mask of surviving indices, bool [traced size], or None: all."""
        ...


@runtime_checkable
class Use(Protocol):
    """One use of a primitive."""

    @property
    def primitive(self) -> Any: ...
    @property
    def params(self) -> dict[str, Any]: ...


@runtime_checkable
class Site(Use, Protocol):
    """One use of a primitive, as a rebuild rule sees it."""

    @property
    def ins(self) -> Sequence[Axes]: ...
    @property
    def outs(self) -> Sequence[Axes]: ...


Rebuild = Callable[[Sizes, Site, list[jax.Array]], list[jax.Array]]


def unchanged(sizes: Sizes, site: Site, args: list[jax.Array]) -> list[jax.Array]:
    """Rebuilds an equation whose parameters name no size."""
    del sizes
    out = site.primitive.bind(*args, **site.params)
    return list(out) if site.primitive.multiple_results else [out]


@dataclass(frozen=True)
class Rule:
    """How channel nodes flow through a primitive, and how it is rebuilt narrower.

    Attributes:
        flow: (nodes, equation, axes of the operands) -> axes of the results; unites and
            freezes nodes on the way.
        rebuild: (sizes, site, narrower operands) -> narrower results.
    """

    flow: Flow
    rebuild: Rebuild = unchanged


def result_shapes(eqn: JaxprEqn) -> list[tuple[int, ...]]:
    """Returns the shapes of all results of the equation."""
    avals: list[Any] = [var.aval for var in eqn.outvars]
    return [tuple(aval.shape) for aval in avals]


def shape_of(eqn: JaxprEqn, position: int = 0) -> tuple[int, ...]:
    """Returns the shape of a result of the equation."""
    return result_shapes(eqn)[position]


def frozen_outputs(nodes: Nodes, eqn: JaxprEqn, reason: str) -> list[Axes]:
    """Returns new frozen axes for every result."""
    return [fresh(nodes, shape, reason) for shape in result_shapes(eqn)]


def opaque(reason: str) -> Flow:
    """Returns a flow that freezes whatever it touches, and says why."""

    def flow(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
        text = reason.format(name=eqn.primitive.name)
        for axes in ins:
            freeze(nodes, axes, range(axes.ndim), text)
        return frozen_outputs(nodes, eqn, text)

    return flow
