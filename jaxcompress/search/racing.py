"""Racing: what is surely dominated is not run on all examples."""

import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.stats import binom

from jaxcompress.evolution import Evaluation
from jaxcompress.network import Network
from jaxcompress.objectives import Constraint, Cost, Error, Quality
from jaxcompress.search.archive import non_dominated
from jaxcompress.search.evaluator import Evaluator
from jaxcompress.space import Space


class Racing:
    """An evaluator that stops a genotype as soon as it is surely dominated.

    All candidates run on growing nested subsets of the examples, doubled from stage to
    stage. After each stage a candidate meets everything on the front of what was run in
    full that costs no more in any objective. On the examples that both have seen, let b be
    those which only the candidate gets wrong and c those which only the other does. If the
    candidate were as good, b of b + c would be a fair coin's (the exact test of McNemar,
    1947). It stops where that is less likely than 1 - confidence, shared out over stages
    and opponents (Bonferroni).

    A stopped candidate is told the opponent's error plus (b - c) / examples seen: it stays
    dominated, so the front of a search holds only what was run in full. Where nothing is
    stopped, values are those of the evaluator, bit for bit.

    Attributes:
        confidence: of each stop, in (0, 1).
        stages: the numbers of batches after which candidates meet, the last is all.
        forwards: how many examples were run so far, over all individuals.

    Example:
        >>> racing = jc.Racing(jc.Evaluator(..., splits=16))  # doctest: +SKIP
        >>> result = jc.search(key, algorithm, racing, generations=50)  # doctest: +SKIP
        >>> racing.forwards, racing.saved  # doctest: +SKIP
    """

    def __init__(self, evaluate: Evaluator, confidence: float = 0.95) -> None:
        """Races by the evaluator's only quality, a top-1 error.

        Raises:
            ValueError: another quality, or several; `confidence` outside (0, 1); or the
                examples are one batch.
        """
        qualities = [o for o in evaluate.objectives if isinstance(o, Quality)]
        if len(qualities) != 1 or qualities[0] != Error():
            got = [f"{o.name} ({getattr(o, 'kind', '')})" for o in qualities]
            raise ValueError(
                f"Racing: the qualities are {got}; it needs one, Error('top1')"
            )
        if not 0 < confidence < 1:
            raise ValueError(f"Racing: confidence is {confidence}; allowed: 0 < it < 1")
        if evaluate.batches < 2:
            raise ValueError(
                "Racing: the examples are one batch; give the Evaluator splits=16"
            )
        self.evaluate, self.confidence = evaluate, confidence
        halves = [evaluate.batches]
        while halves[0] > 1:
            halves.insert(0, halves[0] // 2)
        self.stages = tuple(halves[-5:])
        self._quality = evaluate.objectives.index(qualities[0])
        self.forwards = self._asked = 0
        width = len(evaluate.objectives)
        self._front = np.zeros((0, width), np.float32)
        self._wrong = np.zeros((0, evaluate.examples), bool)

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
        return self._asked * self.evaluate.examples - self.forwards

    def __call__(self, genotypes: Int[Array | np.ndarray, "p genes"]) -> Evaluation:
        """Evaluates genotypes int32 [P, D], each as far as it may still be of use.

        Returns:
            Objectives float32 [P, M] and violation float32 [P]. Costs and violations are
            exact; the error of what was stopped is an estimate.
        """
        return self._raced(np.asarray(genotypes, np.int32), self.stages)

    def recall(self, genotypes: Int[np.ndarray, "f genes"]) -> None:
        """Runs in full what is on the front of a search that goes on, to be met again."""
        self._raced(genotypes, self.stages[-1:])

    def _raced(
        self, genotypes: Int[np.ndarray, "p genes"], stages: tuple[int, ...]
    ) -> Evaluation:
        count, seen, begin = len(genotypes), 0, 0
        self._asked += count
        objectives = np.zeros((count, len(self.objectives)), np.float32)
        violation = np.zeros(count, np.float32)
        wrong = np.zeros((count, self.evaluate.examples), bool)
        racing = np.arange(count)
        for end in stages:
            told, each = self.evaluate.window(genotypes[racing], begin, end)
            self.forwards += each.size
            wrong[racing, seen : seen + each.shape[1]] = each > 0
            begin, seen = end, seen + each.shape[1]
            objectives[racing] = told.objectives
            violation[racing] = told.violation
            if end == self.evaluate.batches:
                error = wrong[racing].sum(1, dtype=np.float32) / np.float32(seen)
                error[~np.isfinite(each).all(1)] = np.nan
                objectives[racing, self._quality] = error
                break
            finite = np.isfinite(each).all(1) & np.isfinite(objectives[racing]).all(1)
            bad = ~finite | (violation[racing] > 0)
            error, lost = self._met(objectives[racing], wrong[racing, :seen])
            error = np.where(
                bad, np.where(finite, wrong[racing, :seen].mean(1), np.nan), error
            )
            stopped = bad | lost
            objectives[racing[stopped], self._quality] = error[stopped]
            racing = racing[~stopped]
        self._remember(objectives[racing], violation[racing], wrong[racing])
        return Evaluation(objectives=objectives, violation=violation)  # type: ignore[arg-type]

    def _met(
        self, objectives: Float[np.ndarray, "p m"], wrong: Bool[np.ndarray, "p n"]
    ) -> tuple[Float[np.ndarray, " p"], Bool[np.ndarray, " p"]]:
        """Returns the error by the strongest opponent, and whether it is enough to stop."""
        if not len(self._front):
            return np.zeros(len(wrong)), np.zeros(len(wrong), bool)
        costs = np.delete(objectives, self._quality, 1)
        others = np.delete(self._front, self._quality, 1)
        opposed = (others <= costs[:, None]).all(-1)
        mine, theirs = wrong.astype(np.float32), self._wrong[:, : wrong.shape[1]]
        # Counts of examples, exact in float32 below 2 ** 24.
        worse = (mine @ (~theirs).astype(np.float32).T).astype(np.int64)
        better = ((1 - mine) @ theirs.astype(np.float32).T).astype(np.int64)
        chance = np.where(opposed, binom.sf(worse - 1, worse + better, 0.5), 1.0)
        strongest = chance.argmin(1)
        at = np.arange(len(wrong)), strongest
        tests = np.maximum(opposed.sum(1), 1) * (len(self.stages) - 1)
        margin = (worse[at] - better[at]) / wrong.shape[1]
        error = self._front[strongest, self._quality] + margin
        return error, chance[at] < (1 - self.confidence) / tests

    def _remember(
        self,
        objectives: Float[np.ndarray, "p m"],
        violation: Float[np.ndarray, " p"],
        wrong: Bool[np.ndarray, "p n"],
    ) -> None:
        usable = (violation <= 0) & np.isfinite(objectives).all(1)
        front = np.concatenate([self._front, objectives[usable]])
        lines = np.concatenate([self._wrong, wrong[usable]])
        if len(front):
            best = non_dominated(front)
            self._front, self._wrong = front[best], lines[best]
