"""Cost: the bytes of a file's parameter part."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxcompress.codings import CODINGS, coded_bits
from jaxcompress.codings.manifest import entry, header_bytes, manifest
from jaxcompress.codings.tensor import Coding
from jaxcompress.compress import Counts, code, coded_paths, counts
from jaxcompress.network import Network, foldable
from jaxcompress.objectives.cells import Cells, cells
from jaxcompress.objectives.grids import alphabet
from jaxcompress.objectives.histograms import Histograms, counted, exact, is_counted
from jaxcompress.objectives.objective import Cost
from jaxcompress.space import Plan


@dataclass(frozen=True, eq=False)
class Size(Cost):
    """Bytes of the parameter part of a file saved in a coding; everything is charged.

    Codes, positions, scales, codebooks, all parameters that are not coded, and the header;
    not the averages of batch normalisations whose part scale and shift take in a file.
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
    _cells: dict[Any, Any] = field(default_factory=dict, repr=False)
    name = "size"
    unit = "bytes"

    def __post_init__(self) -> None:
        if self.coding not in CODINGS:
            raise ValueError(f"Size: coding is {self.coding!r}; allowed: {tuple(CODINGS)}")

    def __call__(self, network: Network, plan: Plan) -> Float[Array, ""]:
        tensors = counts(network, plan, self.params)
        paths = coded_paths(plan)
        places = [i for i, part in enumerate(tensors.parts) if part.path in paths]
        coded = tensors.of(places)
        if self.coding == "dense" and not plan.codebook_sizes:
            sizes = _dense(coded)
        else:
            sizes = self._by_histogram(network, plan, coded)
        plain = 4.0 * tensors.entries.astype(jnp.float32)
        sizes = plain.at[np.asarray(places, int)].set(sizes)
        gone = _averages(network)
        kept = tensors.stored & jnp.asarray([p.path not in gone for p in tensors.parts])
        each = jnp.unstack(jnp.where(kept, sizes, 0.0))
        # One after the other: the same to the last bit however many plans there are.
        return sum(each, jnp.asarray(overhead(network, plan, self.coding), jnp.float32))

    def _by_histogram(
        self, network: Network, plan: Plan, coded: Counts
    ) -> Float[Array, " tensors"]:
        sizes = jnp.zeros(len(coded.parts), jnp.float32)
        for places, found in self._symbols(network, plan, coded):
            bits = [found.bits(how) for how in dict.fromkeys((self.coding, "dense"))]
            least = jnp.min(jnp.stack(bits), axis=0)
            size = jnp.where(found.plain, 0.0, least / 8.0) + found.extra
            sizes = sizes.at[np.asarray(places, int)].set(size)
        return sizes

    def _symbols(
        self, network: Network, plan: Plan, coded: Counts
    ) -> "list[tuple[Sequence[int], _Symbols]]":
        """Returns the symbols of tensors that are alike, and which tensors those are."""
        if not coded.parts:
            return []
        shared = [part.path in plan.codebook_sizes for part in coded.parts]
        charged = jnp.asarray(shared) & coded.stored
        if plan.codebook_scope == "network":  # the one codebook is charged once
            charged = charged & (jnp.cumsum(charged) == 1)
        if is_counted(plan):
            prepared = self._prepared(network, plan)
            tensors = [prepared[part.path] for part in coded.parts]
            found = counted(network, plan, coded, tensors, self.coding)
        else:
            found = exact(coded, code(network, plan, self.params), self.coding)
        alike: dict[tuple[bool, bool], list[int]] = {}
        for place, part in enumerate(coded.parts):
            zeros = part.path in plan.sparsity or part.path in plan.kernel_sparsity
            alike.setdefault((shared[place], zeros), []).append(place)
        return [
            (
                places,
                _in_codebooks(
                    coded.of(places), found.of(places), zeros, charged[np.asarray(places)]
                )
                if is_shared
                else _on_grids(coded.of(places), found.of(places), self.coding, zeros),
            )
            for (is_shared, zeros), places in alike.items()
        ]

    def _prepared(self, network: Network, plan: Plan) -> dict[str, Cells]:
        leaves = network.leaves(self.params)
        axes = {layer.weight: layer.out_axes for layer in network.layers}
        prepared = {}
        for path in coded_paths(plan):
            # A codebook, or what is not coded at all, knows no scale but 1.
            how = ("tensor", "max", False)
            if path in plan.weight_bits:
                how = (plan.granularity, plan.scale_by, path in plan.sparsity)
            key = (network, path, how)
            if key not in self._cells:
                self._cells[key] = cells(np.asarray(leaves[path]), axes[path], *how)
            prepared[path] = self._cells[key]
        return prepared


@dataclass(frozen=True, eq=False)
class _Symbols:
    """The symbols of some tensors; vectors over them.

    Attributes:
        histogram: of the kept positions' symbols, float32 [tensors, WIDTH].
        total: positions; alphabet: how many symbols there are.
        marks: as many are told apart by "dense": what has no symbol may need one more.
        masked: whether some positions may have no symbol, to the entropy codings.
        plain: whether there are no symbols to store.
        escapes: of "csr", as `codings.escapes` counts them; None for other codings.
        extra: bytes of scales, codebook or plain values.
    """

    histogram: Float[Array, "tensors WIDTH"]
    total: Float[Array, " tensors"]
    alphabet: Int[Array, " tensors"]
    marks: Int[Array, " tensors"]
    masked: bool
    plain: Bool[Array, " tensors"]
    extra: Float[Array, " tensors"]
    escapes: Float[Array, "tensors 7"] | None = None

    def bits(self, how: str) -> Float[Array, " tensors"]:
        """Returns how many bits the symbols take in a coding."""
        masked, symbols = self.masked, self.alphabet
        if how == "dense":
            masked, symbols = False, self.marks
        columns = [self.histogram, self.total, symbols]
        if self.escapes is not None:
            columns.append(self.escapes)

        def size(found: Array, total: Array, symbols: Array, *gaps: Array) -> Array:
            return coded_bits(how, found, total, symbols, masked, *gaps)

        return jax.vmap(size)(*columns)


def _on_grids(counts: Counts, found: Histograms, coding: str, zeros: bool) -> _Symbols:
    """Describes the symbols of grids; of those of 32 bits, the places of their values.

    Args:
        zeros: whether a plan may set entries to zero.
    """
    zeros = zeros and coding != "dense"  # there plain zeros are stored like any number
    exact = counts.bits >= 32
    entries = counts.entries.astype(jnp.float32)
    nonzero = counts.nonzero.astype(jnp.float32)
    symbols = found.symbols
    if zeros:  # of plain values only the positions are symbols
        places = jnp.zeros_like(symbols).at[:, 0].set(nonzero)
        symbols = jnp.where(exact[:, None], places, symbols)
    values = 4.0 * (nonzero if zeros else entries)
    extra = jnp.where(exact, values, 4.0 * counts.scales.astype(jnp.float32))
    plain = exact & (counts.nonzero == counts.entries) if zeros else exact
    size = alphabet(counts.bits)
    marks = size + (exact & (counts.nonzero < counts.entries))
    return _Symbols(symbols, entries, size, marks, zeros, plain, extra, found.escapes)


def _in_codebooks(
    counts: Counts, found: Histograms, zeros: bool, charged: Bool[Array, " tensors"]
) -> _Symbols:
    """Describes the symbols of codebooks.

    Args:
        charged: whether each tensor is charged for its codebook.
    """
    sizes = jnp.maximum(found.used, 1)  # one is stored where all entries are zero
    book = jnp.where(charged, 4.0 * sizes.astype(jnp.float32), 0.0)
    total = counts.entries.astype(jnp.float32)
    marks = sizes + (counts.nonzero < counts.entries)
    never = jnp.zeros(len(counts.parts), bool)
    return _Symbols(found.symbols, total, sizes, marks, zeros, never, book, found.escapes)


def _dense(counts: Counts) -> Float[Array, " tensors"]:
    entries = counts.entries.astype(jnp.float32)
    codes = jnp.ceil(entries * counts.bits.astype(jnp.float32) / 8.0)
    scales = 4.0 * counts.scales.astype(jnp.float32)
    return jnp.where(counts.bits >= 32, 4.0 * entries, codes + scales)


def overhead(network: Network, plan: Plan, how: str = "range") -> int:
    """Returns the bytes of container and header for plans like this one."""
    axes = {layer.weight: layer.out_axes for layer in network.layers}
    coded, gone, entries, payload = coded_paths(plan), _averages(network), [], 0
    for path, leaf in network.leaves().items():
        if path in gone:
            continue
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


def _averages(network: Network) -> set[str]:
    """Returns the paths of parameters that no file holds, see `network.fold`."""
    return {path for place in foldable(network) for path in (place.mean, place.var)}
