"""Directions in the space of objectives: evenly spread weights that sum to 1.

All of this is static: NumPy arrays, made once, before anything is compiled.

Dimensions: r directions, m objectives.
"""

from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Array, Float
from scipy.spatial import KDTree


def das_dennis(
    num_objectives: int, partitions: int, inner: int | None = None
) -> Float[np.ndarray, "r m"]:
    """All weights that are multiples of 1 / partitions (Das and Dennis 1998).

    Args:
        num_objectives: m.
        partitions: h, parts into which each axis is cut; there are
            binomial(h + m - 1, m - 1) directions.
        inner: parts of a second layer, halfway between the first and the centre (Deb
            and Jain 2014); for many objectives, where one layer has all its points on
            the boundary. None for one layer.

    Returns:
        float64 [r, m], rows sum to 1.

    Raises:
        ValueError: a number is too small.

    Example:
        >>> das_dennis(2, 2)
        array([[0. , 1. ],
               [0.5, 0.5],
               [1. , 0. ]])
    """
    for name, value in (
        ("num_objectives", num_objectives),
        ("partitions", partitions),
        ("inner", 1 if inner is None else inner),
    ):
        if value < 1:
            raise ValueError(f"das_dennis: {name} is {value}; it must be 1 or more.")
    layer = _lattice(num_objectives, partitions)
    if inner is None:
        return layer
    return np.concatenate([layer, 0.5 * (_lattice(num_objectives, inner) + layer.mean(0))])


def spread(num_objectives: int, count: int) -> Float[np.ndarray, "r m"]:
    """Exactly `count` well spread directions, for any count.

    The largest Das-Dennis layer that is not too large, filled up from a finer one by
    always taking the direction that is farthest from those there are.

    Args:
        num_objectives: m.
        count: r, at least m.

    Returns:
        float64 [count, m], rows sum to 1; the m axes are among them.

    Raises:
        ValueError: there are fewer directions than axes.

    Example:
        >>> spread(3, 91).shape
        (91, 3)
    """
    m = num_objectives
    if count < m:
        raise ValueError(
            f"spread: {count} directions cannot reach the ends of {m} objectives; ask for "
            f"{m} or more (a larger population)."
        )
    if m == 1:
        return np.ones((count, 1))
    partitions = 1
    while comb(partitions + m, m - 1) <= count:
        partitions += 1
    chosen = _lattice(m, partitions)
    finer = _lattice(m, partitions + 1)
    distance = KDTree(chosen).query(finer)[0]
    while len(chosen) < count:
        farthest = finer[int(np.argmax(distance))]
        chosen = np.concatenate([chosen, farthest[None]])
        distance = np.minimum(distance, np.linalg.norm(finer - farthest, axis=1))
    return chosen


def checked_directions(
    name: str, directions: Array | np.ndarray, num_objectives: int
) -> Float[np.ndarray, "r m"]:
    """Returns given directions scaled to sum 1.

    Args:
        name: of the caller, for messages.
        directions: real [r, m], not negative, no row all 0.
        num_objectives: m.

    Raises:
        ValueError: shape or values are wrong.
    """
    rows = np.asarray(directions, np.float64)
    if rows.ndim != 2 or rows.shape[1] != num_objectives or not len(rows):
        raise ValueError(
            f"{name}: directions have shape {rows.shape}; they must be "
            f"[r, {num_objectives}]: one weight for each objective."
        )
    good = np.isfinite(rows).all(1) & (rows >= 0).all(1) & (rows > 0).any(1)
    if not good.all():
        wrong = int(np.flatnonzero(~good)[0])
        raise ValueError(
            f"{name}: directions[{wrong}] is {rows[wrong].tolist()}; weights must be "
            "finite, not negative, and not all 0."
        )
    return rows / rows.sum(1, keepdims=True)


def _lattice(m: int, partitions: int) -> Float[np.ndarray, "r m"]:
    # Stars and bars: m - 1 bars among partitions + m - 1 places.
    places = partitions + m - 1
    chosen = list(combinations(range(places), m - 1))
    bars = np.array(chosen, int).reshape(len(chosen), m - 1)
    edges = np.pad(bars, ((0, 0), (1, 0)), constant_values=-1)
    edges = np.concatenate([edges, np.full((len(bars), 1), places)], axis=1)
    return (np.diff(edges, axis=1) - 1) / partitions
