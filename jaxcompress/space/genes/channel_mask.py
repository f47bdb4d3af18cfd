"""Which channels each group keeps, one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jaxcompress.network import Group, Network
from jaxcompress.space.genes.choices import Patterns, is_number, named
from jaxcompress.space.plan import Plan


@dataclass(frozen=True)
class ChannelMask:
    """One gene of two values for each channel: 0 removes it, 1 keeps it.

    A group that would lose every channel keeps its first one. With `keep` the number of
    channels of a group is fixed and only the choice is free: the operators of the genetic
    algorithms exchange channels, and `Space.repair` mends what other operators do.

    Attributes:
        keep: by group name how many channels stay; a group that is not named is free.
        groups: which prunable groups, by name or pattern.

    Example:
        >>> from jaxcompress import genes
        >>> genes.ChannelMask({"conv1": 8}).keep
        {'conv1': 8}
    """

    keep: Mapping[str, int] | None = None
    groups: Patterns = "*"

    def __post_init__(self) -> None:
        for name, count in (self.keep or {}).items():
            if not is_number(count):
                raise ValueError(
                    f"ChannelMask: keep says {count!r} of {name!r}; allowed: an integer"
                )

    def bind(self, network: Network) -> "_Bound":
        prunable = [group.name for group in network.prunable]
        wanted = named("ChannelMask: groups", self.groups, prunable)
        found = tuple(group for group in network.prunable if group.name in wanted)
        sizes = {group.name: group.size for group in found}
        for name, count in (self.keep or {}).items():
            if name not in sizes or not 1 <= count <= sizes[name]:
                raise ValueError(
                    f"ChannelMask: keep says {count} of {name!r}; wanted 1 or more of "
                    f"the channels of one of {sizes}"
                )
        return _Bound(network, found, dict(self.keep or {}))


@dataclass(frozen=True, eq=False)
class _Bound:
    network: Network
    groups: Sequence[Group]
    keep: dict[str, int]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(
            f"channels of {group.name}[{i}]"
            for group in self.groups
            for i in range(group.size)
        )

    @property
    def cardinality(self) -> np.ndarray:
        return np.full(sum(group.size for group in self.groups), 2, np.int32)

    @property
    def ordered(self) -> np.ndarray:
        return np.ones(len(self.cardinality), bool)

    @property
    def dense(self) -> np.ndarray:
        """With a fixed number of channels these are the first ones."""
        kept = [np.arange(g.size) < self.keep.get(g.name, g.size) for g in self.groups]
        return np.concatenate([np.zeros(0, bool), *kept]).astype(np.int32)

    @property
    def exchange(self) -> list[tuple[np.ndarray, int]]:
        """For each group with a fixed number of channels its genes, and the number."""
        found, at = [], 0
        for group in self.groups:
            if group.name in self.keep:
                found.append((np.arange(at, at + group.size), self.keep[group.name]))
            at += group.size
        return found

    @property
    def redundant(self) -> bool:
        """Without a fixed number, the first channel alone is kept and none is are one."""
        return any(group.name not in self.keep for group in self.groups)

    def decode(self, plan: Plan, genes: Int[Array, " k"]) -> Plan:
        channels, at = dict(plan.channels), 0
        for group in self.groups:
            kept = genes[at : at + group.size] == 1
            channels[group.name] = kept.at[0].set(kept[0] | ~kept.any())
            at += group.size
        return replace(plan, channels=channels)

    def encode(self, plan: Plan) -> Int[Array, " k"]:
        masks = [jnp.asarray(plan.channels[group.name]) for group in self.groups]
        if not masks:
            return jnp.zeros(0, jnp.int32)
        return jnp.concatenate(masks).astype(jnp.int32)

    def effective(self, alive: Bool[Array, " units"]) -> list[Bool[Array, ""] | bool]:
        return [
            self.network.uses(group, alive)
            for group in self.groups
            for _ in range(group.size)
        ]
