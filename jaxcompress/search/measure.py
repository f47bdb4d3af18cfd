"""One number for a front: its hypervolume, by a fixed rule."""

from dataclasses import dataclass

import moocore
import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Measure:
    """The hypervolume of some objectives against one fixed reference point.

    Attributes:
        columns: positions of the objectives that count.
        reference: the point that bounds the volume, in the (logged) unit of each.
        logged: positions in `columns` that are measured as log2.
    """

    columns: tuple[int, ...]
    reference: tuple[float, ...]
    logged: tuple[int, ...] = ()

    @classmethod
    def worst(cls, objectives: Float[np.ndarray, "n m"]) -> "Measure":
        """Returns a measure of all objectives against their worst finite values."""
        values = np.where(np.isfinite(objectives), objectives, -np.inf)
        return cls(tuple(range(values.shape[1])), tuple(values.max(0).tolist()))

    def __call__(self, objectives: Float[np.ndarray, "n m"]) -> float:
        """Returns the hypervolume of a front, exact; 0 for an empty one."""
        points = np.asarray(objectives, np.float64)[:, list(self.columns)]
        points = points[np.isfinite(points).all(1)]
        for place in self.logged:
            points[:, place] = np.log2(points[:, place])
        if not len(points):
            return 0.0
        return float(moocore.hypervolume(points, ref=np.asarray(self.reference)))

    def __str__(self) -> str:
        return f"reference point {self.reference}"
