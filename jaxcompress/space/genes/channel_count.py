"""How many channels each group keeps; the most important ones stay."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jaxcompress.network import Network
from jaxcompress.space.genes.choices import is_number
from jaxcompress.space.importance import l1
from jaxcompress.space.plan import Plan


@dataclass(frozen=True)
class ChannelCount:
    """One ordered gene for each prunable group: the number of channels it keeps.

    Attributes:
        scores: by group name the importance of each channel, float [n], larger is kept
            longer; None: `importance.l1`.
        multiple_of: counts are multiples of this (the full size is always allowed).
        minimum: the least number of channels a group keeps.

    Example:
        >>> from jaxcompress import genes
        >>> genes.ChannelCount(multiple_of=8, minimum=8)
        ChannelCount(scores=None, multiple_of=8, minimum=8)
    """

    scores: Mapping[str, np.ndarray] | None = None
    multiple_of: int = 1
    minimum: int = 1

    def __post_init__(self) -> None:
        for name in ("multiple_of", "minimum"):
            given = getattr(self, name)
            if not is_number(given) or given < 1:
                raise ValueError(
                    f"ChannelCount: {name} is {given!r}; allowed: an integer, 1 or more"
                )

    def bind(self, network: Network) -> "_Bound":
        scores = l1(network) if self.scores is None else self.scores
        ranks, counts = {}, {}
        for group in network.prunable:
            if group.name not in scores:
                raise ValueError(
                    f"ChannelCount: no scores for group {group.name!r}; scores must "
                    f"name every prunable group: {[g.name for g in network.prunable]}"
                )
            score = np.asarray(scores[group.name], np.float64)
            if score.shape != (group.size,) or not np.isfinite(score).all():
                raise ValueError(
                    f"ChannelCount: scores of group {group.name!r} must be "
                    f"{group.size} finite numbers, got shape {score.shape}"
                )
            order = np.argsort(-score, kind="stable")
            ranks[group.name] = np.argsort(order).astype(np.int32)
            steps = range(self.multiple_of, group.size + 1, self.multiple_of)
            allowed = {n for n in steps if n >= self.minimum} | {group.size}
            counts[group.name] = np.asarray(sorted(allowed), np.int32)
        return _Bound(network, ranks, counts)


@dataclass(frozen=True, eq=False)
class _Bound:
    """Attributes: by group each channel's rank (0: best), and the allowed counts."""

    network: Network
    ranks: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"channels of {name}" for name in self.counts)

    @property
    def cardinality(self) -> np.ndarray:
        return np.asarray([len(c) for c in self.counts.values()], np.int32)

    @property
    def ordered(self) -> np.ndarray:
        return np.ones(len(self.counts), bool)

    @property
    def dense(self) -> np.ndarray:
        return self.cardinality - 1

    def decode(self, plan: Plan, genes: Int[Array, " k"]) -> Plan:
        channels = dict(plan.channels)
        for i, (name, counts) in enumerate(self.counts.items()):
            channels[name] = jnp.asarray(self.ranks[name]) < jnp.asarray(counts)[genes[i]]
        return replace(plan, channels=channels)

    def encode(self, plan: Plan) -> Int[Array, " k"]:
        genes = []
        for name, counts in self.counts.items():
            kept = plan.channels[name].sum(dtype=jnp.int32)
            genes.append(jnp.searchsorted(jnp.asarray(counts), kept).astype(jnp.int32))
        return jnp.stack(genes) if genes else jnp.zeros(0, jnp.int32)

    def effective(self, alive: Bool[Array, " units"]) -> list[Bool[Array, ""] | bool]:
        return [self.network.uses(group, alive) for group in self.network.prunable]
