"""Binary genes with a fixed number of ones."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def with_ones(genes: Int[Array, "n g"], count: int | Int[Array, ""]) -> Int[Array, "n g"]:
    """Returns genes of which exactly `count` in a row are 1.

    Of too many ones some are cleared, of too few some zeros set; which, is decided by
    chance, and the chance by the row alone: equal rows stay equal.

    Args:
        genes: int32 [n, g], 0 or 1; count: 0..g.

    Example:
        >>> import jax.numpy as jnp
        >>> with_ones(jnp.asarray([[1, 1, 0], [1, 1, 1]]), 2).sum(axis=1)
        Array([2, 2], dtype=int32)
    """
    width = genes.shape[1]
    seeds = jnp.sum(genes * jnp.arange(1, width + 1, dtype=genes.dtype), axis=1)

    def chance(seed: Int[Array, ""]) -> Float[Array, " g"]:
        return jax.random.uniform(jax.random.fold_in(jax.random.key(0), seed), (width,))

    score = genes.astype(jnp.float32) + 0.5 * jax.vmap(chance)(seeds)
    place = jnp.argsort(jnp.argsort(score, axis=1, descending=True), axis=1)
    return (place < count).astype(genes.dtype)
