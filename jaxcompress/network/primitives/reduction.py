"""Primitives that mix the indices of an axis: that axis must stay whole."""

from jax.extend.core import JaxprEqn

from jaxcompress.network.axes import Axes, assemble, freeze, fresh, select, simplify
from jaxcompress.network.nodes import Nodes
from jaxcompress.network.primitives.elementwise import elementwise
from jaxcompress.network.primitives.rule import Flow, Rule, opaque, shape_of


def _reduce(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    dims = eqn.params["axes"] if "axes" in eqn.params else eqn.params["dimensions"]
    gone = [int(d) for d in dims]
    operands = [axes for axes in ins if axes.ndim]
    axes = simplify(nodes, operands[0])
    for other in operands[1:]:
        freeze(nodes, other, range(other.ndim), f"{eqn.primitive.name} of several arrays")
        freeze(nodes, axes, range(axes.ndim), f"{eqn.primitive.name} of several arrays")
    inside = set(axes.legs_of(gone))
    for factor in axes.factors:
        # A factor that reaches further is united into blocks: a mean over the channels
        # of one group norm group does not care how many groups there are.
        if inside.issuperset(factor.legs):
            nodes.freeze(factor.nodes, f"{eqn.primitive.name} over this axis")
    rest = select(nodes, axes, [d for d in range(axes.ndim) if d not in gone])
    return [rest for _ in eqn.outvars]


def _along(key: str) -> Flow:
    """Returns a flow that freezes one axis and keeps the shape (cumsum, sort)."""

    def flow(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
        dim = int(eqn.params[key])
        for axes in ins:
            freeze(nodes, axes, [dim], f"{eqn.primitive.name} along this axis")
        return elementwise(nodes, eqn, ins)

    return flow


def _top_k(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    axes = ins[0]
    dim = int(eqn.params.get("axis", -1)) % axes.ndim
    freeze(nodes, axes, [dim], "top_k along this axis")
    new = fresh(nodes, shape_of(eqn), "top_k along this axis")
    picks = [(1 if d == dim else 0, d) for d in range(axes.ndim)]
    result = assemble(nodes, [axes, new], picks)
    return [result for _ in eqn.outvars]


def _window(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    if len(eqn.outvars) > 1:
        return opaque("{name} of several arrays")(nodes, eqn, ins)
    axes, params = ins[0], eqn.params
    sizes = params["window_dimensions"]
    strides = params["window_strides"]
    padding = params["padding"]
    ones = (1,) * axes.ndim
    dilated = zip(
        params.get("base_dilation") or ones,
        params.get("window_dilation") or ones,
        strict=True,
    )
    moved = [
        d
        for d, dilation in enumerate(dilated)
        if (sizes[d], strides[d], *padding[d], *dilation) != (1, 1, 0, 0, 1, 1)
    ]
    reason = f"{eqn.primitive.name} along this axis"
    freeze(nodes, axes, moved, reason)
    new = fresh(nodes, shape_of(eqn), "position in space")
    picks = [(1 if d in moved else 0, d) for d in range(axes.ndim)]
    return [assemble(nodes, [axes, new], picks)]


REDUCTIONS = "sum max min prod and or xor".split()
WINDOWS = "reduce_window reduce_window_max reduce_window_min reduce_window_sum".split()
RULES = (
    {f"reduce_{name}": Rule(_reduce) for name in REDUCTIONS}
    | {name: Rule(_reduce) for name in ("argmax", "argmin", "reduce")}
    | {name: Rule(_window) for name in WINDOWS}
    | {
        name: Rule(_along("axis"))
        for name in "cumsum cumprod cummax cummin cumlogsumexp".split()
    }
    | {"sort": Rule(_along("dimension")), "top_k": Rule(_top_k)}
)
