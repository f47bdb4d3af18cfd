"""One gene for each weight, or for several together, out of the same ordered choices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jaxcompress.network import Layer, Network
from jaxcompress.space.plan import Plan

Patterns = str | Sequence[str]


@dataclass(frozen=True, eq=False)
class Choices:
    """Genes that each put one number into a field of the plan; a `BoundGene`.

    Attributes:
        network: whose weights they are.
        label: what a gene decides, before "of".
        field: of the plan, a mapping by parameter path.
        paths: for each gene the parameters that it decides about.
        numbers: its choices, int32 or float32; the last compresses least.
        static: further fields of the plan, of all genes together.
    """

    network: Network
    label: str
    field: str
    paths: Sequence[tuple[str, ...]]
    numbers: np.ndarray
    static: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        single = [group[0] if len(group) == 1 else "the network" for group in self.paths]
        return tuple(f"{self.label} of {name}" for name in single)

    @property
    def cardinality(self) -> np.ndarray:
        return np.full(len(self.paths), len(self.numbers), np.int32)

    @property
    def ordered(self) -> np.ndarray:
        return np.ones(len(self.paths), bool)

    @property
    def dense(self) -> np.ndarray:
        return self.cardinality - 1

    def decode(self, plan: Plan, genes: Int[Array, " k"]) -> Plan:
        chosen = dict(getattr(plan, self.field))
        for name, value in self.static.items():
            if chosen and getattr(plan, name) != value:
                raise ValueError(
                    f"two gene kinds say {name} {getattr(plan, name)!r} and {value!r}; a "
                    "plan has one"
                )
        for i, group in enumerate(self.paths):
            chosen |= dict.fromkeys(group, jnp.asarray(self.numbers)[genes[i]])
        return replace(plan, **{self.field: chosen}, **self.static)

    def encode(self, plan: Plan) -> Int[Array, " k"]:
        chosen = getattr(plan, self.field)
        genes = []
        for group in self.paths:
            # Shares have gone through float32: the nearest choice is meant.
            distance = jnp.abs(jnp.asarray(self.numbers) - jnp.asarray(chosen[group[0]]))
            genes.append(jnp.argmin(distance).astype(jnp.int32))
        return jnp.stack(genes) if genes else jnp.zeros(0, jnp.int32)

    def effective(self, alive: Bool[Array, " units"]) -> list[Bool[Array, ""] | bool]:
        found: list[Bool[Array, ""] | bool] = []
        for group in self.paths:
            needed = [self.network.needs(path, alive) for path in group]
            some = any(need is True for need in needed)
            found.append(some or jnp.any(jnp.stack([*map(jnp.asarray, needed)])))
        return found


def chosen_layers(network: Network, layers: Patterns, kind: str) -> list[Layer]:
    """Returns the layers with a float32 weight of their own that patterns name.

    Args:
        layers: names or patterns as in a shell, "*" for all; kind: for the message.

    Raises:
        ValueError: a pattern names no layer at all.
    """
    patterns = (layers,) if isinstance(layers, str) else tuple(layers)
    for pattern in patterns:
        if network.layers and not any(fnmatch(la.name, pattern) for la in network.layers):
            raise ValueError(
                f"{kind}: layers has {pattern!r}, which names none of "
                f"{[la.name for la in network.layers]}"
            )
    leaves = network.leaves()
    found: dict[str, Layer] = {}
    for layer in network.layers:
        wanted = any(fnmatch(layer.name, pattern) for pattern in patterns)
        if wanted and leaves[layer.weight].dtype == jnp.float32:
            found.setdefault(layer.weight, layer)
    return list(found.values())


def checked_shares(kind: str, shares: Sequence[float]) -> tuple[float, ...]:
    """Returns shares of zeros in descending order: the last compresses least.

    Raises:
        ValueError: there is none, one is not in [0, 1), or one stands there twice.
    """
    shares = tuple(float(share) for share in shares)
    if not shares:
        raise ValueError(f"{kind}: shares is empty; give at least one number in [0, 1)")
    for share in shares:
        if not 0.0 <= share < 1.0:
            raise ValueError(f"{kind}: shares has {share}; allowed: [0, 1)")
    if len(set(shares)) < len(shares):
        raise ValueError(f"{kind}: shares {shares} has duplicates")
    return tuple(sorted(shares, reverse=True))
