"""Whether each removable residual block stays."""

from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jaxcompress.network import Block, Network
from jaxcompress.space.plan import Plan


@dataclass(frozen=True)
class KeepBlock:
    """One gene of two values for each block of the network: 0 removes it, 1 keeps it.

    Example:
        >>> from jaxcompress import genes
        >>> genes.KeepBlock()
        KeepBlock()
    """

    def bind(self, network: Network) -> "_Bound":
        return _Bound(network, network.blocks)


@dataclass(frozen=True, eq=False)
class _Bound:
    network: Network
    blocks: tuple[Block, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"block {block.name}" for block in self.blocks)

    @property
    def cardinality(self) -> np.ndarray:
        return np.full(len(self.blocks), 2, np.int32)

    @property
    def ordered(self) -> np.ndarray:
        return np.ones(len(self.blocks), bool)

    @property
    def dense(self) -> np.ndarray:
        return self.cardinality - 1

    def decode(self, plan: Plan, genes: Int[Array, " k"]) -> Plan:
        kept = {block.name: genes[i] == 1 for i, block in enumerate(self.blocks)}
        return replace(plan, blocks={**plan.blocks, **kept})

    def encode(self, plan: Plan) -> Int[Array, " k"]:
        genes = [jnp.asarray(plan.blocks[b.name]).astype(jnp.int32) for b in self.blocks]
        return jnp.stack(genes) if genes else jnp.zeros(0, jnp.int32)

    def effective(self, alive: Bool[Array, " units"]) -> list[Bool[Array, ""] | bool]:
        """A block within a removed one makes no difference."""
        return [self.network.runs(block.step, alive) for block in self.blocks]
