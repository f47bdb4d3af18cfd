"""Given scales: codes are those of float64, gradients those of the paper's formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcompress.transforms import quantize, quantize_activations


@pytest.mark.parametrize("bits", [1, 2, 3, 8, 32])
@pytest.mark.parametrize("shape", [(1, 4), (1, 1)])
def test_weights_and_gradients(bits: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(bits)
    w = rng.normal(size=(6, 4)).astype(np.float32)
    scale = rng.uniform(0.1, 1.0, shape).astype(np.float32)
    kept = rng.random(w.shape) < 0.8
    back = rng.normal(size=w.shape).astype(np.float32)

    def total(w: jax.Array, scale: jax.Array) -> jax.Array:
        values = quantize(w, jnp.asarray(bits), jnp.asarray(kept), scale=scale).values
        return (values * back).sum()

    found = quantize(
        jnp.asarray(w), jnp.asarray(bits), jnp.asarray(kept), scale=jnp.asarray(scale)
    )
    to_w, to_scale = jax.grad(total, (0, 1))(jnp.asarray(w), jnp.asarray(scale))
    wide, s = w.astype(np.float64), scale.astype(np.float64)
    top = {1: 1, 2: 1, 3: 3, 8: 127, 32: 0}[bits]
    divided = wide / s
    codes = np.clip(np.rint(divided), -top, top)
    if bits == 1:
        codes = np.where(wide < 0, -1, 1)
    inside = np.abs(divided) <= top
    if bits == 32:
        values, slope, to = wide, np.ones_like(wide), np.zeros_like(wide)
    else:
        values = np.where(kept, codes * s, wide)
        slope = np.where(kept, inside, 1.0)
        # Esser et al. 2020, equation 3: -v/s + round(v/s) inside, the end outside.
        to = np.where(kept, codes - np.where(inside, divided, 0.0), 0.0)
        np.testing.assert_array_equal(found.codes, codes)
    np.testing.assert_allclose(found.values, values, rtol=1e-6)
    np.testing.assert_allclose(to_w, slope * back, rtol=1e-6)
    axes = tuple(d for d, n in enumerate(shape) if n == 1)
    wanted = (to * back).sum(axes, keepdims=True)
    np.testing.assert_allclose(to_scale, wanted, rtol=1e-4, atol=1e-5)


def test_ranges_of_activations_get_the_gradient_of_the_rounding() -> None:
    x = np.array([-0.3, 0.2, 0.9, 1.4, 7.0], np.float32)

    def total(top: jax.Array) -> jax.Array:
        span = jnp.stack([jnp.zeros(()), top])
        return quantize_activations(jnp.asarray(x), jnp.asarray(2), span).sum()

    top = 1.5
    divided = np.clip(x, 0, top) / (top / 3)
    # Of what lies outside, the lower end is 0 whatever the range is.
    inside = (x >= 0) & (x <= top)
    wanted = np.where(inside, np.rint(divided) - divided, np.rint(divided)).sum() / 3
    np.testing.assert_allclose(jax.grad(total)(jnp.float32(top)), wanted, rtol=1e-5)
