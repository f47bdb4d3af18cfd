"""How often each symbol of the stored tensors occurs under a plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxcompress.codings import escapes, histogram
from jaxcompress.compress import Coded, Counts
from jaxcompress.compress.work import chosen
from jaxcompress.network import Network
from jaxcompress.objectives.cells import Cells
from jaxcompress.objectives.grids import WIDTH, symbol, zero_symbol
from jaxcompress.objectives.left import in_codebooks, left, on_grids
from jaxcompress.space import Plan

SPARSE = ("csr", "coo")


@dataclass(frozen=True, eq=False)
class Histograms:
    """The symbols of tensors; vectors over these.

    Attributes:
        symbols: how often each occurs at the positions that are kept, float32; of "csr"
            and "coo" without the zeros of grids.
        used: how many places of a codebook are; 0 without one.
        escapes: of "csr", as `codings.escapes` counts them; None for other codings.
    """

    symbols: Float[Array, "tensors WIDTH"]
    used: Int[Array, " tensors"]
    escapes: Float[Array, "tensors 7"] | None

    def of(self, places: Sequence[int]) -> "Histograms":
        """Returns those of some of the tensors."""
        if len(places) == len(self.used):
            return self
        which = np.asarray(places, int)
        gaps = None if self.escapes is None else self.escapes[which]
        return Histograms(self.symbols[which], self.used[which], gaps)


def exact(counts: Counts, coded: Mapping[str, Coded], coding: str) -> Histograms:
    """Counts the symbols of tensors that are coded, by part name."""
    symbols, used, gaps = [], [], []
    for part, bits in zip(counts.parts, jnp.unstack(counts.bits), strict=True):
        each = coded[part.name]
        kept = each.nonzero
        if each.codebook is None:
            if coding in SPARSE:
                kept = kept & ((each.codes != 0) | (bits >= 32))
            found = symbol(each.codes, bits)
            occurs = kept if coding in SPARSE else each.alive
        else:
            found, occurs = each.codes, kept
        symbols.append(histogram(found, occurs, WIDTH))
        used.append(jnp.int32(0) if each.used is None else each.used)
        if coding == "csr":
            gaps.append(escapes(kept.ravel(), each.alive.ravel()))
    escaped = jnp.stack(gaps) if gaps else None
    return Histograms(jnp.stack(symbols), jnp.stack(used), escaped)


def is_counted(plan: Plan) -> bool:
    """Returns whether `counted` is for a plan, so that nothing need be coded."""
    rare = (plan.kernel_sparsity, plan.ranks, plan.scales, plan.member is not None)
    one_threshold = plan.sparsity and plan.sparsity_scope == "network"
    clustered = plan.codebook_sizes and plan.codebook_kind != "uniform"
    return not any((*rare, one_threshold, clustered))


def counted(
    network: Network, plan: Plan, counts: Counts, tensors: Sequence[Cells], coding: str
) -> Histograms:
    """Estimates the symbols of tensors from what is counted of them."""
    alive = network.alive(plan.channels, plan.blocks)
    values = left(network, counts, tensors, alive, bool(plan.sparsity))
    paths = [part.path for part in counts.parts]
    shared = [i for i, path in enumerate(paths) if path in plan.codebook_sizes]
    others = [i for i, path in enumerate(paths) if path not in plan.codebook_sizes]
    rows: list[tuple[Array, Array, Array]] = []
    if others:
        own, which = counts.of(others), np.asarray(others)
        binary = jnp.asarray(chosen(plan.weight_bits, paths, 32.0)) == 1.0
        found, half = on_grids(values.of(others), own.bits, binary[which], plan.scale_by)
        none = jnp.zeros(len(others), jnp.int32)
        rows.append((_with_zeros(own, found, coding), none, half))
    if shared:
        which, stored = np.asarray(shared), counts.of(shared).stored
        sizes = jnp.asarray(chosen(plan.codebook_sizes, paths, 2.0)).astype(jnp.int32)
        pooled = plan.codebook_scope == "network"
        found, used = in_codebooks(values.of(shared), sizes[which], stored, pooled)
        rows.append((found, used, jnp.zeros(len(shared))))
    symbols, used, zero = (
        _in_order(others + shared, each) for each in zip(*rows, strict=True)
    )
    return Histograms(symbols, used, values.escapes(zero) if coding == "csr" else None)


def _in_order(places: Sequence[int], found: Sequence[Array]) -> Array:
    """Joins rows of these places; those of one array are in order."""
    if len(found) == 1:
        return found[0]
    return jnp.concatenate(found)[np.argsort(places)]


def _with_zeros(
    counts: Counts, found: Float[Array, "tensors WIDTH"], coding: str
) -> Float[Array, "tensors WIDTH"]:
    """Adds what a plan sets to zero to the zeros of grids, or leaves all of them out."""
    bits, index = counts.bits, jnp.arange(WIDTH)
    middle = index == jnp.where(bits > 1, zero_symbol(bits), -1)[:, None]
    if coding in SPARSE:
        # Of 16 bits a zero shares its place with others, and hardly ever occurs.
        return jnp.where(middle & (bits <= 10)[:, None], 0.0, found)
    zeros = (counts.entries - counts.nonzero).astype(jnp.float32)
    return found + jnp.where(middle, zeros[:, None], 0.0)
