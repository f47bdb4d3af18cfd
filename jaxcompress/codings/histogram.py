"""How often each symbol occurs, on the device."""

import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from jaxcompress.annotations import Array, Bool, Float, Int


def histogram(
    symbols: Int[Array, "..."],
    kept: Bool[Array, "..."] | None,
    alphabet: int,
    weights: Float[Array, "..."] | None = None,
) -> Float[Array, " alphabet"]:
    """Counts the symbols of the kept positions; jit- and vmap-able.

    One scatter; a batch of arrays is one scatter into one long histogram, since XLA's own
    batched scatter is several times slower on a CPU.

    Args:
        symbols: int32, any shape; those outside 0..alphabet-1 are not counted.
        kept: bool in the same shape, the positions that count; None for all.
        alphabet: the number of symbols.
        weights: float32 in the same shape, what a position counts; None for 1 each.

    Returns:
        float32 [alphabet], exact up to counts of 2^24.

    Example:
        >>> import jax.numpy as jnp
        >>> histogram(jnp.asarray([0, 2, 2]), None, 3)
        Array([1., 0., 2.], dtype=float32)
    """
    each = jnp.ones(symbols.shape, jnp.float32) if weights is None else weights
    inside = (symbols >= 0) & (symbols < alphabet)
    counted = inside if kept is None else inside & kept
    each = jnp.where(counted, each, 0.0)
    return _scatter(jnp.where(inside, symbols, 0).ravel(), each.ravel(), alphabet)


def _scatter(
    places: Int[Array, " n"], each: Float[Array, " n"], size: int
) -> Float[Array, " size"]:
    @custom_vmap
    def scatter(places: Array, each: Array) -> Array:
        return jnp.zeros(size, jnp.float32).at[places].add(each, mode="promise_in_bounds")

    @scatter.def_vmap
    def _(batch: int, batched: list[bool], places: Array, each: Array):
        places, each = (
            x if mapped else jnp.broadcast_to(x, (batch, *x.shape))
            for x, mapped in zip((places, each), batched, strict=True)
        )
        long = places + size * jnp.arange(batch, dtype=places.dtype)[:, None]
        counts = _scatter(long.ravel(), each.ravel(), size * batch)
        return counts.reshape(batch, size), True

    return scatter(places, each)
