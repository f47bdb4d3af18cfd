"""Quantization against a float64 reference, and what bits promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcompress.transforms import ALLOWED_BITS, quantize

SHAPE = (8, 9, 10)
QUANTIZE = jax.jit(quantize, static_argnums=3)


def tensor(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)


def best_loss(line: np.ndarray, bits: int) -> float:
    """Least squared error of a dense scan over scales, in float64."""
    line = line.astype(np.float64)
    if bits == 1:
        return float(np.square(np.abs(line) - np.abs(line).mean()).sum())
    top = 2 ** (bits - 1) - 1
    scales = np.abs(line).max() / top * np.linspace(0.05, 1.05, 2001)[:, None]
    codes = np.clip(np.round(line / scales), -top, top)
    return float(np.square(codes * scales - line).sum(1).min())


@pytest.mark.parametrize("bits", [b for b in ALLOWED_BITS if b <= 16])
@pytest.mark.parametrize("axes", [(), (2,), (0,)])
def test_error_is_close_to_the_best_scale(bits: int, axes: tuple[int, ...]) -> None:
    weights = tensor(bits)
    kept = np.ones(SHAPE, bool)
    kept[1] = False  # removed entries must not count
    if axes == (0,):
        kept[1] = True
    found = QUANTIZE(weights, jnp.asarray(bits), jnp.asarray(kept), axes)
    values = np.asarray(found.values, np.float64)
    if not axes:
        lines = [(weights[kept], values[kept])]
    else:
        moved = [np.moveaxis(x, axes[0], 0) for x in (weights, values, kept)]
        lines = [(w[k], v[k]) for w, v, k in zip(*moved, strict=True)]
    for line, coded in lines:
        loss = float(np.square(coded - line.astype(np.float64)).sum())
        # Few bits: as good as a scan of 2,001 scales. Many bits: the loss is a jagged
        # function of the scale, so only its size is held to the scan's.
        assert loss <= (1.05 if bits <= 4 else 2.0) * best_loss(line, bits) + 1e-10
        assert len(np.unique(coded)) <= 2**bits


def test_codes_times_scale_are_the_values_and_in_range() -> None:
    weights, kept = tensor(0), jnp.ones(SHAPE, bool)
    for bits in ALLOWED_BITS:
        found = QUANTIZE(weights, jnp.asarray(bits), kept, (1,))
        codes = np.asarray(found.codes)
        if bits == 32:
            assert (np.asarray(found.values) == weights).all()
            continue
        assert (np.asarray(found.values) == codes.astype(np.float32) * found.scale).all()
        assert np.abs(codes).max() <= max(2 ** (bits - 1) - 1, 1)
        if bits == 1:
            assert set(np.unique(codes)) <= {-1, 1}


def test_removed_entries_change_nothing() -> None:
    weights = tensor(3)
    kept = np.ones(SHAPE, bool)
    kept[:, 2] = False
    wild = np.where(kept, weights, 1e6).astype(np.float32)
    for bits in (1, 2, 5):
        a, b = (
            QUANTIZE(w, jnp.asarray(bits), jnp.asarray(kept), (2,)) for w in (weights, wild)
        )
        assert (np.asarray(a.scale) == np.asarray(b.scale)).all()
        assert (np.asarray(a.codes)[kept] == np.asarray(b.codes)[kept]).all()


def test_zeros_stay_zeros() -> None:
    for bits in (1, 2, 8):
        found = QUANTIZE(
            np.zeros(SHAPE, np.float32), jnp.asarray(bits), np.ones(SHAPE, bool)
        )
        assert (np.asarray(found.values) == 0).all()


@pytest.mark.parametrize("scale_by", ["max", "percentile"])
@pytest.mark.parametrize("axes", [(), (2,)])
def test_scales_by_the_largest_entry_and_by_a_percentile(
    scale_by: str, axes: tuple[int, ...]
) -> None:
    weights, kept = tensor(7), np.random.default_rng(1).random(SHAPE) < 0.8
    run = jax.jit(
        lambda w, bits, kept: quantize(w, bits, kept, channel_axes=axes, scale_by=scale_by)
    )
    channels = [np.s_[:]] if not axes else [np.s_[:, :, c] for c in range(SHAPE[2])]
    for bits in (1, 2, 3, 5, 8, 16):
        found = run(weights, jnp.asarray(bits), kept)
        steps = max(1, 2 ** (bits - 1) - 1)
        for channel, scale in zip(channels, np.ravel(found.scale), strict=True):
            line = weights[channel].astype(np.float64)
            survivors = np.abs(line[kept[channel]])
            top = survivors.max() if scale_by == "max" else np.percentile(survivors, 99)
            wanted = survivors.mean() if bits == 1 else top / steps
            assert scale == pytest.approx(wanted, rel=1e-6)
            places = np.sign(line) if bits == 1 else line / wanted
            codes = np.clip(np.round(places), -steps, steps)
            clear = np.abs(places - np.floor(places) - 0.5) > 0.01  # of both codes
            seen = np.asarray(found.codes)[channel]
            np.testing.assert_array_equal(seen[clear], codes[clear])
            there = clear & kept[channel]
            values = np.asarray(found.values)[channel][there]
            np.testing.assert_allclose(values, (codes * wanted)[there], rtol=1e-6)
