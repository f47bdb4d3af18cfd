"""Everything a search knows between two generations."""

from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from jaxcompress.search.measure import Measure


@dataclass(frozen=True)
class Generation:
    """What one generation did; a line of metrics.jsonl.

    Attributes:
        generation: counted from 1.
        evaluations: genotypes evaluated so far, known ones not counted again.
        asked: genotypes asked for so far.
        failed: of those evaluated, how many had an objective or a violation that is not
            finite.
        best: by objective name the smallest value of a feasible genotype so far.
        hypervolume: of everything evaluated so far (see `Measure`); 0 as long as nothing
            is feasible.
        forwards: examples run so far, over all individuals (see `Evaluator.work`).
        spared: examples not run so far, though asked for: of genotypes that were known,
            or that `Racing` stopped.
        rate: evaluations a second in this generation.
        seconds: that the search has run, without what lies between a stop and a resume.
        metrics: what the algorithm says of its generation (see its `tell`).
    """

    generation: int
    evaluations: int
    asked: int
    failed: int
    best: dict[str, float]
    hypervolume: float
    forwards: int
    spared: int
    rate: float
    seconds: float
    metrics: dict[str, float | int]


@dataclass(frozen=True, eq=False)
class SearchState:
    """A search between two generations; from it another process goes on, bit for bit.

    Attributes:
        key: what the next generation's keys are split from.
        algorithm: the algorithm's own state.
        genotypes: int32 [N, D], everything evaluated, in this order.
        objectives: float32 [N, M]; violation: float32 [N].
        history: one entry for each generation.
        measure: of the hypervolume; None until one is given or something is feasible.
        raced: what `Racing` has learned; () without it.
    """

    key: PRNGKeyArray
    algorithm: Any
    genotypes: Int[np.ndarray, "n genes"]
    objectives: Float[np.ndarray, "n m"]
    violation: Float[np.ndarray, " n"]
    history: tuple[Generation, ...] = ()
    measure: Measure | None = None
    raced: Any = ()

    def packed(self) -> tuple[list[np.ndarray], dict[str, Any]]:
        """Returns the state as arrays on the host, and words that JSON can hold."""
        measure = None if self.measure is None else asdict(self.measure)
        words = {"history": [asdict(one) for one in self.history], "measure": measure}
        return [_bare(leaf) for leaf in jax.tree.leaves(_arrays(self))], words

    def unpacked(self, leaves: list[np.ndarray], words: Any) -> "SearchState":
        """Returns the state that was `packed`; this one is any of the same search.

        Raises:
            ValueError: the arrays are not those of such a search.
        """
        tree = _arrays(self)
        mine, shape = jax.tree.flatten(tree)
        kinds = [(leaf.dtype, leaf.ndim) for leaf in map(_bare, mine)]
        if kinds != [(leaf.dtype, leaf.ndim) for leaf in leaves]:
            raise ValueError(
                "search: the checkpoints are of another version or of an algorithm with "
                "another state; give another checkpoint_dir"
            )
        pairs = zip(mine, leaves, strict=True)
        arrays = jax.tree.unflatten(shape, [_like(known, leaf) for known, leaf in pairs])
        measure = words["measure"]
        return SearchState(
            **arrays,
            history=tuple(Generation(**one) for one in words["history"]),
            measure=None if measure is None else _measure(**measure),
        )


def _arrays(state: SearchState) -> dict[str, Any]:
    names = ("key", "algorithm", "genotypes", "objectives", "violation", "raced")
    return {name: getattr(state, name) for name in names}


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _bare(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _like(known: Any, leaf: np.ndarray) -> Any:
    """Returns an array as what it was: a key, an array of the device, or of the host."""
    if _is_key(known):
        return jax.random.wrap_key_data(jnp.asarray(leaf), impl=jax.random.key_impl(known))
    return leaf if isinstance(known, np.ndarray) else jnp.asarray(leaf)


def _measure(columns: Any, reference: Any, logged: Any) -> Measure:
    return Measure(tuple(columns), tuple(reference), tuple(logged))
