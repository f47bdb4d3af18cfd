"""Crowding distance: how lonely a point is in its front.

Dimensions: n points, m objectives.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int


def crowding_distance(
    objectives: Float[Array, "n m"], ranks: Int[Array, " n"]
) -> Float[Array, " n"]:
    """The crowding distance of every point within its own front, all fronts at once.

    For each objective, the gap between a point's two neighbours in its front, over the
    range of the front; the two ends of the front get +inf; summed over objectives (Deb
    et al. 2002, section III-B). An objective that is constant on a front contributes 0
    there. A number that is not finite contributes 0 and is no one's neighbour. The
    result is never NaN.

    Args:
        objectives: float [n, m].
        ranks: int [n], points of equal rank are one front.

    Returns:
        float [n] in [0, +inf], larger is lonelier.

    Example:
        >>> points = jnp.array([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0]])
        >>> crowding_distance(points, jnp.zeros(3, jnp.int32))
        Array([inf,  2., inf], dtype=float32)
    """
    # One batched sort, for each sort of its own is compiled anew.
    return jnp.sum(jax.vmap(_one_objective, (1, None))(objectives, ranks), axis=0)


def _one_objective(
    values: Float[Array, " n"], ranks: Int[Array, " n"]
) -> Float[Array, " n"]:
    n = values.shape[0]
    order = jnp.lexsort((values, ranks))
    ordered, front = values[order], ranks[order]
    finite = jnp.isfinite(ordered)
    # Runs of finite values in one front; +-inf and NaN are runs of their own.
    linked = (front[1:] == front[:-1]) & finite[1:] & finite[:-1]
    edge = jnp.ones(1, bool)
    first, last = jnp.concatenate([edge, ~linked]), jnp.concatenate([~linked, edge])
    position = jnp.arange(n)
    start = lax.cummax(jnp.where(first, position, 0))
    end = lax.cummin(jnp.where(last, position, n - 1), reverse=True)
    # Halves, for the difference of two float32 numbers may overflow.
    half = jnp.where(finite, ordered, 0) * 0.5
    span = half[end] - half[start]
    gap = jnp.roll(half, -1) - jnp.roll(half, 1)
    distance = jnp.where(first | last, jnp.inf, gap / jnp.where(span > 0, span, 1))
    distance = jnp.where(span > 0, distance, 0)
    return jnp.zeros_like(values).at[order].set(distance)
