"""What each gene harms alone, as few examples tell."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxcompress.objectives import Error, Quality
from jaxcompress.search.evaluator import Evaluator
from jaxcompress.search.seeding import added, probes


class Alone(NamedTuple):
    """The errors of genotypes that differ from the dense one in one gene each.

    Attributes:
        genotypes: int32 [N, D], see `probes`.
        errors: float [N], the share of examples that are wrong; NaN where an output is
            not finite.
        examples: how many examples tell this.
    """

    genotypes: Int[np.ndarray, "n genes"]
    errors: Float[np.ndarray, " n"]
    examples: int

    def together(self, genotypes: Int[np.ndarray, "p genes"]) -> Float[np.ndarray, " p"]:
        """Returns the logarithm of the errors if what genes add alone added up.

        A choice between two that were tried adds what lies between. Above 1, the error
        of a network that is wrong everywhere, it still says which is worse.
        """
        dense, more = self.genotypes[0], added(self.errors)
        total = np.full(len(genotypes), self.errors[0] + 0.5 / self.examples)
        for gene, own in enumerate(self.genotypes.T):
            tried = np.flatnonzero(own != dense[gene])
            choices = np.append(own[tried], dense[gene])
            harm = np.append(np.maximum(more[tried], 0.0), 0.0)
            order = np.argsort(choices)
            total += np.interp(genotypes[:, gene], choices[order], harm[order])
        return np.log(total)


def tried_alone(evaluate: Evaluator, examples: int, levels: int) -> Alone:
    """Evaluates every gene alone on the first examples, at some heights.

    Args:
        evaluate: of `Error()` before any other quality.
        examples: at least 1, and as many more as fill a batch; levels: see `probes`.

    Raises:
        ValueError: another quality, several labels an example, not so many examples, or
            what `probes` refuses.
    """
    if not told_by_few(evaluate):
        raise ValueError(
            f"tried_alone: the objectives are {evaluate.names}, and an example has "
            f"{evaluate.labels} labels; it counts examples that are right or wrong, by "
            "Error('top1') of one label each, before any other quality"
        )
    if not 1 <= examples <= evaluate.examples:
        raise ValueError(
            f"tried_alone: examples is {examples}; allowed: 1..{evaluate.examples}"
        )
    rows = probes(evaluate.space, levels)
    told, wrong = evaluate.window(rows, 0, -(-examples // evaluate.batch_size))
    column = evaluate.objectives.index(Error())
    finite = np.isfinite(np.asarray(told.objectives)[:, column])
    # Outputs that are not finite are not counted as wrong.
    return Alone(rows, np.where(finite, wrong.mean(1), np.nan), wrong.shape[1])


def told_by_few(evaluate: Evaluator) -> bool:
    """Returns whether examples are right or wrong, so that few of them tell an error."""
    qualities = [o for o in evaluate.objectives if isinstance(o, Quality)]
    return evaluate.labels == 1 and qualities[:1] == [Error()]
