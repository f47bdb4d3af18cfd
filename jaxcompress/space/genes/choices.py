"""One gene for each weight, or for several together, out of the same ordered choices."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import filter as matching
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
        target: a field of the plan, a mapping by parameter path.
        paths: for each gene the parameters that it decides about.
        numbers: its choices, int32 or float32; the last compresses least.
        static: further fields of the plan, of all genes together.
    """

    network: Network
    label: str
    target: str
    paths: Sequence[tuple[str, ...]]
    numbers: np.ndarray
    static: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        # What is one for all is the network's, were it of one weight only: two are refused.
        together = "network" in self.static.values()
        whose = ["the network" if together else group[0] for group in self.paths]
        return tuple(f"{self.label} of {name}" for name in whose)

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
        chosen = dict(getattr(plan, self.target))
        for name, value in self.static.items():
            if chosen and getattr(plan, name) != value:
                raise ValueError(
                    f"two gene kinds say {name} {getattr(plan, name)!r} and {value!r}; a "
                    "plan has one"
                )
        for i, group in enumerate(self.paths):
            chosen |= dict.fromkeys(group, jnp.asarray(self.numbers)[genes[i]])
        return replace(plan, **{self.target: chosen}, **self.static)

    def encode(self, plan: Plan) -> Int[Array, " k"]:
        chosen = getattr(plan, self.target)
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
    wanted = named(f"{kind}: layers", layers, [layer.name for layer in network.layers])
    leaves = network.leaves()
    found: dict[str, Layer] = {}
    for layer in network.layers:
        if layer.name in wanted and leaves[layer.weight].dtype == jnp.float32:
            found.setdefault(layer.weight, layer)
    return list(found.values())


def named(what: str, patterns: Patterns, names: Sequence[str]) -> set[str]:
    """Returns the names that patterns as in a shell stand for.

    Raises:
        ValueError: a pattern stands for none, though there are some.
    """
    found = set()
    for pattern in (patterns,) if isinstance(patterns, str) else tuple(patterns):
        fitting = matching(names, pattern)
        if names and not fitting:
            raise ValueError(f"{what} has {pattern!r}, which names none of {list(names)}")
        found |= {*fitting}
    return found


def checked_choices(
    what: str, choices: Any, fits: Callable[[Any], bool], allowed: str
) -> tuple[Any, ...]:
    """Returns choices in ascending order.

    Args:
        what: the gene kind and its option, for messages; allowed: what fits, in words.

    Raises:
        ValueError: they are no sequence, there is none, one does not fit, or one stands
            there twice.
    """
    if isinstance(choices, str) or not isinstance(choices, Iterable):
        raise ValueError(
            f"{what} is {choices!r}; give a sequence of numbers; allowed: {allowed}"
        )
    choices = tuple(choices)
    if not choices:
        raise ValueError(f"{what} is empty; give at least one in {allowed}")
    for choice in choices:
        if not fits(choice):
            raise ValueError(f"{what} has {choice!r}; allowed: {allowed}")
    if len(set(choices)) < len(choices):
        raise ValueError(f"{what} {choices} has duplicates")
    return tuple(sorted(choices))


def checked_shares(kind: str, shares: Any) -> tuple[float, ...]:
    """Returns shares of zeros in descending order: the last compresses least.

    Raises:
        ValueError: as of `checked_choices`; a share is in [0, 1).
    """

    def fits(share: Any) -> bool:
        return is_number(share, "iuf") and 0.0 <= share < 1.0

    found = checked_choices(f"{kind}: shares", shares, fits, "[0, 1)")
    return tuple(float(share) for share in reversed(found))


def is_number(value: Any, kinds: str = "iu") -> bool:
    """Returns whether a value is one number of some of NumPy's kinds; integer if not said.

    True and False are none.
    """
    return np.ndim(value) == 0 and np.asarray(value).dtype.kind in kinds
