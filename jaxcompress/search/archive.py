"""Everything that was evaluated, on the host: no genotype is run twice."""

from collections.abc import Callable

import moocore
import numpy as np
from jaxtyping import Bool, Float, Int

Canonical = Callable[[np.ndarray], np.ndarray]


class Archive:
    """An append-only log of evaluated genotypes.

    Genotypes that mean the same network are one: only their canonical form is kept.

    The arrays grow by doubling and the front is kept up to date with what is added, so
    that a long search does not slow down.

    Attributes:
        genes: D; width: M.
        canonical: rows of genotypes to the rows that stand for them; None: each stands
            for itself.
        genotypes: int32 [N, D], unique; objectives: float32 [N, M]; violation: float32
            [N] (0: feasible). Read-only views of what is known so far.
    """

    def __init__(self, genes: int, width: int, canonical: Canonical | None = None) -> None:
        self.genes, self.width = genes, width
        self._canonical: Canonical = canonical or (lambda rows: rows)
        self._rows: dict[bytes, int] = {}
        self._genotypes = np.zeros((0, genes), np.int32)
        self._objectives = np.zeros((0, width), np.float32)
        self._violation = np.zeros(0, np.float32)
        self._front = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def genotypes(self) -> Int[np.ndarray, "n genes"]:
        return _view(self._genotypes, len(self))

    @property
    def objectives(self) -> Float[np.ndarray, "n m"]:
        return _view(self._objectives, len(self))

    @property
    def violation(self) -> Float[np.ndarray, " n"]:
        return _view(self._violation, len(self))

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """What `add` takes, by name."""
        names = ("genotypes", "objectives", "violation")
        return {name: getattr(self, name) for name in names}

    def unknown(self, genotypes: Int[np.ndarray, "p genes"]) -> Int[np.ndarray, "q genes"]:
        """Returns, in canonical form, the rows that were never evaluated, each once."""
        rows = self._canonical(genotypes)
        new = {g.tobytes(): g for g in rows if g.tobytes() not in self._rows}
        return np.asarray(list(new.values()), np.int32).reshape(-1, self.genes)

    def add(
        self,
        genotypes: Int[np.ndarray, "p genes"],
        objectives: Float[np.ndarray, "p m"],
        violation: Float[np.ndarray, " p"],
    ) -> None:
        """Appends evaluated genotypes out of `unknown`."""
        start = len(self)
        new = {g.tobytes(): start + i for i, g in enumerate(genotypes)}
        if len(new) < len(genotypes) or not self._rows.keys().isdisjoint(new):
            raise ValueError("Archive.add: some genotype is known, or comes twice")
        self._rows |= new
        self._genotypes = _grown(self._genotypes, start, genotypes)
        self._objectives = _grown(self._objectives, start, objectives)
        self._violation = _grown(self._violation, start, violation)
        usable = np.isfinite(objectives).all(1) & (violation <= 0)
        rows = np.concatenate([self._front, start + np.flatnonzero(usable)])
        if rows.size:
            self._front = rows[non_dominated(self._objectives[rows])]

    def lookup(
        self, genotypes: Int[np.ndarray, "p genes"]
    ) -> tuple[Float[np.ndarray, "p m"], Float[np.ndarray, " p"]]:
        """Returns objectives and violation of genotypes that were evaluated."""
        rows = [self._rows[g.tobytes()] for g in self._canonical(genotypes)]
        return self.objectives[rows], self.violation[rows]

    def front(self) -> Int[np.ndarray, " f"]:
        """Returns the rows of the feasible, finite, non-dominated genotypes."""
        return self._front.copy()


def _view(array: np.ndarray, count: int) -> np.ndarray:
    view = array[:count]
    view.flags.writeable = False
    return view


def _grown(array: np.ndarray, count: int, rows: np.ndarray) -> np.ndarray:
    """Returns the array with rows after its first `count`, twice as long if full."""
    total = count + len(rows)
    if total > len(array):
        longer = np.zeros((max(total, 2 * len(array)), *array.shape[1:]), array.dtype)
        longer[:count] = array[:count]
        array = longer
    array[count:total] = rows
    return array


def non_dominated(objectives: Float[np.ndarray, "n m"]) -> Bool[np.ndarray, " n"]:
    """Returns which points no other point dominates; of equal points the first."""
    return moocore.is_nondominated(np.asarray(objectives, np.float64))
