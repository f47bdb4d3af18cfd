"""Grids of activations against a float64 reference and by properties."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from jaxcompress.transforms import quantize_activations

BITS = (1, 2, 3, 4, 8, 16)
coded = jax.jit(quantize_activations)


def reference(x: np.ndarray, bits: int, low: float, high: float) -> np.ndarray:
    """The nearest value of the grid, by listing the whole grid in float64."""
    if low >= 0:
        grid = np.arange(2**bits) * (high / (2**bits - 1))
    else:
        top = max(-low, high)
        side = 2 ** (bits - 1) - 1
        grid = np.arange(-side, side + 1) * (top / max(side, 1))
        if bits == 1:
            return np.where(x < 0, -top / 2, top / 2)
    return grid[np.abs(x[:, None] - grid).argmin(1)]


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 3.0), (-2.0, 1.5), (-0.5, 4.0), (0.5, 2.0)]
)
def test_equals_the_nearest_grid_value(bits: int, low: float, high: float) -> None:
    x = np.random.default_rng(bits).uniform(low - 1, high + 1, 200)
    got = coded(jnp.float32(x), jnp.asarray(bits), jnp.float32([low, high]))
    wanted = reference(x, bits, low, high)
    step = (max(-low, high) if low < 0 else high) / max(2 ** (bits - (low < 0)) - 1, 1)
    # Halfway between two values float32 may round to the other one.
    halfway = np.abs(np.abs(x / step % 1) - 0.5) < 1e-3 * 2 ** max(bits - 8, 0)
    np.testing.assert_allclose(np.asarray(got)[~halfway], wanted[~halfway], atol=1e-5)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=8, max_size=8),
    st.sampled_from(BITS),
    st.floats(-1e3, 1e3, width=32),
    st.floats(0, 1e3, width=32),
)
def test_few_values_inside_the_span(
    x: list[float], bits: int, low: float, high: float
) -> None:
    got = np.asarray(coded(jnp.float32(x), jnp.asarray(bits), jnp.float32([low, high])))
    top = max(-low, high)
    assert np.isfinite(got).all() and np.abs(got).max() <= top * (1 + 1e-5)
    assert len(np.unique(got)) <= 2**bits
    if not (low < 0 and bits == 1):
        zero = coded(jnp.zeros(8), jnp.asarray(bits), jnp.float32([low, high]))
        assert (np.asarray(zero) == 0).all()


def test_32_bits_change_nothing() -> None:
    x = jnp.float32([-1e9, 0.1, 7.0])
    assert (coded(x, jnp.asarray(32), jnp.float32([0, 1])) == x).all()


def test_the_gradient_passes_inside_the_span_only() -> None:
    def total(x: jax.Array) -> jax.Array:
        return coded(x, jnp.asarray(4), jnp.float32([0.0, 1.0])).sum()

    gradient = jax.grad(total)(jnp.float32([-1.0, 0.3, 0.7, 2.0]))
    np.testing.assert_array_equal(gradient, [0, 1, 1, 0])
