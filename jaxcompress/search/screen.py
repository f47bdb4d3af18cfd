"""Which offspring are worth running: the best of many, by what is known."""

from functools import cache, partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from jaxcompress.evolution import (
    NSGA2,
    NSGA3,
    Algorithm,
    Evaluation,
    compiled,
    survive,
)
from jaxcompress.objectives import Cost, Quality
from jaxcompress.processes import from_first, is_first
from jaxcompress.search.alone import Alone
from jaxcompress.search.archive import Archive
from jaxcompress.search.evaluator import Evaluator
from jaxcompress.search.one_thread import one_thread
from jaxcompress.search.racing import Racing
from jaxcompress.search.seeding import spread, way_down
from jaxcompress.search.surrogate import fitted, placed
from jaxcompress.space.importance import rank_correlation

LEAST = 8  # evaluations that a surrogate needs
RECENT = 512  # evaluations that it comes from: the cube of it is their time
TRUSTED = 0.5  # correlation, of what is known with what each is expected to be
MOST_GENES = 128  # of a way down: the square of it is its time


class Screen:
    """Draws more offspring than are evaluated, and chooses among them.

    Costs of a plan are exact and take no run of the network; each quality is predicted by
    a Gaussian process over the genotypes that were evaluated. Of these values the best
    survive, by the rules of NSGA-II (surrogate-assisted search, as in Lu et al. 2020,
    NSGANetV2); what the front of everything evaluated dominates comes last, the less the
    more of it does. What is chosen is evaluated as ever.

    Of the first quality it may be known what each gene harms `alone`. Then the process is
    of how far errors are from those that would add up, if that tells them better
    (genotypes that were tried alone have no say in that); and, but in spaces of very many
    genes, genotypes of the `way_down` of each cost are drawn beside the offspring.

    As long as the genes do not tell a quality (each genotype that is known, predicted from
    all others), nothing is chosen: among random plans of a deep network, of which none is
    better than chance, the smallest would win. Bounds on costs are kept, those on
    qualities play no part in the choice. Under `Racing` some of what is known, and of what
    predictions are compared with, are estimates.

    Attributes:
        draws: offspring for each that is evaluated.
        quality: position of the first quality among the objectives, None if there is none.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        evaluate: Evaluator | Racing,
        draws: int,
        alone: Alone | None = None,
    ) -> None:
        """Compiles nothing yet, see `prepare`.

        Raises:
            ValueError: `draws` is below 1, the algorithm must be told of what it asked, or
                `alone` is of no use: there is no screening, or no first quality, it is of
                another space, or of a network that fails.
        """
        if draws < 1:
            raise ValueError(f"search: screening is {draws}; allowed: 1 (none) or more")
        if draws > 1 and not isinstance(algorithm, NSGA2 | NSGA3):
            raise ValueError(
                f"search: screening is {draws}, but {type(algorithm).__name__} must be "
                "told of what it asked for; take NSGA2 or NSGA3, or screening 1"
            )
        self.draws, self._evaluate, self._alone = draws, evaluate, alone
        kinds = [isinstance(o, Quality) for o in evaluate.objectives]
        self.quality = kinds.index(True) if any(kinds) else None
        if alone is not None and (draws == 1 or self.quality is None):
            raise ValueError(
                f"search: alone guides the screening of a quality; screening is {draws}, "
                f"and the objectives are {evaluate.names}"
            )
        if alone is not None:
            _check(alone, len(evaluate.space))
        self._ask = algorithm.compiled.ask
        self._size = algorithm.population_size
        # Of the ways down as many are drawn as offspring, in all.
        self._costs = [o.name for o in evaluate.objectives if isinstance(o, Cost)]
        if alone is None or len(evaluate.space) > MOST_GENES:
            self._costs = []
        self._of_each = max(2, draws * self._size // max(len(self._costs), 1))
        self._most = draws * self._size + len(self._costs) * self._of_each
        self._ways = np.zeros((0, len(evaluate.space)), np.int32)

    def prepare(self) -> None:
        """Finds ways down and compiles what ranks, so that no generation waits for it."""
        if self.draws == 1:
            return
        if self._alone is not None:
            self._ways = from_first(partial(self._ways_down, self._alone))
        if not is_first():  # the others are told, see `__call__`
            return
        most, dense = self._most, np.asarray(self._evaluate.space.dense, np.int32)
        objectives, violation = self._evaluate.costs(dense[None])
        filled = Evaluation(
            objectives=np.repeat(objectives, most, 0),  # type: ignore[arg-type]
            violation=np.repeat(violation, most),  # type: ignore[arg-type]
        )
        own = jax.random.fold_in(jax.random.key(0), 0)
        _survivors(self._size, most)(own, np.zeros(most, bool), filled)

    def _ways_down(self, alone: Alone) -> Int[np.ndarray, "w genes"]:
        """Returns genotypes on the ways down of all costs."""
        ways = [self._ways]
        for cost in self._costs:
            path = way_down(self._evaluate, alone.genotypes, alone.errors, cost)
            ways.append(spread(*path, self._of_each))
        return np.unique(np.concatenate(ways), axis=0)

    def __call__(
        self,
        key: PRNGKeyArray,
        asked: Int[np.ndarray, "p genes"],
        state: Any,
        params: Any,
        archive: Archive,
    ) -> tuple[Int[np.ndarray, "p genes"], Any]:
        """Returns as many genotypes, and the first quality that is expected of them.

        Args:
            key: as the algorithm was asked with; asked: what it asked for.
            state: the algorithm's; params: its rates.
            archive: everything that was evaluated.

        Returns:
            int32 [P, D], and float [P], on a scale of its own; None if nothing was
            predicted.
        """
        usable = np.flatnonzero(np.isfinite(archive.objectives).all(1))[-RECENT:]
        if self.draws == 1 or len(usable) < LEAST:
            return asked, None
        keys = [jax.random.fold_in(key, number) for number in range(1, self.draws)]
        others = [np.asarray(self._ask(own, state, params)[0]) for own in keys]
        pool = archive.unknown(np.concatenate([asked, *others, self._ways]))
        if len(pool) <= self._size:  # the space has few others
            return np.concatenate([pool, asked])[: self._size], None
        known, values = archive.genotypes[usable], archive.objectives[usable]
        front = archive.objectives[archive.front()]
        # Sums in another order, on another machine, would part the processes.
        return from_first(partial(self._chosen, key, asked, pool, known, values, front))

    @one_thread
    def _chosen(
        self,
        key: PRNGKeyArray,
        asked: Int[np.ndarray, "p genes"],
        pool: Int[np.ndarray, "n genes"],
        known: Int[np.ndarray, "k genes"],
        values: Float[np.ndarray, "k m"],
        front: Float[np.ndarray, "f m"],
    ) -> tuple[Int[np.ndarray, "p genes"], Any]:
        size, most = self._size, self._most
        told = self._expected(pool, known, values, front)
        if told is None:
            return asked, None
        costs, violation = self._evaluate.costs(pool)
        # In the logarithm of each is how a front is spread.
        tiny = np.finfo(np.float32).tiny
        objectives, present = (np.log(np.maximum(x, tiny)) for x in (costs, front))
        for column, (expected, measured) in told.items():
            objectives[:, column], present[:, column] = expected, measured
        failed = np.isnan(objectives).any(1) | np.isnan(violation)
        if (~failed).sum() < size:
            return asked, None
        # What the front dominates comes after what it does not, as if it broke a bound.
        worse = present <= objectives[:, None]
        ahead = (worse.all(-1) & (present < objectives[:, None]).any(-1)).sum(1)
        violation = np.where(violation > 0, len(front) + 1 + violation, ahead)
        objectives[failed], violation = np.inf, np.where(failed, np.inf, violation)
        missing = most - len(pool)
        filled = np.pad(objectives, ((0, missing), (0, 0)), constant_values=np.inf)
        excess = np.pad(violation, (0, missing), constant_values=np.inf)
        evaluation = Evaluation(objectives=filled, violation=excess)  # type: ignore[arg-type]
        none, own = np.zeros(most, bool), jax.random.fold_in(key, 0)
        rows = np.asarray(_survivors(size, most)(own, none, evaluation).indices)
        expected = None if self.quality is None else objectives[rows, self.quality]
        return pool[rows], expected

    def _expected(
        self,
        pool: Int[np.ndarray, "n genes"],
        known: Int[np.ndarray, "k genes"],
        values: Float[np.ndarray, "k m"],
        front: Float[np.ndarray, "f m"],
    ) -> dict[int, tuple[Float[np.ndarray, " n"], Float[np.ndarray, " f"]]] | None:
        """Returns by its position what is expected of each quality, and what the front has.

        None where the genes do not tell one.
        """
        points = [placed(rows, self._evaluate.space) for rows in (known, pool)]
        found = {}
        for column, objective in enumerate(self._evaluate.objectives):
            if isinstance(objective, Quality):
                every = np.concatenate([values[:, column], front[:, column]])
                scaled = _scaled(every, self._evaluate.examples)
                told, measured = np.split(scaled, [len(values)])
                guesses = [(np.zeros(len(known)), np.zeros(len(pool)))]
                fair = np.ones(len(known), bool)
                if self._alone is not None and column == self.quality:
                    # What the guide was told of it would predict whatever it was.
                    new = ~_among(known, self._alone.genotypes)
                    if new.sum() >= LEAST:
                        guesses += [tuple(map(self._alone.together, (known, pool)))]
                        fair = new
                tries = []
                for guess, theirs in guesses:
                    surrogate = fitted(points[0], told - guess)
                    agreed = _agreement((surrogate.left_out + guess)[fair], told[fair])
                    tries.append((agreed, surrogate(points[1]) + theirs))
                agreed, expected = max(tries, key=lambda pair: pair[0])
                # Not above covers NaN.
                if not agreed > TRUSTED:
                    return None
                found[column] = expected, measured
        return found


@cache
def _survivors(size: int, most: int) -> Any:
    """Returns `survive`, compiled once; not at import, which would start the devices."""
    return compiled(partial(survive, size=size), most)


def _check(alone: Alone, genes: int) -> None:
    """Refuses what would be of no use to a screening."""
    if alone.genotypes.shape[1:] != (genes,):
        raise ValueError(
            f"search: alone has genotypes of shape {alone.genotypes.shape}; wanted (any, "
            f"{genes}), of the space that is searched"
        )
    if not np.isfinite(alone.errors[0]):
        raise ValueError(
            f"search: alone says nothing: the dense network's error is {alone.errors[0]}; "
            "leave it out"
        )


def _among(rows: Int[np.ndarray, "k genes"], others: Int[np.ndarray, "n genes"]) -> Any:
    """Returns bool [K]: which rows are among others."""
    keys = {row.tobytes() for row in np.asarray(others, np.int32)}
    return np.asarray([row.tobytes() in keys for row in np.asarray(rows, np.int32)])


def _agreement(first: Float[np.ndarray, " k"], second: Float[np.ndarray, " k"]) -> float:
    """Returns the correlation of two rows, of values or of ranks, whichever is larger.

    0 where all of one are equal. Where most plans are no better than chance their ranks
    are noise, though it may be plain which few are better; and one that is far off may
    hide that all others are in the right order.
    """
    if np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
        return 0.0
    values = float(np.corrcoef(first, second)[0, 1])
    return max(values, rank_correlation(first, second))


def _scaled(values: Float[np.ndarray, " k"], examples: int) -> Float[np.ndarray, " k"]:
    """Returns logarithms, as errors are multiples of each other, if none is below 0."""
    values = values.astype(np.float64)
    return np.log(values + 0.5 / max(examples, 1)) if values.min() >= 0 else values
