"""Which member of a library of pruned networks is taken, its weights with it."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jaxcompress.network import Network
from jaxcompress.space.check import check_plan
from jaxcompress.space.plan import Plan

PRUNED = ("channels", "blocks", "kernel_sparsity", "sparsity")


@dataclass(frozen=True, eq=False)
class Library:
    """One ordered gene: which of L pruned networks, each with parameters of its own.

    The first stage of EMOMC (Wang et al. 2021). A plan of this gene names the `member`;
    wherever it is applied, the parameters are the L members' stacked, every leaf
    [L, ...], as from `training.pruned_library`.

    Attributes:
        plans: of all members, stacked, every leaf [L, ...], from the one that is pruned
            most to the one that is pruned least; of channels, blocks, kernels and zeros,
            for bits and codebooks are genes of their own.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxcompress as jc
        >>> plans = jc.Plan(sparsity={"w": jnp.asarray([0.9, 0.5])})
        >>> kinds = (jc.genes.Library(plans), jc.genes.WeightBits())
    """

    plans: Plan

    def __post_init__(self) -> None:
        plain = Plan(**{name: getattr(self.plans, name) for name in PRUNED})
        lengths = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(self.plans)}
        named = jax.tree.structure(self.plans.replace(sparsity_scope=plain.sparsity_scope))
        if len(lengths) != 1 or lengths == {()} or named != jax.tree.structure(plain):
            raise ValueError(
                f"Library: plans hold arrays with leading axes {sorted(lengths)}; give "
                f"one axis of all members, and of {', '.join(PRUNED)} alone"
            )

    def bind(self, network: Network) -> "_Bound":
        count = len(jax.tree.leaves(self.plans)[0])
        for i in range(count):
            check_plan(network, jax.tree.map(lambda leaf, i=i: leaf[i], self.plans))
        return _Bound(jax.tree.map(jnp.asarray, self.plans), count)


@dataclass(frozen=True, eq=False)
class _Bound:
    plans: Plan
    count: int

    @property
    def names(self) -> tuple[str, ...]:
        return ("member of the library",)

    @property
    def cardinality(self) -> np.ndarray:
        return np.full(1, self.count, np.int32)

    @property
    def ordered(self) -> np.ndarray:
        return np.ones(1, bool)

    @property
    def dense(self) -> np.ndarray:
        return self.cardinality - 1

    def decode(self, plan: Plan, genes: Int[Array, " k"]) -> Plan:
        own = jax.tree.map(lambda leaf: leaf[genes[0]], self.plans)
        parts = {name: {**getattr(plan, name), **getattr(own, name)} for name in PRUNED}
        scope = own.sparsity_scope if own.sparsity else plan.sparsity_scope
        return replace(plan, member=genes[0], sparsity_scope=scope, **parts)

    def encode(self, plan: Plan) -> Int[Array, " k"]:
        return jnp.asarray(plan.member, jnp.int32)[None]

    def effective(self, alive: Bool[Array, " units"]) -> list[Bool[Array, ""] | bool]:
        return [True]
