"""How a search is kept in files, so that another process can go on with it."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from jaxcompress.evolution import Algorithm
from jaxcompress.processes import from_first
from jaxcompress.search.at_signal import AtSignal
from jaxcompress.search.checkpoint import Checkpoint, Checkpoints
from jaxcompress.search.evaluator import Evaluator
from jaxcompress.search.lock import locked
from jaxcompress.search.measure import Measure
from jaxcompress.search.racing import Racing
from jaxcompress.search.state import SearchState


class Keeper:
    """Saves the states of one search as they come, every few generations.

    Attributes:
        state: of the last finished generation.
    """

    def __init__(
        self,
        files: Checkpoints | None,
        found: Checkpoint | None,
        settings: dict[str, Any],
        every: int,
        first: SearchState,
    ) -> None:
        """Restores what was found; if nothing, the state is `first`.

        Args:
            files: where to save; None: another process does.
        """
        self._files, self._settings, self._every = files, settings, every
        self.state = first
        if found is not None:
            if other := differing(found.words["settings"], settings):
                raise ValueError(
                    f"search: the checkpoints are of another search, with {other}; give "
                    "the same again, or another checkpoint_dir"
                )
            self.state = first.unpacked(found.leaves, found.words["state"])

    def saw(self, state: SearchState, last: bool) -> None:
        """Takes the state after one more generation; `last`: of this search."""
        self.state = state
        if last or len(state.history) % self._every == 0:
            self.save()

    def save(self) -> None:
        """Begins to save the last finished generation, unless it is saved."""
        state = self.state
        if state.history and self._files is not None:
            leaves, words = state.packed()
            words = {"settings": self._settings, "state": words}
            self._files.save(len(state.history), leaves, words)

    def stop(self, number: int) -> None:
        """Saves at a signal, whatever its number; says why if that fails."""
        del number
        self.save()
        if self._files is not None:
            self._files.wait()


@contextmanager
def kept(
    directory: str | Path,
    settings: dict[str, Any],
    first: SearchState,
    every: int,
    keep: int,
) -> Iterator[Keeper]:
    """Keeps one search in a directory, from its checkpoints on if it has any.

    SIGTERM and SIGINT save the last finished generation first (see `AtSignal`). Of many
    processes the first keeps it, and all go on from what it has.

    Args:
        settings: what makes two searches the same, as JSON.
        first: the state before the first generation.
        every: generations from one checkpoint to the next; keep: how many stay.

    Raises:
        ValueError: another process is there, or another search was.
        OSError: the directory cannot be made or written.
    """
    if every < 1:
        raise ValueError(f"search: checkpoint_every is {every}; allowed: 1 or more")
    files: Checkpoints | None = None
    with ExitStack() as stack:

        def opened() -> Checkpoint | None:
            nonlocal files
            stack.enter_context(locked(directory))
            files = stack.enter_context(Checkpoints(directory, keep))
            return files.latest()

        found = from_first(opened)
        keeper = Keeper(files, found, settings, every, first)
        stack.enter_context(AtSignal(keeper.stop))
        yield keeper


def settings_of(
    key: PRNGKeyArray,
    algorithm: Algorithm,
    evaluate: Evaluator | Racing,
    measure: Measure | None,
    params: Any,
    first: Any,
    known: Any,
    screening: int,
) -> dict[str, Any]:
    """Returns what must not change between a stop and a resume, as JSON by name."""
    simple = (bool, int, float, str)
    own = {k: v for k, v in vars(algorithm).items() if isinstance(v, simple)}
    space, network = evaluate.space, evaluate.network
    return {
        "key": jax.random.key_data(key).tolist(),
        "algorithm": type(algorithm).__name__,
        **{name.strip("_"): value for name, value in own.items()},
        "rates": digest(params),
        "racing": _race(evaluate) if isinstance(evaluate, Racing) else None,
        "objectives": list(evaluate.names),
        "constraints": {c.objective.name: c.limit for c in evaluate.constraints},
        "cardinality": np.asarray(space.cardinality).tolist(),
        "network": digest(network.leaves()),
        "measure": None if measure is None else repr(measure),
        "first": None if first is None else digest(first),
        "known": None if known is None else digest(known),
        "screening": screening if screening > 1 else None,  # as before there was any
    }


def _race(racing: Racing) -> list[float | int]:
    """Returns what a race's memory is of: confidence, examples, and ends of stages."""
    size = racing.evaluate.batch_size
    return [racing.confidence, racing.examples, *(int(size * end) for end in racing.stages)]


def check_agreement(settings: dict[str, Any]) -> None:
    """Raises ValueError if this process has another search than the first of many."""
    if other := differing(from_first(lambda: settings), settings):
        raise ValueError(
            f"search: the first process has another search than this one, with {other}; "
            "all need the same key, network, space and algorithm"
        )


def differing(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Returns in words which keys have other values; "" if none has."""
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return ", ".join(f"{k} = {before.get(k)!r:.60} (now {now.get(k)!r:.60})" for k in keys)


def digest(tree: Any) -> str:
    """Returns what tells arrays from others of the same tree."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        found.update(np.ascontiguousarray(leaf).tobytes())
    return found.hexdigest()[:16]
