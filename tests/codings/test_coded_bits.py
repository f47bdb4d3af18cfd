"""Sizes on the device against the bytes of the encoders."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codings.test_entropy_coding import histograms

from jaxcompress import codings
from jaxcompress.codings import CODINGS

N = 20_000
EXACT = ("dense", "csr", "coo")
SIZE = jax.jit(codings.coded_bits, static_argnums=(0, 4))
ESCAPES = jax.jit(codings.escapes)


def sample(p: np.ndarray, share: float | None) -> tuple[np.ndarray, np.ndarray | None]:
    rng = np.random.default_rng(7)
    kept = None if share is None else rng.random(N) < share
    count = N if kept is None else int(kept.sum())
    return rng.choice(p.size, count, p=p).astype(np.int32), kept


@pytest.mark.parametrize("share", [None, 0.08, 0.5])
@pytest.mark.parametrize("alphabet", [2, 15, 256])
@pytest.mark.parametrize("coding", CODINGS)
def test_sizes_are_those_of_the_bytes(
    coding: str, alphabet: int, share: float | None
) -> None:
    for name, p in histograms(alphabet).items():
        symbols, kept = sample(p, share)
        data = codings.encode(coding, symbols, alphabet, kept)
        counts = jnp.asarray(np.bincount(symbols, minlength=alphabet), jnp.float32)
        escapes = None if kept is None else ESCAPES(kept)
        size = SIZE(coding, counts, N, alphabet, kept is not None, escapes)
        if coding in EXACT:
            assert size == 8 * len(data)
        else:
            # A histogram of nearly one symbol leaves few bytes, of which one is much.
            assert abs(size / (8 * len(data)) - 1) < 0.02, name


def test_more_symbols_than_are_modelled() -> None:
    """16 bits: the high 10 have a model, the low 6 are stored as they are."""
    x = np.random.default_rng(0).normal(size=N)
    symbols = np.clip(np.rint(x * 8_000 + 32_767), 0, 65_534).astype(np.int32)
    shift = int(codings.low_bits(65_535))
    assert shift == 6
    counts = jnp.asarray(np.bincount(symbols >> shift, minlength=1024), jnp.float32)
    for coding in CODINGS:
        data = codings.encode(coding, symbols, 65_535)
        size = SIZE(coding, counts, N, 65_535, False)
        assert abs(size / (8 * len(data)) - 1) < (0.02 if coding not in EXACT else 1e-6)
    # Where the density is smooth the low bits are random: no more than that is lost.
    width = 2.0**-3  # a step of the grid is 1/8000 of a deviation
    density = np.log2(np.sqrt(2 * np.pi * np.e) * 8_000)
    assert 8 * len(codings.encode("range", symbols, 65_535)) < N * (density + width)


def test_one_compilation_for_all_alphabets() -> None:
    """Bits are data: the same compiled sizes for tensors of 2, 3 and 8 bits at once."""
    alphabets, total = [3, 7, 255], 5_000
    rng = np.random.default_rng(1)
    tensors = [rng.integers(0, a, total).astype(np.int32) for a in alphabets]
    counts = jax.vmap(lambda s: codings.histogram(s, None, 256))(jnp.stack(tensors))
    for coding in CODINGS:
        size = partial(codings.coded_bits, coding)
        found = jax.jit(jax.vmap(size, (0, None, 0)))(counts, total, jnp.asarray(alphabets))
        for bits, symbols, alphabet in zip(found, tensors, alphabets, strict=True):
            wanted = 8 * len(codings.encode(coding, symbols, alphabet))
            assert abs(bits / wanted - 1) < 0.005


@pytest.mark.parametrize("coding", CODINGS)
def test_nothing_takes_nothing_or_a_byte(coding: str) -> None:
    for total, kept in ((0, None), (0, np.zeros(0, bool)), (300, np.zeros(300, bool))):
        data = codings.encode(coding, np.zeros(0, np.int32), 4, kept)
        # A counter that is not used waits at the start: for the range coder 3 bytes.
        size = float(SIZE(coding, jnp.zeros(4), total, 4, kept is not None))
        assert np.isfinite(size)
        assert abs(size - 8 * len(data)) <= (24 if coding == "range" else 0)


def walked(kept: np.ndarray) -> np.ndarray:
    """Escapes, counted by walking along the positions."""
    counts, gap = np.zeros(7), 0
    for is_kept in kept:
        if is_kept:
            counts += [gap // (2**width - 1) for width in range(2, 9)]
        gap = 0 if is_kept else gap + 1
    return counts


def test_escapes_of_a_mask() -> None:
    rng = np.random.default_rng(5)
    alive = rng.random((6, 3_000)) < 0.7
    kept = alive & (rng.random(alive.shape) < np.asarray([[0.5, 0.1, 0.02, 0.004, 1, 0]]).T)
    kept[2, 1_000:1_900] = False  # a gap of several lines
    found = jax.jit(jax.vmap(codings.escapes))(jnp.asarray(kept), jnp.asarray(alive))
    for counts, row, exists in zip(found, kept, alive, strict=True):
        np.testing.assert_array_equal(counts, walked(row[exists]))
    assert found[2, -1] > 0 and found[3, 0] > 100 and not found[5].any()


@pytest.mark.parametrize("total", [0, 1, 2, 3, 17])
def test_escapes_of_short_masks(total: int) -> None:
    for place in range(total + 1):
        kept = np.arange(total) == place
        np.testing.assert_array_equal(ESCAPES(jnp.asarray(kept)), walked(kept))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.4, 1.0])
def test_expected_escapes_of_random_masks(share: float) -> None:
    rng = np.random.default_rng(4)
    kept = rng.random(100_000) < share
    counts = jnp.asarray([kept.sum() - 5.0, 5.0])
    data = codings.encode("csr", np.zeros(int(kept.sum()), np.int32), 2, kept)
    assert abs(SIZE("csr", counts, kept.size, 2, True) / (8 * len(data)) - 1) < 0.02


def test_unknown_codings_are_refused() -> None:
    with pytest.raises(ValueError, match="'zip'; allowed"):
        codings.coded_bits("zip", jnp.ones(2), 2)
