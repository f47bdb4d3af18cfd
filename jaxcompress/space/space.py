"""All genes of one search: genotypes, and the plans that they mean."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Int, PRNGKeyArray

from jaxcompress.network import Network
from jaxcompress.space.cardinality import with_ones
from jaxcompress.space.check import check_plan
from jaxcompress.space.genes import BoundGene, Gene
from jaxcompress.space.plan import Plan

BLOCK = 64  # genotypes that one call makes canonical


class Space:
    """The genes of one search on one network.

    Attributes:
        cardinality: choices of each gene, int32 [D].
        ordered: whether neighbouring choices are alike, bool [D].
        dense: the genotype that compresses least, int32 [D].
        names: what each gene decides about.
        kinds: for each gene kind its part of the genotype.
        exchange: for each gene the group whose number of ones is fixed, or -1; int32 [D].

    Raises:
        ValueError: no gene kind is given, two decide about the same or contradict each
            other, or none fits.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> import jaxcompress as jc
        >>> params = {"w": jnp.ones((4, 8)), "v": jnp.ones((8, 2))}
        >>> apply = lambda p, x: jnp.maximum(x @ p["w"], 0.0) @ p["v"]
        >>> network = jc.trace(apply, params, jnp.ones((2, 4)))
        >>> space = jc.Space(network, (jc.genes.ChannelCount(),))
        >>> int(space.decode(space.dense).channels["w"].sum())
        8
    """

    def __init__(self, network: Network, genes: Sequence[Gene]) -> None:
        kinds = list(genes) if isinstance(genes, Iterable) else []
        if not kinds or not all(_is_kind(kind) for kind in kinds):
            raise ValueError(
                f"Space: genes is {genes!r}; give a sequence that is not empty, of gene "
                "kinds from jaxcompress.genes, as in (WeightBits(),)"
            )
        self._network = network
        self._block_canonical = jax.jit(jax.vmap(self.canonical))
        self._bound: tuple[BoundGene, ...] = tuple(gene.bind(network) for gene in kinds)
        self.names = tuple(name for gene in self._bound for name in gene.names)
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise ValueError(f"Space: two gene kinds decide about the {twice[0]}")
        if not self.names:
            raise ValueError(
                "Space: no gene fits the network (no prunable group, no layer with a "
                "parameter); print(network) shows why"
            )
        ends = np.cumsum([0] + [len(gene.names) for gene in self._bound])
        self.kinds = tuple(slice(int(a), int(b)) for a, b in pairwise(ends))
        self.cardinality: np.ndarray = np.concatenate([g.cardinality for g in self._bound])
        self.ordered: np.ndarray = np.concatenate([g.ordered for g in self._bound])
        self.dense: np.ndarray = np.concatenate([g.dense for g in self._bound])
        self.exchange: np.ndarray = np.full(len(self.names), -1, np.int32)
        self._fixed: list[tuple[np.ndarray, int]] = []
        for gene, part in zip(self._bound, self.kinds, strict=True):
            for members, count in getattr(gene, "exchange", ()):
                self.exchange[part.start + members] = len(self._fixed)
                self._fixed.append((part.start + members, count))
        plan = jax.eval_shape(self._checked, self.dense)
        redundant = any(getattr(gene, "redundant", False) for gene in self._bound)
        self._always_canonical = not (redundant or plan.blocks)

    def __len__(self) -> int:
        return len(self.names)

    def sample(self, key: PRNGKeyArray, count: int) -> Int[Array, "count genes"]:
        """Returns uniformly drawn genotypes, int32 [count, D]."""
        top = jnp.asarray(self.cardinality)
        return self.repair(jax.random.randint(key, (count, len(self)), 0, top, jnp.int32))

    def repair(self, genotypes: Int[Array, "count genes"]) -> Int[Array, "count genes"]:
        """Returns the genotypes with the number of ones that `exchange` groups must have.

        Algorithms apply it to whatever they make; without such groups it does nothing.
        """
        for members, count in self._fixed:
            own = with_ones(genotypes[:, members], count)
            genotypes = genotypes.at[:, members].set(own)
        return genotypes

    def decode(self, genotype: Int[Array | np.ndarray, " genes"]) -> Plan:
        """Returns the plan of one genotype; vmap it for several.

        Raises:
            ValueError: it is no genotype of this space; values are looked at unless they
                are being traced.
        """
        self._check(genotype)
        genotype, plan = jnp.asarray(genotype), Plan()
        for gene, part in zip(self._bound, self.kinds, strict=True):
            plan = gene.decode(plan, genotype[part])
        return plan

    def _check(self, genotype: Any) -> None:
        whole = jnp.issubdtype(jnp.asarray(genotype).dtype, jnp.integer)
        if np.shape(genotype) != (len(self),) or not whole:
            raise ValueError(
                f"Space: a genotype has shape {np.shape(genotype)} and dtype "
                f"{jnp.asarray(genotype).dtype}; wanted integers of shape ({len(self)},), "
                "or jax.vmap(space.decode) for several"
            )
        if isinstance(genotype, Tracer):
            return
        values = np.asarray(genotype)
        wrong = np.flatnonzero((values < 0) | (values >= self.cardinality))
        if wrong.size:
            gene = int(wrong[0])
            raise ValueError(
                f"Space: gene {gene}, {self.names[gene]!r}, is {values[gene]}; allowed: "
                f"0..{self.cardinality[gene] - 1}"
            )

    def _checked(self, genotype: Int[Array | np.ndarray, " genes"]) -> Plan:
        """Decodes, and refuses kinds that undo each other or make no plan together."""
        plan = Plan()
        for gene, part in zip(self._bound, self.kinds, strict=True):
            before, plan = plan, gene.decode(plan, jnp.asarray(genotype)[part])
            for name in (field.name for field in fields(plan)):
                old, new = getattr(before, name), getattr(plan, name)
                chosen = old if isinstance(old, Mapping) else {}
                undone = [key for key in chosen if new[key] is not chosen[key]]
                if undone:
                    raise ValueError(
                        f"Space: two gene kinds decide about the {name} of {undone[0]!r}; "
                        "leave one out, or give each its own layers or groups"
                    )
        check_plan(self._network, plan)
        return plan

    def encode(self, plan: Plan) -> Int[Array, " genes"]:
        """Returns the genotype of a plan of this space, int32 [D].

        Raises:
            ValueError: the plan says nothing of something that this space decides about.
        """
        try:
            return jnp.concatenate([gene.encode(plan) for gene in self._bound])
        except KeyError as error:
            raise ValueError(
                f"Space: the plan says nothing of {error}; give one of this space, such "
                "as space.decode returns"
            ) from None

    def canonical(
        self, genotype: Int[Array | np.ndarray, " genes"]
    ) -> Int[Array | np.ndarray, " genes"]:
        """Returns the one genotype that stands for all that mean the same network.

        It is the one that its plan encodes to, but that genes which decide about nothing
        that is left (in a removed block) compress least.
        """
        self._check(genotype)
        if self._always_canonical:
            return genotype
        plan = self.decode(genotype)
        genotype = self.encode(plan)
        alive = self._network.alive(plan.channels, plan.blocks)
        found = [entry for gene in self._bound for entry in gene.effective(alive)]
        effective = jnp.stack([jnp.asarray(entry) for entry in found])
        return jnp.where(effective, genotype, jnp.asarray(self.dense, jnp.int32))

    def canonical_rows(
        self, genotypes: Int[np.ndarray, "n genes"]
    ) -> Int[np.ndarray, "n genes"]:
        """Returns the canonical form of genotypes on the host; any n, one program."""
        if self._always_canonical or not len(genotypes):
            return genotypes
        filled = np.pad(genotypes, ((0, -len(genotypes) % BLOCK), (0, 0)), mode="edge")
        blocks = np.split(filled, len(filled) // BLOCK)
        rows = [np.asarray(self._block_canonical(block)) for block in blocks]
        return np.concatenate(rows)[: len(genotypes)]


def _is_kind(kind: Any) -> bool:
    # A class has all that its instances have, and would pass for one.
    return isinstance(kind, Gene) and not isinstance(kind, type)
