"""Everything that was evaluated, on the host: no genotype is run twice."""

from dataclasses import dataclass, field

import moocore
import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(eq=False)
class Archive:
    """An append-only log of evaluated genotypes.

    Attributes:
        genotypes: int32 [N, D], unique; objectives: float32 [N, M]; violation: float32
            [N] (0: feasible).
    """

    genes: int
    width: int
    _rows: dict[bytes, int] = field(default_factory=dict)
    _genotypes: list[np.ndarray] = field(default_factory=list)
    _objectives: list[np.ndarray] = field(default_factory=list)
    _violation: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def genotypes(self) -> Int[np.ndarray, "n genes"]:
        return np.asarray(self._genotypes, np.int32).reshape(-1, self.genes)

    @property
    def objectives(self) -> Float[np.ndarray, "n m"]:
        return np.asarray(self._objectives, np.float32).reshape(-1, self.width)

    @property
    def violation(self) -> Float[np.ndarray, " n"]:
        return np.asarray(self._violation, np.float32)

    def unknown(self, genotypes: Int[np.ndarray, "p genes"]) -> Int[np.ndarray, "q genes"]:
        """Returns the rows that were never evaluated, each once."""
        new = {g.tobytes(): g for g in genotypes if g.tobytes() not in self._rows}
        return np.asarray(list(new.values()), np.int32).reshape(-1, self.genes)

    def add(
        self,
        genotypes: Int[np.ndarray, "p genes"],
        objectives: Float[np.ndarray, "p m"],
        violation: Float[np.ndarray, " p"],
    ) -> None:
        """Appends evaluated genotypes."""
        for genotype, values, excess in zip(genotypes, objectives, violation, strict=True):
            self._rows[genotype.tobytes()] = len(self._rows)
            self._genotypes.append(genotype)
            self._objectives.append(values)
            self._violation.append(float(excess))

    def lookup(
        self, genotypes: Int[np.ndarray, "p genes"]
    ) -> tuple[Float[np.ndarray, "p m"], Float[np.ndarray, " p"]]:
        """Returns objectives and violation of genotypes that were evaluated."""
        rows = [self._rows[g.tobytes()] for g in genotypes]
        return self.objectives[rows], self.violation[rows]

    def front(self) -> Int[np.ndarray, " f"]:
        """Returns the rows of the feasible, finite, non-dominated genotypes."""
        objectives = self.objectives.astype(np.float64)
        usable = np.isfinite(objectives).all(1) & (self.violation <= 0)
        rows = np.flatnonzero(usable)
        if not rows.size:
            return rows
        return rows[non_dominated(objectives[rows])]


def non_dominated(objectives: Float[np.ndarray, "n m"]) -> Bool[np.ndarray, " n"]:
    """Returns which points no other point dominates; of equal points the first."""
    return moocore.is_nondominated(np.asarray(objectives, np.float64))
