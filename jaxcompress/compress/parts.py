"""What is stored of a network: each weight whole, or its factors."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcompress.network import Network
from jaxcompress.space import Plan
from jaxcompress.space.bases import Basis, bases
from jaxcompress.space.plan import coded_paths


@dataclass(frozen=True, eq=False)
class Part:
    """One tensor that a plan codes: a weight, or one factor of it.

    Attributes:
        path: of the weight.
        factor: which factor it is; None: the weight itself.
        axes: for each of its axes the weight's axis that it is, or -1 - i for the i-th
            rank of the plan.
        out_axes: its axes that each have a scale of their own, if channels have.
    """

    path: str
    factor: str | None
    axes: tuple[int, ...]
    out_axes: tuple[int, ...]

    @property
    def name(self) -> str:
        """As the path of this parameter in a compact network."""
        return self.path if self.factor is None else f"{self.path}/{self.factor}"


def parts_of(network: Network, plan: Plan) -> list[Part]:
    """Returns the tensors that may have to be stored, for any choice of ranks."""
    out_axes = {layer.weight: layer.out_axes for layer in network.layers}
    parts = []
    for path in coded_paths(plan):
        whole = tuple(range(len(network.columns(path))))
        parts.append(Part(path, None, whole, out_axes.get(path, ())))
        if path in plan.ranks:
            parts += _factors(path, bases(network)[path])
    return parts


def _factors(path: str, basis: Basis) -> list[Part]:
    layer = basis.layer
    whole = tuple(range(len(layer.shape)))
    if basis.inputs is None:
        others = tuple(d for d in whole if d not in layer.out_axes)
        right = tuple(range(1, 1 + len(layer.out_axes)))
        return [
            Part(path, "left", (*others, -1), (len(others),)),
            Part(path, "right", (-1, *layer.out_axes), right),
        ]
    (into,), (out,) = layer.in_axes, layer.out_axes
    core = tuple(-1 if d == into else -2 if d == out else d for d in whole)
    return [
        Part(path, "inputs", (into, -1), (1,)),
        Part(path, "core", core, (out,)),
        Part(path, "outputs", (-2, out), (1,)),
    ]


def factorised(network: Network, plan: Plan, path: str) -> Bool[Array, ""]:
    """Returns whether a plan stores a weight as factors; not at full rank."""
    if path not in plan.ranks:
        return jnp.zeros((), bool)
    full = jnp.asarray(bases(network)[path].full, jnp.int32)
    return jnp.any(jnp.asarray(plan.ranks[path]) < full)


def lines(
    network: Network, plan: Plan, part: Part, alive: Bool[Array, " units"]
) -> list[Bool[Array, " _"]]:
    """Returns for each axis of a part which of its indices survive."""
    found = []
    columns = network.columns(part.path)
    for axis in part.axes:
        if axis >= 0:
            found.append(network.layout.mask(columns[axis], alive))
        else:
            full = bases(network)[part.path].full[-1 - axis]
            rank = jnp.asarray(plan.ranks[part.path])[-1 - axis]
            found.append(jnp.arange(full) < rank)
    return found


def stored(network: Network, plan: Plan, part: Part) -> Bool[Array, ""]:
    """Returns whether a plan stores this part: the weight or its factors."""
    whole = ~factorised(network, plan, part.path)
    return whole if part.factor is None else ~whole


def leaves_of(network: Network, plan: Plan, params: Any = None) -> dict[str, Any]:
    """Returns by path the parameters that a plan is for: of a library its member's.

    Args:
        params: of one network, its own if None; stacked if the plan names a member.

    Raises:
        ValueError: the plan names a member, and there are no stacked parameters.
    """
    leaves = network.leaves(params)
    if plan.member is None:
        return leaves
    for path, own in network.leaves().items():
        if np.shape(leaves[path])[1:] != np.shape(own) or params is None:
            raise ValueError(
                f"plan: names a member of a library, but {path!r} has shape "
                f"{np.shape(leaves[path])}; give the parameters of all members, stacked, "
                f"(L, {', '.join(map(str, np.shape(own)))})"
            )
    return {path: jnp.asarray(leaf)[plan.member] for path, leaf in leaves.items()}


def tensors(
    network: Network, parts: list[Part], leaves: dict[str, Any]
) -> dict[str, Float[Array, "..."]]:
    """Returns the values of all parts by name, in their full shapes, before coding."""
    values: dict[str, Any] = {}
    for part in parts:
        if part.factor is None:
            values[part.name] = leaves[part.path]
        elif part.name not in values:
            factors = bases(network)[part.path].factors(leaves[part.path])
            for field, factor in factors._asdict().items():
                values[f"{part.path}/{field}"] = factor
    return values


def joined(
    network: Network, plan: Plan, path: str, values: dict[str, Float[Array, "..."]]
) -> Float[Array, "..."]:
    """Returns the weight that the coded parts of a path stand for.

    Args:
        values: of the parts by name, zero beyond the ranks.
    """
    if path not in plan.ranks:
        return values[path]
    basis = bases(network)[path]
    factors = {field: values[f"{path}/{field}"] for field in basis.form._fields}
    product = basis.weight(basis.form(**factors))
    return jnp.where(factorised(network, plan, path), product, values[path])


def grid(line: list[Bool[Any, " _"]]) -> Bool[Any, "..."]:
    """Returns the outer conjunction of one mask for each axis."""
    xp = np if all(isinstance(mask, np.ndarray) for mask in line) else jnp
    whole = xp.ones(tuple(len(mask) for mask in line), bool)
    for d, mask in enumerate(line):
        whole = whole & mask.reshape([-1 if i == d else 1 for i in range(len(line))])
    return whole
