"""Hypervolume: how much of the space below a reference point a set dominates.

Dimensions: n points, m objectives. Everything is minimised. Points that do not beat the
reference in every objective, or are not finite, contribute nothing, so a masked front
is passed with +inf in the rows that do not belong to it.
"""

import jax.numpy as jnp
import moocore
import numpy as np
from jax import lax
from jaxtyping import Array, Float


def hypervolume(
    objectives: Float[Array, "n m"], reference: Float[Array, " m"]
) -> Float[Array, ""]:
    """The exact hypervolume of up to three objectives, on device.

    A sort for two objectives, O(n log n); a sweep along the third with a staircase of
    the other two for three objectives, O(n²) with O(n) memory.

    Args:
        objectives: float [n, m], m <= 3; rows may be dominated or equal.
        reference: float [m], the same for all curves that are to be compared.

    Returns:
        float [], in the product of the units of the objectives.

    Raises:
        ValueError: there are more than three objectives.

    Example:
        >>> hypervolume(jnp.array([[0.0, 0.5], [0.5, 0.0]]), jnp.ones(2))
        Array(0.75, dtype=float32)
    """
    n, m = objectives.shape
    if m > 3:
        raise ValueError(
            f"hypervolume: got {m} objectives; at most 3 are computed on device: use "
            "hypervolume_host, which takes any number."
        )
    if n == 0:
        return jnp.zeros((), objectives.dtype)
    beats = jnp.isfinite(objectives) & (objectives < reference[None, :])
    inside = beats.all(axis=1)[:, None]
    # The box from a point to the reference; what does not count is an empty box. The
    # inner where keeps inf - inf out of the arithmetic.
    boxes = jnp.where(inside, reference[None, :] - jnp.where(beats, objectives, 0), 0)
    if m == 1:
        return jnp.max(boxes)
    order = jnp.argsort(boxes[:, 0])
    width, height = boxes[order, 0], boxes[order, 1]
    cells = jnp.diff(width, prepend=jnp.zeros(1, width.dtype))
    if m == 2:
        return jnp.sum(cells * lax.cummax(height, reverse=True))
    by_depth = jnp.argsort(-boxes[:, 2])
    depth = boxes[by_depth, 2]
    slabs = depth - jnp.concatenate([depth[1:], jnp.zeros(1, depth.dtype)])

    def add(staircase, box):
        box_width, box_height, slab = box
        covered = jnp.where(width <= box_width, box_height, 0)
        staircase = jnp.maximum(staircase, covered)
        return staircase, jnp.sum(cells * staircase) * slab

    sweep = (boxes[by_depth, 0], boxes[by_depth, 1], slabs)
    _, volumes = lax.scan(add, jnp.zeros_like(cells), sweep)
    return jnp.sum(volumes)


def hypervolume_host(objectives: np.ndarray, reference: np.ndarray) -> float:
    """The exact hypervolume of any number of objectives, on the host (moocore).

    Args:
        objectives: real [n, m], a NumPy array or anything that becomes one; rows may be
            dominated, equal or not finite.
        reference: real [m].

    Returns:
        The hypervolume in float64; 0 when no point beats the reference.

    Raises:
        ValueError: the shapes do not fit each other.

    Example:
        >>> hypervolume_host(np.zeros((1, 4)), np.full(4, 2.0))
        16.0
    """
    points = np.asarray(objectives, np.float64)
    corner = np.asarray(reference, np.float64)
    if points.ndim != 2 or corner.shape != points.shape[1:]:
        raise ValueError(
            f"hypervolume_host: objectives have shape {points.shape} and the reference "
            f"{corner.shape}; they must be [n, m] and [m]: one reference number for "
            "each objective."
        )
    inside = np.isfinite(points).all(axis=1) & (points < corner).all(axis=1)
    if not inside.any():
        return 0.0
    return float(moocore.hypervolume(points[inside], ref=corner))
