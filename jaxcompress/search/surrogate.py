"""What a genotype will be worth, by those that were evaluated."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.spatial.distance import cdist

from jaxcompress.evolution import GridLike

LENGTHS = (0.5, 1.0, 2.0, 4.0)  # times the square root of the number of columns
NOISES = (0.05, 0.1, 0.2, 0.4)  # deviations, of a quality whose own is 1


class Surrogate(NamedTuple):
    """The mean of a Gaussian process over genotypes.

    Attributes:
        points: of the K genotypes that are known, see `placed`.
        length: over which what is known of one tells of another.
        weights: of their values.
        centre: the mean value.
        left_out: float [K], what is expected of each known one by all others.
    """

    points: Float[np.ndarray, "k c"]
    length: float
    weights: Float[np.ndarray, " k"]
    centre: float
    left_out: Float[np.ndarray, " k"]

    def __call__(self, points: Float[np.ndarray, "n c"]) -> Float[np.ndarray, " n"]:
        """Returns the values that are expected at other points."""
        return self.centre + _alike(points, self.points, self.length) @ self.weights


def fitted(points: Float[np.ndarray, "k c"], values: Float[np.ndarray, " k"]) -> Surrogate:
    """Fits a Gaussian process with an exponential kernel of the city-block distance.

    Its length and its noise are those of a few that make the values most likely
    (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, 5.4.1); the
    most likely amplitude has a closed form.

    Args:
        points: at least 2, see `placed`; values: finite.
    """
    centre, count = float(values.mean()), len(values)
    spread = float(values.std()) or 1.0
    scaled, eye = (values - centre) / spread, np.eye(count)
    best = -np.inf
    chosen, told = (LENGTHS[-1], np.zeros(count)), None
    for length in (x * np.sqrt(points.shape[1]) for x in LENGTHS):
        alike = _alike(points, points, length)
        for noise in NOISES:
            try:
                factor = cho_factor(alike + noise**2 * eye, lower=True)
            except LinAlgError:
                continue
            weights = cho_solve(factor, scaled)
            fit = 0.5 * count * np.log(max(scaled @ weights, 1e-300))
            likelihood = -fit - np.log(np.diag(factor[0])).sum()
            if likelihood > best:
                best, chosen, told = likelihood, (length, spread * weights), factor
    left_out = np.full(count, centre)
    if told is not None:
        left_out = values - chosen[1] / np.diag(cho_solve(told, eye))
    return Surrogate(points, *chosen, centre, left_out)


def placed(
    genotypes: Int[np.ndarray, "n genes"], grid: GridLike
) -> Float[np.ndarray, "n c"]:
    """Returns genotypes as points: a gene's ends, or its unordered values, are 1 apart."""
    columns = []
    for gene, (size, ordered) in enumerate(
        zip(grid.cardinality, grid.ordered, strict=True)
    ):
        if ordered or size <= 2:
            columns.append(genotypes[:, gene] / max(size - 1, 1))
        else:
            columns += [0.5 * (genotypes[:, gene] == value) for value in range(size)]
    return np.stack(columns, 1).astype(np.float64)


def _alike(
    a: Float[np.ndarray, "n c"], b: Float[np.ndarray, "k c"], length: float
) -> Float[np.ndarray, "n k"]:
    return np.exp(-cdist(a, b, "cityblock") / length)
