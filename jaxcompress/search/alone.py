"""What each gene harms alone: run on few examples, it tells much of a search."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxcompress.objectives import Error, Quality
from jaxcompress.search.evaluator import Evaluator
from jaxcompress.search.racing import Racing
from jaxcompress.search.seeding import harms, probes

HEIGHTS = (5, 4, 3)  # at how many a gene may be tried


class Alone(NamedTuple):
    """The errors of the dense genotype, and of others that differ from it in one gene.

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
        """Returns the logarithm of errors if what genes add alone added up.

        A choice between two that were tried adds what lies between; no gene helps. Also
        above 1, the error of a network that is always wrong, it says which is worse.

        Raises:
            ValueError: the dense network has no finite error.
        """
        dense, more = self.genotypes[0], np.maximum(harms(self.errors), 0.0)
        total = np.full(len(genotypes), self.errors[0] + 0.5 / self.examples)
        for gene, own in enumerate(self.genotypes.T):
            tried = np.append(0, np.flatnonzero(own != dense[gene]))
            order = tried[np.argsort(own[tried])]
            total += np.interp(genotypes[:, gene], own[order], more[order])
        return np.log(total)


def tried_alone(
    evaluate: Evaluator | Racing, examples: int = 64, levels: int = HEIGHTS[0]
) -> Alone:
    """Evaluates every gene alone on the first examples, at some heights.

    What a gene costs alone is plain long before an error is exact.

    Args:
        evaluate: of `Error()` before any other quality; of a `Racing` that was not used
            yet its evaluator is.
        examples: at least 1, and as many more as fill a batch; they should be of all
            classes.
        levels: see `probes`.

    Raises:
        ValueError: a `Racing` that was used, another quality, several labels an example,
            not so many examples, or what `probes` refuses.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxcompress as jc
        >>> from jaxcompress.search import tried_alone
        >>> network = jc.trace(lambda p, x: x @ p, jnp.eye(4), jnp.ones((2, 4)))
        >>> space = jc.Space(network, (jc.genes.WeightBits((1, 2, 4, 8)),))
        >>> given = {"inputs": jnp.eye(4), "targets": jnp.arange(4)}
        >>> evaluate = jc.Evaluator(network, space, (jc.objectives.Error(),), **given)
        >>> tried_alone(evaluate, examples=4).errors.tolist()
        [0.0, 0.75, 0.0, 0.0]
    """
    if isinstance(evaluate, Racing):
        if evaluate.used:
            raise ValueError(
                "tried_alone: this Racing has put the examples in order, so that the first "
                "are the hardest; give the Evaluator that it was made of"
            )
        evaluate = evaluate.evaluate
    if not right_or_wrong(evaluate):
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


def levels_alone(evaluate: Evaluator, examples: int, evaluations: int) -> int | None:
    """Returns at how many heights `tried_alone` may try each gene, if at any.

    Args:
        examples: see `tried_alone`; evaluations: on all examples, as many as it may take.
    """
    batches = -(-examples // evaluate.batch_size)
    each = min(batches * evaluate.batch_size, evaluate.examples) + evaluate.calibrated
    for levels in HEIGHTS:
        if len(probes(evaluate.space, levels)) * each <= evaluations * evaluate.work:
            return levels
    return None


def right_or_wrong(evaluate: Evaluator) -> bool:
    """Returns whether each example is right or wrong, so that few tell an error."""
    qualities = [o for o in evaluate.objectives if isinstance(o, Quality)]
    return evaluate.labels == 1 and qualities[:1] == [Error()]
