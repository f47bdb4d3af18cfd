"""Hypervolume: how much of the space below a reference point a set dominates, and how
much of that each of its points alone.

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
    n, m = _checked("hypervolume", objectives)
    if n == 0:
        return jnp.zeros((), objectives.dtype)
    # The box from a point to the reference; what does not count is an empty box.
    boxes = reference[None, :] - _inside(objectives, reference)
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


def hypervolume_contributions(
    objectives: Float[Array, "n m"], reference: Float[Array, " m"]
) -> Float[Array, " n"]:
    """What the hypervolume would lose without each single point, on device.

    The second objective is kept as two staircases over the first: the best there is and
    the second best. The area between them is what the holder of the best has for itself
    (as in the dimension sweep of Guerreiro and Fonseca 2018), swept along the third
    objective if there is one. O(n log n) for two objectives, O(n²) with O(n) memory for
    three.

    Args:
        objectives: float [n, m], m <= 3; rows may be dominated or equal.
        reference: float [m].

    Returns:
        float [n], 0 for dominated points and for each of several equal ones.

    Raises:
        ValueError: there are more than three objectives.

    Example:
        >>> points = jnp.array([[0.0, 0.5], [0.5, 0.0], [0.5, 0.5]])
        >>> hypervolume_contributions(points, jnp.ones(2))
        Array([0.25, 0.25, 0.  ], dtype=float32)
    """
    n, m = _checked("hypervolume_contributions", objectives)
    if n == 0:
        return jnp.zeros(0, objectives.dtype)
    points = _inside(objectives, reference)
    if m == 1:  # the same as two objectives, one of which is constant
        points = jnp.concatenate([jnp.zeros_like(points), points], axis=1)
        reference = jnp.concatenate([jnp.ones_like(reference), reference])
    start = jnp.argsort(points[:, 0])
    first = points[start, 0]
    cells = jnp.diff(first, append=reference[:1])
    if m <= 2:
        heights = points[start, 1]
        top = lax.cummin(jnp.minimum(heights, reference[1]))
        before = jnp.concatenate([reference[1:2], top[:-1]])
        wins = heights < before
        second = lax.cummin(jnp.maximum(heights, before))
        holder = lax.cummax(jnp.where(wins, jnp.arange(n), 0))
        alone = jnp.zeros(n, first.dtype).at[holder].add(cells * (second - top))
        return jnp.zeros_like(alone).at[start].set(alone)
    sweep = jnp.argsort(points[:, 2])
    slabs = jnp.diff(points[sweep, 2], append=reference[2:])

    def add(carry, point):
        top, second, holder, alone = carry
        place, left, height, slab = point
        height = jnp.where(first >= left, height, reference[1])
        wins = height < top
        second = jnp.where(wins, top, jnp.minimum(second, height))
        top, holder = jnp.minimum(top, height), jnp.where(wins, place, holder)
        alone = alone.at[holder].add(cells * (second - top) * slab)
        return (top, second, holder, alone), None

    flat = jnp.full(n, reference[1])
    nobody, nothing = jnp.zeros(n, sweep.dtype), jnp.zeros(n, first.dtype)
    swept = (sweep, points[sweep, 0], points[sweep, 1], slabs)
    (_, _, _, alone), _ = lax.scan(add, (flat, flat, nobody, nothing), swept)
    return alone


def _checked(name: str, objectives: Float[Array, "n m"]) -> tuple[int, int]:
    n, m = objectives.shape
    if m > 3:
        raise ValueError(
            f"{name}: got {m} objectives; at most 3 are computed on device: use "
            f"{name}_host, which takes any number."
        )
    return n, m


def _inside(
    objectives: Float[Array, "n m"], reference: Float[Array, " m"]
) -> Float[Array, "n m"]:
    """The points, with the reference in place of those that do not beat it."""
    beats = jnp.isfinite(objectives) & (objectives < reference[None, :])
    return jnp.where(beats.all(axis=1)[:, None], objectives, reference[None, :])


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
    points, corner, inside = _on_host("hypervolume_host", objectives, reference)
    if not inside.any():
        return 0.0
    return float(moocore.hypervolume(points[inside], ref=corner))


def hypervolume_contributions_host(
    objectives: np.ndarray, reference: np.ndarray
) -> Float[np.ndarray, " n"]:
    """What the hypervolume would lose without each single point, on the host (moocore).

    Args:
        objectives: as for `hypervolume_host`.
        reference: real [m].

    Returns:
        float64 [n], 0 for dominated points and for each of several equal ones.

    Raises:
        ValueError: the shapes do not fit each other.

    Example:
        >>> points = np.array([[0.0, 0, 0, 1], [1, 0, 0, 0], [1, 0, 0, 1]])
        >>> hypervolume_contributions_host(points, np.full(4, 2.0))
        array([4., 4., 0.])
    """
    points, corner, inside = _on_host(
        "hypervolume_contributions_host", objectives, reference
    )
    alone = np.zeros(len(points))
    if points.shape[1] == 1:  # the same as two objectives, one of which is constant
        points, corner = np.insert(points, 0, 0, axis=1), np.insert(corner, 0, 1)
    if inside.any():
        alone[inside] = moocore.hv_contributions(
            points[inside], ref=corner, ignore_dominated=False
        )
    return alone


def _on_host(
    name: str, objectives: np.ndarray, reference: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns points and reference in float64, and which points beat the reference."""
    points = np.asarray(objectives, np.float64)
    corner = np.asarray(reference, np.float64)
    if points.ndim != 2 or corner.shape != points.shape[1:]:
        raise ValueError(
            f"{name}: objectives have shape {points.shape} and the reference "
            f"{corner.shape}; they must be [n, m] and [m]: one reference number for "
            "each objective."
        )
    inside = np.all(np.isfinite(points) & (points < corner), axis=1)
    return points, corner, inside
