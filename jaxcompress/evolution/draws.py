"""Random numbers of one operator, drawn at once: every draw of its own is compiled anew."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, UInt32


def draw(key: Key[Array, ""], count: int, shape: tuple[int, ...]) -> UInt32[Array, "..."]:
    """Returns `count` independent arrays of random bits, uint32 [count, *shape]."""
    return jax.random.bits(key, (count, *shape), jnp.uint32)


def uniform(bits: UInt32[Array, "..."]) -> Float[Array, "..."]:
    """Returns float32 in [0, 1), a multiple of 2**-24, from random bits."""
    return (bits >> 8).astype(jnp.float32) * jnp.float32(2**-24)


def below(bits: UInt32[Array, "..."], bound: Int[Array, "..."]) -> Int[Array, "..."]:
    """Returns int32 in [0, bound) from random bits; a bound below 1 counts as 1.

    The first values are likelier than the last by at most bound / 2**32.
    """
    limit = jnp.maximum(bound, 1).astype(jnp.uint32)
    return (bits % limit).astype(jnp.int32)
