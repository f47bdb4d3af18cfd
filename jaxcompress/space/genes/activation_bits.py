"""How many bits the input of each layer has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jaxcompress.network import Layer, Network
from jaxcompress.space.genes.weight_bits import checked_bits
from jaxcompress.space.plan import Plan


@dataclass(frozen=True)
class ActivationBits:
    """One ordered gene for each layer: the bits of its input, on a fixed uniform grid.

    Attributes:
        ranges: by layer name the least and the largest value of its input, float [2], as
            from `calibrate`; a layer without one (inside a scan) has no gene.
        choices: the allowed bits, each out of 1..8, 16 and 32 (32: unchanged).

    Example:
        >>> from jaxcompress import genes
        >>> genes.ActivationBits({}, (8, 4)).choices
        (4, 8)
    """

    ranges: Mapping[str, np.ndarray]
    choices: Sequence[int] = (4, 6, 8)

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", checked_bits("ActivationBits", self.choices))

    def bind(self, network: Network) -> "_Bound":
        known = {layer.name: layer for layer in network.layers}
        if not self.ranges:
            raise ValueError(
                "ActivationBits: ranges are empty; give those of jaxcompress.calibrate"
            )
        for name, span in self.ranges.items():
            fits = np.shape(span) == (2,) and np.isfinite(span).all()
            if name not in known or not fits or span[0] > span[1]:
                raise ValueError(
                    f"ActivationBits: the range of {name!r} is {span}; wanted two finite "
                    f"numbers, the least first, for one of {list(known)}"
                )
        layers = tuple(known[name] for name in known if name in self.ranges)
        spans = {la.name: np.asarray(self.ranges[la.name], np.float32) for la in layers}
        return _Bound(network, layers, spans, np.asarray(self.choices, np.int32))


@dataclass(frozen=True, eq=False)
class _Bound:
    """Attributes: the layers, their ranges by name, the choices in ascending order."""

    network: Network
    layers: tuple[Layer, ...]
    spans: dict[str, np.ndarray]
    choices: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"input bits of {layer.name}" for layer in self.layers)

    @property
    def cardinality(self) -> np.ndarray:
        return np.full(len(self.layers), len(self.choices), np.int32)

    @property
    def ordered(self) -> np.ndarray:
        return np.ones(len(self.layers), bool)

    @property
    def dense(self) -> np.ndarray:
        return self.cardinality - 1

    def decode(self, plan: Plan, genes: Int[Array, " k"]) -> Plan:
        bits = jnp.asarray(self.choices)[genes]
        named = {layer.name: bits[i] for i, layer in enumerate(self.layers)}
        spans = {name: jnp.asarray(span) for name, span in self.spans.items()}
        return replace(
            plan,
            activation_bits={**plan.activation_bits, **named},
            activation_ranges={**plan.activation_ranges, **spans},
        )

    def encode(self, plan: Plan) -> Int[Array, " k"]:
        if not self.layers:
            return jnp.zeros(0, jnp.int32)
        named = [jnp.asarray(plan.activation_bits[layer.name]) for layer in self.layers]
        bits = jnp.stack(named)
        return jnp.searchsorted(jnp.asarray(self.choices), bits).astype(jnp.int32)

    def effective(self, alive: Bool[Array, " units"]) -> list[Bool[Array, ""] | bool]:
        return [self.network.runs(layer.step, alive) for layer in self.layers]
