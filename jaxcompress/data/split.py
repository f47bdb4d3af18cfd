"""A split: examples on the host; and how labelled ones are divided into splits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int, Int64


@dataclass(frozen=True, eq=False)
class Split:
    """Inputs and what is wanted for them, on the host.

    Attributes:
        inputs: [N, ...], in the native dtype and unit (images uint8 0..255 [N, H, W, C]
            for most, tokens int32 [N, T], measurements float32 [N, F]).
        targets: [N, ...]: class labels int32 [N], or whatever the loss compares with.

    Raises:
        ValueError: if there are no examples, the lengths differ or a number is not
            finite.

    Example:
        >>> Split(np.zeros((2, 8, 8, 1), np.uint8), np.array([0, 1], np.int32)).targets
        array([0, 1], dtype=int32)
    """

    # Without shapes in the annotations: the checks below answer with a message that
    # says how to mend it, and a run-time type checker would come before them.
    inputs: np.ndarray
    targets: np.ndarray

    def __post_init__(self) -> None:
        if self.inputs.ndim < 2 or self.inputs.size == 0:
            raise ValueError(
                f"inputs have shape {self.inputs.shape}: allowed is [N, ...] with two "
                "axes or more, none of them empty; add one with inputs[:, None]"
            )
        if self.targets.shape[:1] != self.inputs.shape[:1]:
            raise ValueError(
                f"targets have shape {self.targets.shape} for {len(self.inputs)} "
                "inputs: allowed are equal lengths; give one target per input"
            )
        for name, values in (("inputs", self.inputs), ("targets", self.targets)):
            if np.issubdtype(values.dtype, np.floating):
                bad = int(np.count_nonzero(~np.isfinite(values)))
                if bad:
                    raise ValueError(
                        f"{name} hold {bad} values that are NaN or infinite: allowed are "
                        "finite numbers; drop those examples or replace the values"
                    )
            elif not np.issubdtype(values.dtype, np.integer):
                raise ValueError(
                    f"{name} have dtype {values.dtype}: allowed are integers and floats; "
                    "convert them with astype"
                )

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[Any, Any]:
        """Returns input and target of one example."""
        return self.inputs[row], self.targets[row]

    @property
    def nbytes(self) -> int:
        """Bytes of the inputs."""
        return self.inputs.nbytes

    def some(self, count: int | None, seed: int) -> "Split":
        """Returns at most so many examples, drawn at random, in their order.

        Args:
            count: how many; None, or more than there are: all.
            seed: chooses them; the same on every machine.
        """
        if count is None or count >= len(self):
            return self
        rows = drawn(len(self), count, seed)
        return Split(self.inputs[rows], self.targets[rows])


def drawn(examples: int, count: int | None, seed: int) -> Int64[np.ndarray, " _"]:
    """Returns which of so many examples are drawn, ascending; see `Split.some`."""
    if count is None or count >= examples:
        return np.arange(examples)
    # RandomState, for its stream is frozen (NEP 19).
    return np.sort(np.random.RandomState(seed).permutation(examples)[:count])


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
