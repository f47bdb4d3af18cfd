"""How many errors a network will have made, by those that were as good so far."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import cdist
from scipy.stats import t as student

ALIKE = 16  # networks that a prediction comes from
LEAST = 8  # below which there is none


class Prediction(NamedTuple):
    """Errors on all examples, of networks that were run on some.

    Those to come, as multiples of those made, follow Student's t in their logarithms.

    Attributes:
        made: errors so far, and half of one.
        ratio: logarithm of (errors to come + 1/2) / made, as expected.
        spread: the standard deviation of a new network's about that; infinite where too
            few networks are known.
        freedom: degrees of freedom.
    """

    made: Float[np.ndarray, " p"]
    ratio: Float[np.ndarray, " p"]
    spread: Float[np.ndarray, " p"]
    freedom: int

    @property
    def errors(self) -> Float[np.ndarray, " p"]:
        """How many errors on all examples are expected (the median)."""
        return self.made + self.made * np.exp(self.ratio) - 1.0

    def chance_below(self, others: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
        """Returns the chance that a network makes fewer errors than another.

        Args:
            others: errors of the other, whole numbers or infinite; more than were made.
        """
        # Below `others` by half an error, for errors are whole numbers.
        ratio = np.log((others + 0.5 - self.made) / self.made)
        with np.errstate(invalid="ignore"):  # infinite by infinite
            chance = student.cdf((ratio - self.ratio) / self.spread, self.freedom)
        return np.where(np.isinf(others) | np.isinf(self.spread), 1.0, chance)


def predicted(
    seen: Int[np.ndarray, "p s"], known: Int[np.ndarray, "k stages"]
) -> Prediction:
    """Predicts errors on all examples from those on the first of them.

    The errors to come, as a multiple of those made, are those of the `ALIKE` known
    networks that were the most alike so far: by the square roots of the errors from one
    stage to the next, which spread about alike however many these are. What is expected
    and how far it is off is measured on them; no law of single errors is taken for
    granted, for the examples of a data set are neither alike nor independent. It is taken
    for granted that the networks come from where the known ones do, which a race that
    keeps the better ones does not quite give.

    Args:
        seen: errors after each of the first s stages, of P networks.
        known: errors after each stage, of K networks that were run on all examples; the
            last stage is all of them.
    """
    stage, made = seen.shape[1] - 1, seen[:, -1] + 0.5
    if len(known) < LEAST:
        return Prediction(made, np.zeros(len(seen)), np.full(len(seen), np.inf), 1)

    def roots(errors: Int[np.ndarray, "n s"]) -> Float[np.ndarray, "n s"]:
        return np.sqrt(np.diff(errors, axis=1, prepend=0))

    apart = cdist(roots(seen), roots(known[:, : stage + 1]), "sqeuclidean")
    count = min(ALIKE, len(known))
    near = np.argsort(apart, axis=1, kind="stable")[:, :count]
    theirs, total = known[near, stage] + 0.5, known[near, -1] + 0.5
    ratios = np.log((total - theirs + 0.5) / theirs)
    ratio = ratios.mean(axis=1)
    # A count is a rounded number: no spread is below that of half an error.
    half = 0.5 / (made * np.exp(ratio))
    spread = np.hypot(ratios.std(axis=1, ddof=1), half) * np.sqrt(1 + 1 / count)
    return Prediction(made, ratio, spread, count - 1)
