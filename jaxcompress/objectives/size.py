"""Cost: the bytes of a file's parameter part."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcompress.codings import CODINGS, coded_bits, escapes, histogram
from jaxcompress.compress import Coded, Coding, Count, code, coded_paths, counts
from jaxcompress.compress.manifest import entry, header_bytes, manifest
from jaxcompress.network import Network
from jaxcompress.objectives.histograms import (
    WIDTH,
    alphabet,
    from_table,
    symbol,
    table,
)
from jaxcompress.objectives.objective import Cost
from jaxcompress.space import Plan

SPARSE = ("csr", "coo")
ENTROPY = ("huffman", "range")


@dataclass(frozen=True, eq=False)
class Size(Cost):
    """Bytes of the parameter part of a file saved in a coding; everything is charged.

    Codes, positions, scales, codebooks, all parameters that are not coded, and the header.
    The header is that of the dense network: a plan's own differs by some bytes. "dense"
    without codebooks is exact but for that; the others estimate what their encoders make,
    within 2 % of it for files above some kilobytes.

    Attributes:
        coding: "dense" (codes at their bits, one after the other), "csr", "coo",
            "huffman" or "range", as for `save`.
        params: whose codes are counted; the network's own if None.
    """

    coding: str = "range"
    params: Any = None
    _tables: dict[Any, Any] = field(default_factory=dict, repr=False)
    name = "size"
    unit = "bytes"

    def __post_init__(self) -> None:
        if self.coding not in CODINGS:
            raise ValueError(f"Size: coding is {self.coding!r}; allowed: {tuple(CODINGS)}")

    def __call__(self, network: Network, plan: Plan) -> Float[Array, ""]:
        tensors = counts(network, plan)
        total = jnp.asarray(overhead(network, plan, self.coding), jnp.float32)
        paths = coded_paths(plan)
        coded = [count for count in tensors if count.part.path in paths]
        for count in tensors:
            if count.part.path not in paths:
                plain = 4.0 * count.entries.astype(jnp.float32)
                total = total + jnp.where(count.stored, plain, 0.0)
        if self.coding == "dense" and not plan.codebook_sizes:
            sizes = [_dense(count) for count in coded]
        else:
            sizes = self._by_histogram(network, plan, coded)
        for count, size in zip(coded, sizes, strict=True):
            total = total + jnp.where(count.stored, size, 0.0)
        return total

    def _by_histogram(
        self, network: Network, plan: Plan, coded: list[Count]
    ) -> list[Float[Array, ""]]:
        if not coded:
            return []
        found = self._histograms(network, plan, coded)
        sizes = []
        for masked in (False, True):
            chosen = [i for i, item in enumerate(found) if item.masked == masked]
            if not chosen:
                continue
            columns = [
                jnp.stack([getattr(found[i], name) for i in chosen])
                for name in ("histogram", "total", "alphabet")
            ]
            gaps = [item.escapes for item in found if item.escapes is not None]
            if gaps:
                columns.append(jnp.stack([jnp.asarray(found[i].escapes) for i in chosen]))
            tried = {self.coding}
            if self.coding in ENTROPY:
                tried.add("dense")
            bits = [
                jax.vmap(partial(_bits, how, masked))(*columns) for how in sorted(tried)
            ]
            least = jnp.min(jnp.stack(bits), axis=0)
            sizes += zip(chosen, least, strict=True)
        order = dict(sizes)
        return [
            jnp.where(item.plain, 0.0, order[i] / 8.0) + item.extra
            for i, item in enumerate(found)
        ]

    def _histograms(
        self, network: Network, plan: Plan, coded: list[Count]
    ) -> "list[_Symbols]":
        only_bits = not (
            plan.codebook_sizes or plan.sparsity or plan.kernel_sparsity or plan.ranks
        )
        if only_bits:
            alive = network.alive(plan.channels, plan.blocks)
            tables = self._prepared(network, plan)
            return [
                _from_grid(
                    count,
                    _without_zero(
                        count,
                        from_table(network, plan, count, tables[count.part.path], alive),
                        self.coding,
                    ),
                    self.coding,
                )
                for count in coded
            ]
        exact = code(network, plan, self.params)
        return [_exact(plan, count, exact[count.part.name], self.coding) for count in coded]

    def _prepared(self, network: Network, plan: Plan) -> dict[str, np.ndarray]:
        key = (network, plan.granularity, plan.scale_by)
        known = self._tables.setdefault(key, {})
        leaves = network.leaves(self.params)
        axes = {layer.weight: layer.out_axes for layer in network.layers}
        for path in plan.weight_bits:
            if path not in known:
                weight = np.asarray(leaves[path])
                known[path] = table(weight, axes[path], plan.granularity, plan.scale_by)
        return known


@dataclass(frozen=True, eq=False)
class _Symbols:
    """The symbols of one tensor.

    Attributes:
        histogram: of the kept positions' symbols, float32 [WIDTH].
        total: positions; alphabet: how many symbols there are.
        masked: whether some positions may have no symbol.
        plain: whether there are no symbols to store.
        escapes: of "csr", as `codings.escapes` counts them; None: as expected of chance.
        extra: bytes of scales, codebook or plain values.
    """

    histogram: Array
    total: Array
    alphabet: Array
    masked: bool
    plain: Array
    extra: Array
    escapes: Array | None = None


def _from_grid(
    count: Count,
    found: Float[Array, " WIDTH"],
    coding: str,
    zeros: bool = False,
    gaps: Float[Array, "7"] | None = None,
) -> _Symbols:
    """Describes the symbols of a grid; of one of 32 bits, the places of its values.

    Args:
        found: of all entries; of "csr" and "coo" without those that are zero.
        zeros: whether a plan may set entries to zero.
    """
    sparse = coding in SPARSE
    zeros = zeros and coding != "dense"  # there plain zeros are stored like any number
    exact = count.bits >= 32
    entries = count.entries.astype(jnp.float32)
    nonzero = count.nonzero.astype(jnp.float32)
    if zeros:  # of plain values only the positions are symbols
        places = jnp.zeros(WIDTH, jnp.float32).at[0].set(nonzero)
        found = jnp.where(exact, places, found)
    values = 4.0 * (nonzero if zeros else entries)
    extra = jnp.where(exact, values, 4.0 * count.scales.astype(jnp.float32))
    plain = exact & (count.nonzero == count.entries) if zeros else exact
    symbols = alphabet(count.bits)
    return _Symbols(found, entries, symbols, sparse or zeros, plain, extra, gaps)


def _without_zero(
    count: Count, found: Float[Array, " WIDTH"], coding: str
) -> Float[Array, " WIDTH"]:
    """Leaves a grid's zero out, a position without a symbol, where that is so stored."""
    if coding not in SPARSE:
        return found
    # Of 16 bits a zero shares its place with others, and hardly ever occurs.
    middle = jnp.where((count.bits > 1) & (count.bits <= 10), alphabet(count.bits) // 2, -1)
    return jnp.where(jnp.arange(WIDTH) == middle, 0.0, found)


def _exact(plan: Plan, count: Count, coded: Coded, coding: str) -> _Symbols:
    path = count.part.path
    zeros = path in plan.sparsity or path in plan.kernel_sparsity
    kept, gaps = coded.nonzero, None
    if coded.codebook is None and coding in SPARSE:
        kept = kept & ((coded.codes != 0) | (count.bits >= 32))
    if coding == "csr":
        gaps = escapes(kept.ravel(), coded.alive.ravel())
    if coded.codebook is not None and coded.used is not None:
        found = histogram(coded.codes, kept, WIDTH)
        book = 4.0 * coded.used.astype(jnp.float32)
        if plan.codebook_scope == "network" and path != next(iter(plan.codebook_sizes)):
            book = jnp.zeros((), jnp.float32)  # the one codebook is charged once
        total = count.entries.astype(jnp.float32)
        never = jnp.zeros((), bool)
        return _Symbols(found, total, coded.used, zeros, never, book, gaps)
    symbols = symbol(coded.codes, count.bits)
    counted = kept if coding in SPARSE else coded.alive
    found = histogram(symbols, counted, WIDTH)
    return _from_grid(count, found, coding, zeros, gaps)


def _bits(
    how: str, masked: bool, found: Array, total: Array, symbols: Array, *gaps: Array
) -> Array:
    return coded_bits(how, found, total, symbols, masked, *gaps)


def _dense(count: Count) -> Float[Array, ""]:
    entries = count.entries.astype(jnp.float32)
    codes = jnp.ceil(entries * count.bits.astype(jnp.float32) / 8.0)
    scales = 4.0 * count.scales.astype(jnp.float32)
    return jnp.where(count.bits >= 32, 4.0 * entries, codes + scales)


def overhead(network: Network, plan: Plan, how: str = "range") -> int:
    """Returns the bytes of container and header for plans like this one."""
    axes = {layer.weight: layer.out_axes for layer in network.layers}
    coded, entries, payload = coded_paths(plan), [], 0
    for path, leaf in network.leaves().items():
        payload += int(leaf.size)
        coding, name = Coding(32), ""
        if path in plan.codebook_sizes:
            coding, name = Coding(8, codebook=np.zeros(2, np.float32)), how
        elif path in coded:
            own = axes[path] if plan.granularity == "channel" else ()
            shape = [n if d in own else 1 for d, n in enumerate(leaf.shape)]
            coding, name = Coding(4, scale=np.zeros(shape, np.float32)), how
        entries.append(entry(path, leaf.shape, coding, 0, name, False, leaf.size // 2))
    books = [2] * len(plan.codebook_sizes)
    if plan.codebook_scope == "network":
        books = books[:1]
    return header_bytes(manifest(entries, books), payload)
