"""Cost: the bytes of a file's parameter part."""

from dataclasses import dataclass
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcompress.compress import parameter_bytes
from jaxcompress.network import Network
from jaxcompress.objectives.objective import Cost
from jaxcompress.space import Plan
from jaxcompress.transforms import packed_bytes

CODINGS = ("dense",)


@dataclass(frozen=True)
class Size(Cost):
    """Bytes of the parameter part of a saved file; everything is charged.

    Codes at their bits (each tensor fills its last byte), scales and all parameters
    that are not coded at 32 bits, and the header. The header is that of the dense
    network: a plan's own differs by some bytes, since its digits are others, and is
    smaller where blocks are removed. All else is exact.

    Attributes:
        coding: "dense": the codes one after the other.
    """

    coding: str = "dense"
    name = "size"
    unit = "bytes"

    def __post_init__(self) -> None:
        if self.coding not in CODINGS:
            raise ValueError(f"Size: coding is {self.coding!r}; allowed: {CODINGS}")

    def __call__(self, network: Network, plan: Plan) -> Float[Array, ""]:
        alive = network.alive(plan.channels, plan.blocks)
        out_axes = {layer.weight: layer.out_axes for layer in network.layers}
        total = jnp.asarray(overhead(network, plan), jnp.float32)
        for path in network.paths:
            counts = _counts(network, path, alive)
            entries = _product(counts)
            used = network.needs(path, alive)
            if path not in plan.weight_bits:
                total = total + jnp.where(used, 4.0 * entries, 0.0)
                continue
            bits = plan.weight_bits[path].astype(jnp.float32)
            scales = jnp.ones((), jnp.float32)
            if plan.granularity == "channel":
                scales = _product([counts[axis] for axis in out_axes[path]])
            coded = jnp.ceil(entries * bits / 8.0) + 4.0 * scales
            coded = jnp.where(bits >= 32.0, 4.0 * entries, coded)
            total = total + jnp.where(used, coded, 0.0)
        return total


def overhead(network: Network, plan: Plan) -> int:
    """Returns the bytes of container and header for plans like this one."""
    four: Any = dict.fromkeys(plan.weight_bits, np.asarray(4))
    dense = Plan(weight_bits=four, granularity=plan.granularity)
    bare = 0
    for path, leaf in network.leaves().items():
        if path not in plan.weight_bits:
            bare += 4 * leaf.size
            continue
        layer = next(layer for layer in network.layers if layer.weight == path)
        axes = layer.out_axes if plan.granularity == "channel" else ()
        bare += packed_bytes(leaf.size, 4) + 4 * prod(leaf.shape[axis] for axis in axes)
    return parameter_bytes(network, dense) - bare


def _counts(
    network: Network, path: str, alive: Bool[Array, " units"]
) -> list[Float[Array, ""]]:
    return [
        network.layout.mask(column, alive).sum(dtype=jnp.float32)
        if column.units
        else jnp.asarray(column.size, jnp.float32)
        for column in network.columns(path)
    ]


def _product(counts: list[Float[Array, ""]]) -> Float[Array, ""]:
    total = jnp.ones((), jnp.float32)
    for count in counts:
        total = total * count
    return total
