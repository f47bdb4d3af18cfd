"""Racing: what is surely dominated is not run on all examples."""

from collections.abc import Sequence
from copy import copy
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree, UInt8

from jaxcompress.compress import Products
from jaxcompress.evolution import Evaluation
from jaxcompress.network import Network
from jaxcompress.objectives import Constraint, Cost, Error, Quality
from jaxcompress.processes import from_first
from jaxcompress.search.archive import Archive, non_dominated
from jaxcompress.search.evaluator import Evaluator, Source
from jaxcompress.search.predicted import LEAST, predicted
from jaxcompress.space import Space

STAGES = 8  # at most: halves and three quarters of the examples, and halves of these
RECENT = 512  # networks that predictions come from: the cube of it is their time


class Memory(NamedTuple):
    """What a race has learned; K genotypes were feasible and run on all examples.

    Attributes:
        order: int32 [N], the order of the examples; [0] before there is one.
        objectives: float32 [K, M]; also of what was learned from an archive.
        genotypes: int32 [R, D], of the last `RECENT` that this race ran.
        wrong: uint8 [R, N / 8], where they erred; a bit for each example, in order.
    """

    order: Int[np.ndarray, " n"]
    objectives: Float[np.ndarray, "k m"]
    genotypes: Int[np.ndarray, "r genes"]
    wrong: UInt8[np.ndarray, "r bytes"]


class Racing:
    """An evaluator that stops a genotype when it can no longer be non-dominated.

    Eight genotypes of the first call run on all examples, all others on growing subsets of
    them. After that call the examples are put in order, those that most of what was run in
    full got wrong first (but last those that the better ones got wrong more often, as
    happens with wrong labels). After each stage a candidate meets everything on the front
    of what was run in full that costs no more in any objective:

    - If it has made as many errors already as one of these on all examples, it is
      dominated, or no better, for certain, and stops.
    - Else its errors on all examples are predicted from everything that was run in full
      (see `predicted`). The candidate stops where the chance that they are fewer than the
      opponent's is below 1 - confidence.

    A stopped candidate is told the errors expected of it, but more than the opponent's: it
    stays dominated, so the front of a search holds only what was run in full. Where nothing
    is stopped, values are those of the evaluator, bit for bit.

    It learns from what it is asked, so every search needs one of its own.

    Attributes:
        confidence: of each stop that is not certain, in (0, 1).
        stages: the numbers of batches after which candidates meet, the last is all.
        forwards: how many examples were run so far, over all individuals, those of
            calibration included.
        memory: what it has learned, by which another process can `recall` it.

    Example:
        >>> racing = jc.Racing(jc.Evaluator(..., splits=16))  # doctest: +SKIP
        >>> result = jc.search(key, algorithm, racing, generations=50)  # doctest: +SKIP
        >>> racing.forwards, racing.saved  # doctest: +SKIP
    """

    def __init__(self, evaluate: Evaluator, confidence: float = 0.85) -> None:
        """Races by the evaluator's only quality, a top-1 error.

        Raises:
            ValueError: `evaluate` is no evaluator; another quality, or several; a quality
                is bounded; `confidence` outside (0, 1); or the examples are one batch.
        """
        if not isinstance(evaluate, Evaluator):
            got = type(evaluate).__name__
            raise ValueError(f"Racing: got a {got}; it races what an Evaluator evaluates")
        qualities = [o for o in evaluate.objectives if isinstance(o, Quality)]
        if len(qualities) != 1 or qualities[0] != Error():
            got = [f"{o.name} ({getattr(o, 'kind', '')})" for o in qualities]
            raise ValueError(
                f"Racing: the qualities are {got}; it needs one, Error('top1')"
            )
        bounds = [c for c in evaluate.constraints if isinstance(c.objective, Quality)]
        if bounds:
            name, limit = bounds[0].objective.name, bounds[0].limit
            raise ValueError(
                f"Racing: {name} <= {limit} is a bound on a quality, which no part of the "
                "examples tells; bound costs only, or search without racing"
            )
        if not 0 < confidence < 1:
            raise ValueError(f"Racing: confidence is {confidence}; allowed: 0 < it < 1")
        if evaluate.labels > 1:
            raise ValueError(
                f"Racing: an example has {evaluate.labels} labels; it counts examples that "
                "are right or wrong, so search without racing"
            )
        if evaluate.batches < 2:
            raise ValueError(
                "Racing: the examples are one batch; give the Evaluator splits=16"
            )
        # A copy with the same compiled program: the examples will be reordered.
        self._given, self.evaluate, self.confidence = evaluate, copy(evaluate), confidence
        count, quarters = evaluate.batches, 3 * evaluate.batches // 4
        ends = {whole >> k for whole in (count, quarters) for k in range(5)} - {0}
        stages = [count]
        for end in sorted(ends - {count}, reverse=True):
            # Each stage calibrates anew: it must run as many examples besides.
            if (stages[0] - end) * evaluate.batch_size >= evaluate.calibrated:
                stages.insert(0, end)
        self.stages = tuple(stages[-STAGES:])
        self._quality = evaluate.objectives.index(qualities[0])
        self.forwards = self._asked = 0
        self.memory = Memory(
            np.zeros(0, np.int32),
            np.zeros((0, len(evaluate.objectives)), np.float32),
            np.zeros((0, len(evaluate.space)), np.int32),
            np.zeros((0, -(-evaluate.examples // 8)), np.uint8),
        )

    @property
    def network(self) -> Network:
        """The evaluator's network."""
        return self.evaluate.network

    @property
    def space(self) -> Space:
        """The evaluator's space."""
        return self.evaluate.space

    @property
    def objectives(self) -> tuple[Cost | Quality, ...]:
        """The evaluator's objectives."""
        return self.evaluate.objectives

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The evaluator's constraints."""
        return self.evaluate.constraints

    @property
    def names(self) -> tuple[str, ...]:
        """The objectives' names."""
        return self.evaluate.names

    @property
    def saved(self) -> int:
        """How many examples were not run that would have been without racing."""
        return self._asked * self.work - self.forwards

    @property
    def examples(self) -> int:
        """How many examples there are."""
        return self.evaluate.examples

    @property
    def products(self) -> Products:
        """How the evaluator runs them."""
        return self.evaluate.products

    @property
    def source(self) -> Source:
        """What the evaluator measures with, its examples in the order as given."""
        return self._given.source

    @property
    def work(self) -> int:
        """How many examples an individual is run on, those of calibration included."""
        return self.evaluate.work

    @property
    def used(self) -> bool:
        """Whether it was asked for anything yet."""
        return self._asked > 0

    def costs(
        self, genotypes: Int[np.ndarray, "p genes"]
    ) -> tuple[Float[np.ndarray, "p m"], Float[np.ndarray, " p"]]:
        """Counts what genotypes cost, as the evaluator does."""
        return self.evaluate.costs(genotypes)

    def under(self, params: PyTree) -> "Racing":
        """Returns a race of other parameters, which has learned nothing yet."""
        return Racing(self._given.under(params), self.confidence)

    def __call__(self, genotypes: Int[Array | np.ndarray, "p genes"]) -> Evaluation:
        """Evaluates genotypes int32 [P, D], each as far as it may still be of use.

        Returns:
            Objectives float32 [P, M] and violation float32 [P]. Costs and violations are
            exact; the error of what was stopped is an estimate.
        """
        genotypes = np.asarray(genotypes, np.int32)
        self._asked += len(genotypes)
        if len(self.memory.order):
            return self._raced(genotypes, self.stages)[0]
        known, count = self._wrong(), len(genotypes)
        ahead = np.zeros(count, bool)
        # From everywhere: who calls may have sorted them.
        few = min(max(LEAST - len(known), 0), count)
        ahead[np.linspace(0, count - 1, few).astype(int)] = True
        first, wrong = self._raced(genotypes[ahead], self.stages[-1:])
        later, others = self._raced(genotypes[~ahead], self.stages)
        every = np.concatenate([known, wrong, others])
        if len(every) >= LEAST:
            # Sums in another order, on another kind of machine, would part the processes.
            order = from_first(partial(_telling_first, every))
            self.evaluate.reorder(order)
            bits = np.packbits(self._wrong()[:, order], axis=1)
            self.memory = self.memory._replace(order=order, wrong=bits)
        back = np.argsort(np.argsort(~ahead, kind="stable"))  # to where they came from
        return jax.tree.map(lambda *parts: np.concatenate(parts)[back], first, later)

    def _raced(
        self, genotypes: Int[np.ndarray, "p genes"], stages: Sequence[int]
    ) -> tuple[Evaluation, Bool[np.ndarray, "q n"]]:
        """Returns the evaluation, and where those that ran in full erred, if finite."""
        count, seen, begin = len(genotypes), 0, 0
        objectives = np.zeros((count, len(self.objectives)), np.float32)
        violation = np.zeros(count, np.float32)
        wrong = np.zeros((count, self.examples), bool)
        racing = np.arange(count)
        for end in stages:
            told, part = self.evaluate.window(genotypes[racing], begin, end)
            self.forwards += part.size + len(racing) * self.evaluate.calibrated
            wrong[racing, seen : seen + part.shape[1]] = part
            begin, seen = end, seen + part.shape[1]
            objectives[racing], violation[racing] = told.objectives, told.violation
            finite = np.isfinite(objectives[racing, self._quality])
            if end == self.evaluate.batches:
                error, stopped = wrong[racing].sum(1), np.zeros(len(racing), bool)
            else:
                costs = np.delete(objectives[racing], self._quality, 1)
                error, stopped = self._met(genotypes[racing], costs, wrong[racing, :seen])
                stopped |= ~finite | (violation[racing] > 0)
            share = error.astype(np.float32) / np.float32(self.examples)
            objectives[racing, self._quality] = np.where(finite, share, np.nan)
            racing = racing[~stopped]
        usable = racing[np.isfinite(objectives[racing]).all(1)]
        well = usable[violation[usable] <= 0]
        self._remember(genotypes[well], objectives[well], wrong[well])
        evaluation = Evaluation(objectives=objectives, violation=violation)  # type: ignore[arg-type]
        return evaluation, wrong[usable]

    def learn(self, archive: Archive) -> None:
        """Takes in what was evaluated on all examples before: nothing need be better."""
        usable = np.all(np.isfinite(archive.objectives), axis=1)
        usable &= archive.violation <= 0
        objectives = [self.memory.objectives, archive.objectives[usable]]
        self.memory = self.memory._replace(objectives=np.concatenate(objectives))

    def recall(self, memory: Memory) -> None:
        """Goes on from what another race over the same examples has learned."""
        self.evaluate, self.memory = copy(self._given), memory
        if len(memory.order):
            self.evaluate.reorder(memory.order)

    def _met(
        self,
        genotypes: Int[np.ndarray, "p genes"],
        costs: Float[np.ndarray, "p c"],
        wrong: Bool[np.ndarray, "p s"],
    ) -> tuple[Float[np.ndarray, " p"], Bool[np.ndarray, " p"]]:
        """Returns how many errors of all examples are expected, and who stops.

        Args:
            wrong: where they erred among the examples so far.
        """
        objectives = self.memory.objectives
        best = objectives[non_dominated(objectives)]
        total = np.rint(np.float64(best[:, self._quality]) * self.examples)
        others = np.delete(best, self._quality, 1)
        opposed = (others <= costs[:, None]).all(-1)
        lowest = np.where(opposed, total, np.inf).min(1, initial=np.inf)
        made, known, errors = wrong.sum(1), self.memory.genotypes, self._wrong()
        prediction = from_first(partial(predicted, genotypes, wrong, known, errors))
        stopped = made >= lowest
        reachable = np.where(stopped, np.inf, lowest)
        stopped |= prediction.chance_below(reachable) < 1 - self.confidence
        most = made + self.examples - wrong.shape[1]
        more = np.where(stopped, lowest + 0.5, 0.0)
        return np.maximum(np.clip(prediction.errors, made, most), more), stopped

    def _wrong(self) -> Bool[np.ndarray, "r n"]:
        """Returns where the last networks erred."""
        return np.unpackbits(self.memory.wrong, axis=1, count=self.examples).view(bool)

    def _remember(
        self,
        genotypes: Int[np.ndarray, "p genes"],
        objectives: Float[np.ndarray, "p m"],
        wrong: Bool[np.ndarray, "p n"],
    ) -> None:
        known, bits = self.memory, np.packbits(wrong, axis=1)
        self.memory = known._replace(
            objectives=np.concatenate([known.objectives, objectives]),
            genotypes=np.concatenate([known.genotypes, genotypes])[-RECENT:],
            wrong=np.concatenate([known.wrong, bits])[-RECENT:],
        )


def _telling_first(wrong: Bool[np.ndarray, "p n"]) -> Int[np.ndarray, " n"]:
    """Returns the order of the examples: hard ones that tell good from bad first."""
    share, errors = wrong.mean(0), wrong.sum(1)
    telling = (errors - errors.mean()) @ (wrong - share) > 0
    order = np.argsort(-np.where(telling, share, share - 1), kind="stable")
    return order.astype(np.int32)
