"""Weight sharing by bins of equal width."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcompress.transforms.sharing import Cells, Sharing, ends, place, tally


@dataclass(frozen=True)
class UniformBins(Sharing):
    """Shares the mean of each of K bins of equal width, O(N).

    The bins begin at K points, evenly spaced from the least to the largest survivor: the
    last one holds the largest alone, the others are K - 1 equal intervals (`linspace`,
    `digitize` and means, Khosrowshahli et al. 2025, arXiv 2501.03095). Empty bins take
    no place.

    Example:
        >>> import jax.numpy as jnp
        >>> w = jnp.asarray([0.0, 0.1, 0.2, 0.9, 1.0])
        >>> UniformBins()(w, jnp.asarray(3), jnp.ones(5, bool), 3).codes
        Array([0, 0, 0, 1, 2], dtype=int32)
    """

    def cells(
        self,
        weights: Float[Array, "..."],
        size: Int[Array, ""],
        kept: Bool[Array, "..."],
        max_size: int,
    ) -> tuple[Int[Array, "..."], Cells]:
        low, high = ends(weights, kept)
        steps = jnp.minimum(size, max_size) - 1
        of = place(weights, low, high, steps)
        width = (high - low) / jnp.maximum(steps, 1)
        edges = low + width * jnp.arange(max_size + 1)
        return of, Cells(*tally(weights, kept, of, edges[:-1]), edges)

    def groups(
        self, cells: Cells, size: Int[Array, ""], max_size: int
    ) -> tuple[Int[Array, " c"], Bool[Array, " k"]]:
        return jnp.arange(max_size), jnp.zeros(max_size, bool)
