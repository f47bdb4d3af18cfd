"""Many objectives as one number: by weighted sum, Tchebycheff, boundary intersection.

All take objectives counted from the ideal point, better in comparable units, and give a
value to minimise. Dimensions: m objectives.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

Values = Float[Array, "*#batch m"]


def weighted_sum(objectives: Values, weights: Values) -> Float[Array, "*#batch"]:
    """The sum of weight times objective; finds convex parts of a front only."""
    return jnp.sum(objectives * weights, axis=-1)


def tchebycheff(objectives: Values, weights: Values) -> Float[Array, "*#batch"]:
    """The largest weight times objective (Zhang and Li 2007, equation 5).

    A weight of 0 counts as 1e-6, so that of points equal in the others the better wins.

    Example:
        >>> tchebycheff(jnp.array([1.0, 3.0]), jnp.array([0.5, 0.25]))
        Array(0.75, dtype=float32)
    """
    return jnp.max(objectives * jnp.maximum(weights, 1e-6), axis=-1)


def boundary_intersection(
    objectives: Values, weights: Values, penalty: float = 5.0
) -> Float[Array, "*#batch"]:
    """The way along the weight vector, plus `penalty` times the distance from it.

    Penalty-based boundary intersection, PBI (Zhang and Li 2007, equation 7).
    """
    length = jnp.linalg.norm(weights, axis=-1, keepdims=True)
    unit = weights / length
    along = jnp.sum(objectives * unit, axis=-1, keepdims=True)
    away = jnp.linalg.norm(objectives - along * unit, axis=-1)
    return along[..., 0] + penalty * away
