"""Convolutions and dots: the contracted axis of one operand is that of the other."""

from typing import Any

import jax
from jax.extend.core import JaxprEqn

from jaxcompress.network.axes import Axes, assemble, freeze, fresh, select
from jaxcompress.network.nodes import Nodes
from jaxcompress.network.primitives.rule import (
    Rule,
    Site,
    Sizes,
    opaque,
    shape_of,
    unchanged,
)
from jaxcompress.network.regroup import reshape
from jaxcompress.network.unite import unite

KERNEL = "kernel position"


def dot_general(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    (con_a, con_b), (bat_a, bat_b) = dot_axes(eqn.params)
    a, b = unite(
        nodes,
        ins[0],
        bat_a + con_a,
        ins[1],
        bat_b + con_b,
        "contraction of unlike axes",
    )
    picks = [(0, d) for d in bat_a]
    picks += [(0, d) for d in range(a.ndim) if d not in bat_a + con_a]
    picks += [(1, d) for d in range(b.ndim) if d not in bat_b + con_b]
    return [assemble(nodes, [a, b], picks)]


def dot_axes(params: dict[str, Any]) -> tuple[tuple[list[int], list[int]], ...]:
    """Returns the contracted and the batch axes, (left, right) each, as plain lists."""
    contracted, batch = params["dimension_numbers"]
    return (
        (list(map(int, contracted[0])), list(map(int, contracted[1]))),
        (list(map(int, batch[0])), list(map(int, batch[1]))),
    )


def conv(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    if eqn.params["batch_group_count"] != 1:
        return opaque("a convolution with batch groups")(nodes, eqn, ins)
    left, right = ins
    spec = eqn.params["dimension_numbers"]
    (batch, feature, *space), (out, inner, *kernel) = spec.lhs_spec, spec.rhs_spec
    freeze(nodes, right, kernel, KERNEL)
    freeze(nodes, left, space, "a convolution runs along this axis")
    groups = eqn.params["feature_group_count"]
    if groups == 1:
        unite(nodes, left, [feature], right, [inner], "convolution of unlike axes")
    else:
        _tie_groups(nodes, groups, select(nodes, left, [feature]), right, out, inner)
    spatial = fresh(nodes, shape_of(eqn), "position in space")
    picks = [(2, d) for d in range(spatial.ndim)]
    picks[spec.out_spec[0]] = (0, batch)
    picks[spec.out_spec[1]] = (1, out)
    return [assemble(nodes, [left, right, spatial], picks)]


def _tie_groups(
    nodes: Nodes, groups: int, feature: Axes, right: Axes, out: int, inner: int
) -> None:
    """Ties the channels of a grouped convolution.

    Depthwise: an input channel is a group, and falls together with its outputs.
    Otherwise the groups stay, and all of them keep the same channels.
    """
    channels, width, outputs = feature.shape[0], right.shape[inner], right.shape[out]
    inputs = reshape(nodes, feature, (groups, channels // groups), "grouping")
    results = reshape(
        nodes, select(nodes, right, [out]), (groups, outputs // groups), "grouping"
    )
    reason = "groups of unlike axes"
    if width == 1:
        unite(nodes, inputs, [0], results, [0], reason)
        return
    unite(nodes, inputs, [1], select(nodes, right, [inner]), [0], reason)
    if outputs == groups:
        freeze(nodes, results, [0], "the only output channel of its group")
    unite(nodes, results, [1], fresh(nodes, (outputs // groups,)), [0], reason)


def _rebuild_conv(sizes: Sizes, site: Site, args: list[jax.Array]) -> list[jax.Array]:
    if site.params["feature_group_count"] == 1:
        return unchanged(sizes, site, args)
    spec = site.params["dimension_numbers"]
    groups = args[0].shape[spec.lhs_spec[1]] // args[1].shape[spec.rhs_spec[1]]
    params = site.params | {"feature_group_count": groups}
    return [site.primitive.bind(*args, **params)]


RULES = {
    "dot_general": Rule(dot_general),
    "conv_general_dilated": Rule(conv, _rebuild_conv),
}
