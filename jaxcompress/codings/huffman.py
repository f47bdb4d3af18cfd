"""Canonical Huffman codes (Huffman 1952); what is not kept is one more symbol.

The header holds the length of each symbol's code. A symbol that is alone takes no bits.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcompress.annotations import Array, Float, Int, UInt64
from jaxcompress.codings.coder import Coder
from jaxcompress.codings.counts import Counts
from jaxcompress.codings.levels import levels_bits, levels_size, read_levels
from jaxcompress.codings.modelled import join, low_size, marks, split
from jaxcompress.codings.stream import Bits, Reader, code_bits
from jaxcompress.codings.symbols import Layout, Symbols

LONGEST = 56  # 2^31 symbols make codes of 45 bits at most; a window of 57 is read at once
_LOOKED = 14  # bits that are looked up in a table
_CHUNK = 1 << 16  # bits that are decoded at a time: what is made of them fits a cache


def code_lengths(counts: Int[np.ndarray, " a"]) -> Int[np.ndarray, " a"]:
    """Returns the bits of each symbol's code, 0 for one that does not occur.

    The leaves stand in one queue and the inner nodes, which are made in the order of
    their weights, in another: the two lightest are always at the fronts.
    """
    lengths = np.zeros(counts.size, np.int64)
    leaves = [int(i) for i in np.argsort(counts, kind="stable") if counts[i]]
    weights = [int(counts[i]) for i in leaves]
    if len(leaves) < 2:
        lengths[leaves] = 1
        return lengths
    n, leaf, node = len(leaves), 0, len(leaves)
    parent = [0] * (2 * n - 1)
    for made in range(n, 2 * n - 1):
        total = 0
        for _ in range(2):
            if leaf < n and (node >= made or weights[leaf] <= weights[node]):
                lightest, leaf = leaf, leaf + 1
            else:
                lightest, node = node, node + 1
            total += weights[lightest]
            parent[lightest] = made
        weights.append(total)
    depth = [0] * (2 * n - 1)
    for place in range(2 * n - 3, -1, -1):
        depth[place] = depth[parent[place]] + 1
    lengths[leaves] = depth[:n]
    return lengths


def coded_length(histogram: Float[Array, " a"]) -> Float[Array, ""]:
    """Returns the bits that a Huffman code takes for all symbols; traceable, and exact.

    It is the sum of the weights of all inner nodes.
    """
    # What does not occur waits at the end of the leaves and is never merged.
    leaves = jnp.sort(jnp.where(histogram > 0.0, histogram, jnp.inf))
    leaves = jnp.concatenate([leaves, jnp.full(2, jnp.inf)])

    def merge(made: Array, carry: tuple[Array, Array, Array]):
        leaf, node, nodes = carry
        a = lax.dynamic_slice(leaves, (leaf,), (2,))
        b = lax.dynamic_slice(nodes, (node,), (2,))
        total = jnp.minimum(jnp.minimum(a.sum(), b.sum()), a[0] + b[0])
        taken = jnp.where(total == a.sum(), 2, jnp.where(total == b.sum(), 0, 1))
        nodes = lax.dynamic_update_slice(nodes, total[None], (made,))
        return leaf + taken, node + 2 - taken, nodes

    # As many rounds for every histogram: else a batch would copy its nodes in each.
    start = jnp.zeros((), jnp.int32)
    carry = (start, start, jnp.full_like(leaves, jnp.inf))
    _, _, nodes = lax.fori_loop(0, histogram.size - 1, merge, carry)
    return jnp.where(jnp.isfinite(nodes), nodes, 0.0).sum()


def _write(symbols: Symbols) -> list[Bits]:
    size = marks(symbols.layout)
    marked, low = split(symbols)
    lengths = code_lengths(np.bincount(marked, minlength=size))
    order, firsts = _canonical(lengths)
    codes = np.zeros(size, np.int64)
    codes[order] = firsts >> (LONGEST - lengths[order])
    body = [] if order.size < 2 else [code_bits(codes[marked], lengths[marked])]
    return [levels_bits(lengths), *body, low]


def _read(reader: Reader, layout: Layout) -> Symbols:
    lengths = read_levels(reader, marks(layout), LONGEST)
    order, firsts = _canonical(lengths)
    if layout.total == 0 or order.size == 1:
        marked = np.resize(order[:1], layout.total)
    elif sum(1 << (LONGEST - n) for n in lengths[order].tolist()) != 1 << LONGEST:
        raise ValueError("the data are damaged: the lengths are those of no code")
    else:
        marked = _decode(reader, lengths[order], order, firsts, layout.total)
    return join(reader, layout, marked)


def _canonical(
    lengths: Int[np.ndarray, " a"],
) -> tuple[Int[np.ndarray, " b"], Int[np.ndarray, " b"]]:
    """Returns the symbols in the order of their codes, and these as `LONGEST` bits."""
    order = np.lexsort((np.arange(lengths.size), lengths))
    order = order[lengths[order] > 0]
    spans = np.int64(1) << (LONGEST - lengths[order])
    return order, np.cumsum(spans) - spans


def _decode(
    reader: Reader,
    lengths: Int[np.ndarray, " b"],
    order: Int[np.ndarray, " b"],
    firsts: Int[np.ndarray, " b"],
    count: int,
) -> Int[np.ndarray, " count"]:
    """Decodes as if a code began at every bit, then steps from each to the next.

    A table of the first bits knows most codes; only the long ones are searched for.
    Places are of NumPy's own index type and always inside, as "clip" takes them: so
    `take` is several times as fast as brackets.
    """
    looked = min(int(lengths.max()), _LOOKED)
    heads = np.arange(1 << looked) << (LONGEST - looked)
    ranks = np.searchsorted(firsts, heads, side="right") - 1
    steps = np.where(lengths[ranks] <= looked, lengths[ranks], 0)
    found, left = [np.empty(0, np.int64)], count
    while left:
        ahead = reader.rest[: _CHUNK + 64]
        here = min(ahead.size, _CHUNK)
        if not here:
            raise ValueError("the data are too short: symbols are missing")
        wide = _wide(ahead)
        head = (wide >> np.uint64(64 - 8 - looked)).astype(np.intp)
        head = (head[:, None] >> np.arange(8, 0, -1)).ravel()[:here]
        head &= (1 << looked) - 1
        step = steps.take(head, mode="clip")
        long = np.flatnonzero(step == 0)
        step[long] = lengths[_search(wide, long, firsts)]
        following = np.arange(here) + step
        starts = _chain(np.minimum(following, here))[:left]
        rank = ranks[head[starts]]
        long = np.flatnonzero(steps[head[starts]] == 0)
        rank[long] = _search(wide, starts[long], firsts)
        found.append(order[rank])
        left -= starts.size
        reader.skip(int(following[starts[-1]]))
    return np.concatenate(found)


def _search(
    wide: UInt64[np.ndarray, " bytes"],
    places: Int[np.ndarray, " m"],
    firsts: Int[np.ndarray, " b"],
) -> Int[np.ndarray, " m"]:
    """Returns the ranks of the codes that begin at some bits."""
    shift = (64 - LONGEST - places % 8).astype(np.uint64)
    window = wide[places // 8] >> shift & np.uint64((1 << LONGEST) - 1)
    return np.searchsorted(firsts, window.astype(np.int64), side="right") - 1


def _chain(following: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """Returns 0 and the places that follow each other from there, before n.

    Python walks in strides of 2^3 places, NumPy fills in those between.
    """
    end = following.size
    strides = [np.append(following, end)]
    for _ in range(3):
        strides.append(strides[-1].take(strides[-1], mode="clip"))
    ahead, place, places = strides.pop().data, 0, []
    while place < end:
        places.append(place)
        place = ahead[place]
    chain = np.asarray(places)
    for stride in reversed(strides):
        chain = np.stack([chain, stride[chain]], axis=1).ravel()
    return chain[chain < end]


def _wide(bits: Bits) -> UInt64[np.ndarray, " bytes"]:
    """Returns the 64 bits from each byte, zeros at the end."""
    data = np.concatenate([np.packbits(bits), np.zeros(7, np.uint8)])
    wide = np.zeros(data.size - 7, np.uint64)
    for byte in range(8):
        wide = wide << np.uint64(8) | data[byte : byte + wide.size]
    return wide


def _size(counts: Counts) -> Float[Array, ""]:
    histogram, size = counts.marked()
    share = histogram / jnp.maximum(histogram.sum(), 1.0)
    # The lengths differ from these a little, and so does the header.
    ideal = jnp.maximum(jnp.round(-jnp.log2(jnp.where(share > 0.0, share, 1.0))), 1.0)
    lengths = jnp.where(share > 0.0, ideal, 0.0).astype(jnp.int32)
    return levels_size(lengths, size) + coded_length(histogram) + low_size(counts)


HUFFMAN = Coder(_write, _read, _size)
