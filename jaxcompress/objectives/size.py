"""Cost: the bytes of a file's parameter part."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcompress.compress.manifest import manifest, packed
from jaxcompress.network import Network
from jaxcompress.objectives.objective import Cost
from jaxcompress.space import Plan

CODINGS = ("dense",)
# Of a safetensors file with our two tensors and its own header, checksum included.
CONTAINER = 250


@dataclass(frozen=True)
class Size(Cost):
    """Bytes of the parameter part of a saved file; everything is charged.

    Codes at their bits (each tensor fills its last byte), scales and all parameters
    that are not coded at 32 bits, and the header. The header is estimated from the dense
    network's (its length depends a little on the digits in it); all else is exact.

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
        alive = network.alive(plan.channels)
        out_axes = {layer.weight: layer.out_axes for layer in network.layers}
        total = jnp.asarray(overhead(network, plan), jnp.float32)
        for path in network.paths:
            counts = _counts(network, path, alive)
            entries = _product(counts)
            if path not in plan.weight_bits:
                total = total + 4.0 * entries
                continue
            bits = plan.weight_bits[path].astype(jnp.float32)
            scales = jnp.ones((), jnp.float32)
            if plan.granularity == "channel":
                scales = _product([counts[axis] for axis in out_axes[path]])
            coded = jnp.ceil(entries * bits / 8.0) + 4.0 * scales
            total = total + jnp.where(bits >= 32.0, 4.0 * entries, coded)
        return total


def overhead(network: Network, plan: Plan) -> int:
    """Returns the estimated bytes of a file's header for plans like this one."""
    shapes = {path: leaf.shape for path, leaf in network.leaves().items()}
    coded = set(plan.weight_bits)
    scales = {
        layer.weight: [
            n if plan.granularity == "channel" and d in layer.out_axes else 1
            for d, n in enumerate(layer.shape)
        ]
        for layer in network.layers
        if layer.weight in coded
    }
    return CONTAINER + len(packed(manifest(shapes, dict.fromkeys(coded, 4), scales)))


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
