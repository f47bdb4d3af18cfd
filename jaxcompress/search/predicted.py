"""How many errors a network will have made, by those that are like it."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.distance import cdist
from scipy.stats import norm

from jaxcompress.search.one_thread import one_thread

LEAST = 8  # known networks, below which nothing is predicted
LEAST_SCALE = 1e-2  # of variances: networks that all err alike make nothing certain
# Standard deviations, over all networks, of the logarithm of errors to come a network made:
LEVEL = 0.2  # by how many it made, for each unit of their logarithm
EXAMPLES = 0.4  # by which ones
GENES = 0.3  # by its genes


class Prediction(NamedTuple):
    """Errors on all examples, of networks that were run on some.

    Attributes:
        made: errors so far.
        mean: of the logarithm of the errors to come (and half of one), which is normal.
        spread: its standard deviation; infinite where too few networks are known.
    """

    made: Int[np.ndarray, " p"]
    mean: Float[np.ndarray, " p"]
    spread: Float[np.ndarray, " p"]

    @property
    def errors(self) -> Float[np.ndarray, " p"]:
        """How many errors on all examples are expected (the median)."""
        return self.made + np.exp(self.mean) - 0.5

    def chance_below(self, others: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
        """Returns the chance that a network makes fewer errors than another.

        Args:
            others: errors of the other, whole numbers or infinite; more than were made.
        """
        # Below `others` by half an error, for errors are whole numbers.
        with np.errstate(invalid="ignore"):  # infinite by infinite
            chance = norm.cdf((np.log(others - self.made) - self.mean) / self.spread)
        return np.where(np.isinf(others) | np.isinf(self.spread), 1.0, chance)


@one_thread
def predicted(
    genotypes: Int[np.ndarray, "p genes"],
    wrong: Bool[np.ndarray, "p s"],
    known: Int[np.ndarray, "k genes"],
    known_wrong: Bool[np.ndarray, "k n"],
) -> Prediction:
    """Predicts errors on all examples from those on the first of them.

    A Gaussian process (Rasmussen and Williams, Gaussian Processes for Machine Learning,
    2006, chapter 2) over the networks that were run on all examples. The errors to come
    are those made, times a factor whose logarithm is alike for networks that made as many
    errors, made the same ones (the cosine of who was wrong where), or have the same genes
    (the share of them). The noise is that of a count, some of whose examples are sure. How
    far all this is off is measured: what each known network would have been told by the
    others (5.4.2) sets the scale of the spread. It is taken for granted that networks come
    from where the known ones do, which a race that keeps the better ones does not quite
    give.

    Args:
        genotypes: of P networks; wrong: where they erred among the first s examples.
        known: genotypes of K networks; known_wrong: where they erred among all examples.
    """
    seen, made = wrong.shape[1], wrong.sum(1)
    if len(known) < LEAST:
        return Prediction(made, np.log(made + 0.5), np.full(len(made), np.inf))
    theirs, total = known_wrong[:, :seen], known_wrong.sum(1)
    come = np.log(total - theirs.sum(1) + 0.5)
    level, their_level = np.log(made + 0.5), np.log(theirs.sum(1) + 0.5)
    centre, factor = their_level.mean(), (come - their_level).mean()

    between = _alike(theirs, theirs, known, known)
    between += LEVEL**2 * np.outer(their_level - centre, their_level - centre)
    towards = _alike(wrong, theirs, genotypes, known)
    towards += LEVEL**2 * np.outer(level - centre, their_level - centre)
    inverse = np.linalg.inv(between + np.diag(_noise(come)))
    weights = inverse @ (come - their_level - factor)
    own = np.diag(inverse)
    # Squared errors of the others' word, by those expected.
    scale = max(np.mean(weights**2 / own), LEAST_SCALE)

    mean = level + factor + towards @ weights
    prior = LEVEL**2 * (level - centre) ** 2 + EXAMPLES**2 + GENES**2 + _noise(mean)
    told = ((towards @ inverse) * towards).sum(1)
    spread = np.sqrt(scale * np.maximum(prior - told, _noise(mean)))
    return Prediction(made, mean, spread)


def _alike(
    wrong: Bool[np.ndarray, "p s"],
    theirs: Bool[np.ndarray, "k s"],
    genotypes: Int[np.ndarray, "p genes"],
    known: Int[np.ndarray, "k genes"],
) -> Float[np.ndarray, "p k"]:
    """Returns the covariance by examples and genes."""
    # Whole numbers below 2**24 are exact in float32, and products of it are fast.
    common = np.float64(wrong.astype(np.float32) @ theirs.astype(np.float32).T)
    sizes = np.outer(wrong.sum(1) + 0.5, theirs.sum(1) + 0.5)
    same = 1.0 - cdist(genotypes, known, "hamming")
    return EXAMPLES**2 * (common + 0.5) / np.sqrt(sizes) + GENES**2 * same


def _noise(logarithm: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Returns the variance of the logarithm of a count: its own, and of its rounding."""
    return 1e-4 + 0.3 * np.exp(-logarithm) + 0.25 * np.exp(-2.0 * logarithm)
