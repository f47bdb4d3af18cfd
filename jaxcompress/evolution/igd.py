"""Modified inverted generational distance: how far a known front is from a found one.

Dimensions: n points, r reference points, m objectives. Everything is minimised.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def igd_plus(
    objectives: Float[Array, "n m"], reference_front: Float[Array, "r _m"]
) -> Float[Array, ""]:
    """The mean distance from a reference front to what is found of it (IGD+).

    The distance from a reference point to a point counts only the objectives in which
    the point is worse, so a point that dominates is at distance 0 and, other than for
    IGD, a better front never has a worse value (Ishibuchi et al. 2015).

    Args:
        objectives: float [n, m]; rows may be dominated or equal. Rows that are not
            finite are infinitely far, so a masked front is passed with +inf elsewhere.
        reference_front: float [r, m], finite, r >= 1; the exact front or a sample.

    Returns:
        float [], in the unit of the objectives (scale them to be alike first); +inf
        when there is no finite point.

    Raises:
        ValueError: the reference front is empty or has other objectives.

    Example:
        >>> igd_plus(jnp.array([[0.0, 3.0]]), jnp.array([[0.0, 1.0], [1.0, 0.0]]))
        Array(2.5, dtype=float32)
    """
    if reference_front.shape[0] == 0 or reference_front.shape[1] != objectives.shape[1]:
        raise ValueError(
            f"igd_plus: objectives have shape {objectives.shape} and the reference "
            f"front {reference_front.shape}; they must be [n, m] and [r, m] with one "
            "reference point or more."
        )
    finite = jnp.isfinite(objectives).all(axis=1)
    squares = jnp.where(finite, 0.0, jnp.inf).astype(objectives.dtype)[:, None]
    # One objective at a time: the pairs are reduced as they are made, never an [n, r, m].
    for i in range(objectives.shape[1]):
        value = jnp.where(finite, objectives[:, i], 0)
        worse = jnp.maximum(value[:, None] - reference_front[None, :, i], 0)
        squares = squares + worse * worse
    nearest = jnp.min(squares, axis=0, initial=jnp.inf)
    return jnp.mean(jnp.sqrt(nearest))
