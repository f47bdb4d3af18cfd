"""Stratified splitting of labelled examples."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Int64


def stratified_split(
    targets: Int[np.ndarray, " n"], fractions: Sequence[float], seed: int
) -> tuple[Int64[np.ndarray, " _"], ...]:
    """Divides example indices into parts that all have the same class balance.

    Every class is cut on its own, so a part holds within one example of
    `fraction * (examples of the class)` of each class.

    Args:
        targets: int [N], one class label per example.
        fractions: the share of each part, positive, sum 1.
        seed: chooses the examples; the same seed gives the same parts on every
            machine and with every NumPy version.

    Returns:
        One int64 array of ascending indices per fraction; together they hold every
        index in 0..N-1 exactly once.

    Raises:
        ValueError: if the fractions are not positive with sum 1, or a class has too
            few examples to appear in every part.

    Example:
        >>> targets = np.array([0, 1] * 5)
        >>> train, test = stratified_split(targets, (0.8, 0.2), seed=0)
        >>> len(train), sorted(targets[test].tolist())
        (8, [0, 1])
    """
    if min(fractions, default=0.0) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(
            f"fractions = {tuple(fractions)}: allowed are positive numbers with sum 1; "
            "for 60/20/20 give (0.6, 0.2, 0.2)"
        )
    # RandomState and not default_rng: only its stream is frozen (NEP 19), and the test
    # split must not change when NumPy is updated.
    random = np.random.RandomState(seed)
    inner_cuts = np.cumsum(fractions)[:-1]
    parts: list[list[np.ndarray]] = [[] for _ in fractions]
    for label in np.unique(targets):
        members = random.permutation(np.flatnonzero(targets == label))
        # The tolerance makes a cut at exactly one half round up, whatever float error
        # the cumulative sum has picked up.
        cuts = np.floor(inner_cuts * len(members) + 0.5 + 1e-9).astype(np.int64)
        for part, indices in zip(parts, np.split(members, cuts), strict=True):
            if not len(indices):
                raise ValueError(
                    f"class {label} has {len(members)} examples, too few to appear in "
                    f"every part of fractions = {tuple(fractions)}; give more "
                    "examples of it or larger fractions"
                )
            part.append(indices)
    return tuple(np.sort(np.concatenate(part)) for part in parts)
