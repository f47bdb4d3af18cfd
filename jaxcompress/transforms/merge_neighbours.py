"""Neighbouring values of a codebook become one, as long as nothing is lost; on the host."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

MERGE_ORDERS = ("left_to_right", "centre_to_end")

# (table, at_least) -> how good a network is whose entries of code i have the value
# table[i]; whatever is below `at_least` may be returned as soon as it is known to be.
Score = Callable[[np.ndarray, float], float]


@dataclass(frozen=True, eq=False)
class Merged:
    """A codebook after merging.

    Attributes:
        codebook: the values that are left, ascending, float32 [m].
        places: for each old code the new one, int32 [k].
        score: of the merged codebook, not below that of the old one.
        evaluations: how often `score` was called.
    """

    codebook: Float[np.ndarray, " m"]
    places: Int[np.ndarray, " k"]
    score: float
    evaluations: int


def merge_neighbours(
    codebook: Float[np.ndarray, " k"],
    counts: Int[np.ndarray, " _"],
    score: Score,
    order: str = "left_to_right",
) -> Merged:
    """Deletes edges between neighbouring values while the score does not fall.

    The iterative merge of Khosrowshahli et al. 2025 (arXiv 2501.03095). A window has a
    left and a right edge; without either, the values on both sides become their common
    mean. The better of the two is accepted if it scores no less than what is there, and
    the window takes the next edge on this side; else the window moves on: to the next
    value ("left_to_right", from the first value on), or one edge further on both sides
    ("centre_to_end", from the middle value on). What was refused is not tried again
    before something was accepted.

    Args:
        codebook: ascending values that are all used, float32 [k].
        counts: how many entries have each value, positive.
        score: larger is better; see `Score`. Measure it on the whole validation set: on
            a part of it a merge that does harm may pass.
        order: one of `MERGE_ORDERS`.

    Raises:
        ValueError: the order is unknown, the codebook is empty or not ascending, a count
            is not positive, or the score of the codebook is not finite.

    Example:
        >>> import numpy as np
        >>> values = np.asarray([0.0, 0.1, 1.0], np.float32)
        >>> def score(table, at_least):
        ...     return float(table[2] - table[0] > 0.9)
        >>> merge_neighbours(values, np.asarray([1, 1, 2]), score).codebook
        array([0.05, 1.  ], dtype=float32)
    """
    _check(codebook, counts, order)
    k = len(codebook)
    counts = counts.astype(np.float64)
    sums = counts * codebook
    edges = list(range(1, k))  # edge i lies between the codes i - 1 and i

    def merged(edges: list[int]) -> tuple[np.ndarray, np.ndarray]:
        starts = [0, *edges]
        means = np.add.reduceat(sums, starts) / np.add.reduceat(counts, starts)
        places = np.searchsorted(edges, np.arange(k), side="right").astype(np.int32)
        return means.astype(np.float32), places

    evaluations = 1
    current = score(codebook, -np.inf)
    if not np.isfinite(current):
        raise ValueError(f"merge_neighbours: the codebook's score is {current}")
    left, right = (-1, 0) if order == "left_to_right" else (k // 2 - 1, k // 2)
    refused: set[int] = set()
    while 0 <= left < len(edges) or 0 <= right < len(edges):
        best, bar = None, current
        for i in (left, right):
            if not 0 <= i < len(edges) or edges[i] in refused:
                continue
            means, places = merged(edges[:i] + edges[i + 1 :])
            evaluations += 1
            found = score(means[places], bar)
            if found >= bar and (best is None or found > bar):
                best, bar = i, found
            refused.add(edges[i])
        if best is not None:
            current = bar
            refused = set()
            del edges[best]
            if best == left:
                left, right = left - 1, right - 1
        elif order == "left_to_right":
            left, right = right, right + 1
        else:
            left, right = left - 1, right + 1
    return Merged(*merged(edges), current, evaluations)


def _check(codebook: np.ndarray, counts: np.ndarray, order: str) -> None:
    if order not in MERGE_ORDERS:
        raise ValueError(f"merge_neighbours: order is {order!r}; allowed: {MERGE_ORDERS}")
    if not len(codebook) or not (np.diff(codebook) > 0).all():
        raise ValueError("merge_neighbours: codebook must be ascending, at least one value")
    if len(counts) != len(codebook) or not (counts > 0).all():
        raise ValueError(
            "merge_neighbours: counts must be positive, one for each value; leave out the "
            "places of the codebook that no entry has"
        )
