"""Histograms on the device against NumPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcompress.codings import histogram


@pytest.mark.parametrize("alphabet", [1, 16, 1000])
def test_equals_a_count(alphabet: int) -> None:
    rng = np.random.default_rng(alphabet)
    symbols = rng.integers(0, alphabet, (2, 3, 400)).astype(np.int32)
    kept = rng.random(symbols.shape) < 0.3
    weights = rng.integers(0, 9, symbols.shape).astype(np.float32)
    count = jax.jit(lambda s, k, w: histogram(s, k, alphabet, w))
    wanted = np.bincount(symbols[kept], weights[kept], alphabet)
    np.testing.assert_array_equal(count(symbols, kept, weights), wanted)
    bare = jax.jit(lambda s: histogram(s, None, alphabet))(symbols)
    np.testing.assert_array_equal(bare, np.bincount(symbols.ravel(), minlength=alphabet))


def test_batches_of_batches() -> None:
    rng = np.random.default_rng(0)
    symbols = rng.integers(0, 7, (3, 4, 50)).astype(np.int32)
    kept = rng.random((4, 50)) < 0.5

    def count(s: jax.Array, k: jax.Array) -> jax.Array:
        return histogram(s, k, 7)

    found = jax.jit(jax.vmap(jax.vmap(count), (0, None)))(symbols, kept)
    for i in range(3):
        for j in range(4):
            wanted = np.bincount(symbols[i, j][kept[j]], minlength=7)
            np.testing.assert_array_equal(found[i, j], wanted)
    only_masks = jax.jit(jax.vmap(count, (None, 0)))(symbols[0, 0], kept)
    wanted = [np.bincount(symbols[0, 0][k], minlength=7) for k in kept]
    np.testing.assert_array_equal(only_masks, wanted)


def test_what_is_no_symbol_is_not_counted() -> None:
    found = histogram(jnp.asarray([-1, 0, 2, 3, 2**30]), None, 3)
    np.testing.assert_array_equal(found, [1, 0, 1])
    np.testing.assert_array_equal(histogram(jnp.zeros(0, jnp.int32), None, 2), [0, 0])
