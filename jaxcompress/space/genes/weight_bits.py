"""How many bits each layer's weights have."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jaxcompress.network import Network
from jaxcompress.space.plan import Plan
from jaxcompress.transforms import ALLOWED_BITS, GRANULARITIES


@dataclass(frozen=True)
class WeightBits:
    """One ordered gene for each float32 weight: its bits, on a symmetric grid.

    Attributes:
        choices: the allowed bits, each out of 1..8, 16 and 32 (32: unchanged).
        granularity: "channel" (a scale for each output channel) or "tensor" (one).

    Example:
        >>> from jaxcompress import genes
        >>> genes.WeightBits((2, 4, 8)).choices
        (2, 4, 8)
    """

    choices: Sequence[int] = (2, 3, 4, 5, 6, 8)
    granularity: str = "channel"

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", checked_bits("WeightBits", self.choices))
        if self.granularity not in GRANULARITIES:
            raise ValueError(
                f"WeightBits: granularity is {self.granularity!r}; allowed: {GRANULARITIES}"
            )

    def bind(self, network: Network) -> "_Bound":
        leaves = network.leaves()
        named = dict.fromkeys(layer.weight for layer in network.layers)
        weights = tuple(path for path in named if leaves[path].dtype == jnp.float32)
        choices = np.asarray(self.choices, np.int32)
        return _Bound(network, weights, choices, self.granularity)


def checked_bits(kind: str, choices: Sequence[int]) -> tuple[int, ...]:
    """Returns the choices in ascending order.

    Raises:
        ValueError: there is none, one is not allowed, or one stands there twice.
    """
    choices = tuple(choices)
    if not choices:
        raise ValueError(f"{kind}: choices is empty; give at least one of {ALLOWED_BITS}")
    for bits in choices:
        if bits not in ALLOWED_BITS:
            raise ValueError(f"{kind}: choices has {bits} bits; allowed: {ALLOWED_BITS}")
    if len(set(choices)) < len(choices):
        raise ValueError(f"{kind}: choices {choices} has duplicates")
    return tuple(sorted(choices))


@dataclass(frozen=True, eq=False)
class _Bound:
    """Attributes: the paths of the weights, the choices in ascending order."""

    network: Network
    weights: tuple[str, ...]
    choices: np.ndarray
    granularity: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"bits of {path}" for path in self.weights)

    @property
    def cardinality(self) -> np.ndarray:
        return np.full(len(self.weights), len(self.choices), np.int32)

    @property
    def ordered(self) -> np.ndarray:
        return np.ones(len(self.weights), bool)

    @property
    def dense(self) -> np.ndarray:
        return self.cardinality - 1

    def decode(self, plan: Plan, genes: Int[Array, " k"]) -> Plan:
        bits = jnp.asarray(self.choices)[genes]
        named = {path: bits[i] for i, path in enumerate(self.weights)}
        return replace(
            plan,
            weight_bits={**plan.weight_bits, **named},
            granularity=self.granularity,
        )

    def encode(self, plan: Plan) -> Int[Array, " k"]:
        if not self.weights:
            return jnp.zeros(0, jnp.int32)
        bits = jnp.stack([plan.weight_bits[path] for path in self.weights])
        return jnp.searchsorted(jnp.asarray(self.choices), bits).astype(jnp.int32)

    def effective(self, alive: Bool[Array, " units"]) -> list[Bool[Array, ""] | bool]:
        return [self.network.needs(path, alive) for path in self.weights]
