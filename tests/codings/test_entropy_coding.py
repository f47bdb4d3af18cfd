"""Range coding against the entropy, Huffman codes against another construction."""

import heapq

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from jaxcompress import codings
from jaxcompress.codings.ans import (
    ans_decode,
    ans_decode_plain,
    ans_encode,
    frequencies,
)
from jaxcompress.codings.huffman import code_lengths, coded_length


def entropy_bits(symbols: np.ndarray) -> float:
    """Bits of all symbols under their own histogram, in float64."""
    counts = np.unique(symbols, return_counts=True)[1].astype(np.float64)
    return float(-(counts * np.log2(counts / counts.sum())).sum())


def heap_bits(counts: list[int]) -> int:
    """Bits of a Huffman code by merging on a heap."""
    heap, bits = [c for c in counts if c], 0
    heapq.heapify(heap)
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        bits += merged
        heapq.heappush(heap, merged)
    return bits


def histograms(alphabet: int) -> dict[str, np.ndarray]:
    """Probabilities of several shapes."""
    x = np.arange(alphabet) - (alphabet - 1) / 2
    shapes = {
        "gaussian": np.exp(-np.square(x / alphabet * 6) / 2),
        "laplacian": np.exp(-np.abs(x) / alphabet * 12),
        "uniform": np.ones(alphabet),
        "nearly one": np.where(np.arange(alphabet) == alphabet // 2, 1, 0.02 / alphabet),
    }
    return {name: p / p.sum() for name, p in shapes.items()}


@pytest.mark.parametrize("shape", histograms(2))
@pytest.mark.parametrize("alphabet", [2, 3, 15, 255, 1024])
def test_range_coding_reaches_the_entropy(alphabet: int, shape: str) -> None:
    rng = np.random.default_rng(alphabet)
    p = histograms(alphabet)[shape]
    symbols = rng.choice(alphabet, 40_000, p=p).astype(np.int32)
    least = entropy_bits(symbols)
    found = 8 * len(codings.encode("range", symbols, alphabet))
    # The header: some bits a symbol for counts of up to 16 bits, and a few fields.
    header = 8 * alphabet + 80
    assert least < found < 1.01 * least + header


def test_a_mask_costs_its_entropy() -> None:
    rng = np.random.default_rng(3)
    kept = rng.random(50_000) < 0.1
    symbols = rng.integers(0, 3, int(kept.sum())).astype(np.int32)
    least = entropy_bits(symbols) + entropy_bits(kept)
    found = 8 * len(codings.encode("range", symbols, 3, kept))
    assert least < found < 1.01 * least + 100


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 10**6), min_size=2, max_size=300).filter(any),
    st.integers(0, 400),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=9),
)
def test_both_decoders_read_the_same(
    weights: list[int], count: int, seed: int, other: bytes
) -> None:
    each = frequencies(np.asarray(weights))
    assert each.sum() == 1 << 24 and each.min() >= 1
    p = np.asarray(weights) / sum(weights)
    symbols = np.random.default_rng(seed).choice(len(weights), count, p=p)
    data = ans_encode(symbols, each)
    np.testing.assert_array_equal(ans_decode(data, each, count), symbols)
    np.testing.assert_array_equal(ans_decode_plain(data, each, count), symbols)
    # Of other bytes both say the same, too.
    results = []
    for decode in (ans_decode, ans_decode_plain):
        try:
            results.append(decode(other, each, count).tolist())
        except ValueError as error:
            results.append(str(error))
    assert results[0] == results[1]


def test_rare_symbols_of_a_large_array() -> None:
    rng = np.random.default_rng(2)
    symbols = np.zeros(200_000, np.int64)
    symbols[rng.integers(0, symbols.size, 5)] = 1
    each = frequencies(np.bincount(symbols, minlength=400))
    data = ans_encode(symbols, each)
    assert (ans_decode_plain(data, each, symbols.size) == symbols).all()
    assert 8 * len(data) < entropy_bits(symbols) + 64


COUNTS = st.lists(
    st.one_of(st.just(0), st.integers(1, 9), st.integers(1, 10**6)), max_size=60
)


@settings(max_examples=300, deadline=None)
@given(COUNTS)
def test_huffman_codes_are_optimal(counts: list[int]) -> None:
    lengths = code_lengths(np.asarray(counts, np.int64))
    present = [n for n, c in zip(lengths.tolist(), counts, strict=True) if c]
    assert len(present) == np.count_nonzero(lengths)
    if len(present) > 1:
        assert sum(2.0**-n for n in present) == 1.0
        assert int((lengths * counts).sum()) == heap_bits(counts)


def test_the_deepest_huffman_code() -> None:
    counts = [1, 1]
    while sum(counts) < 2**31:
        counts.append(counts[-1] + counts[-2])
    lengths = code_lengths(np.asarray(counts))
    assert lengths.max() == len(counts) - 1 == 44
    assert int((lengths * counts).sum()) == heap_bits(counts)


def test_huffman_by_hand() -> None:
    # Lengths 1, 2, 2; codes 0, 10, 11. Header: order 0 (000); the differences 1, 1, 0
    # fold to 2, 2, 0: 011 011 1. Then 0 0 0 10 11.
    data = codings.encode("huffman", np.asarray([0, 0, 0, 1, 2]), 3)
    assert data == int("0000110111" + "0001011".ljust(14, "0"), 2).to_bytes(3, "big")


def test_huffman_bits_on_the_device() -> None:
    rng = np.random.default_rng(0)
    rows = [np.zeros(256), np.eye(256)[3] * 5, np.ones(256), np.full(256, 1000.0)]
    for name, p in histograms(256).items():
        del name
        rows += [rng.multinomial(n, p) for n in (10, 1_000, 1_000_000)]
    fibonacci = [1.0, 1.0]
    while len(fibonacci) < 30:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    rows.append(np.pad(fibonacci, (0, 226)))
    found = jax.jit(jax.vmap(coded_length))(jnp.asarray(np.stack(rows), jnp.float32))
    wanted = [heap_bits([int(c) for c in row]) for row in rows]
    np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-6)
