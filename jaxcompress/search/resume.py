"""How a search is kept in files, so that another process can go on with it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from jaxcompress.processes import from_first
from jaxcompress.search.at_signal import AtSignal
from jaxcompress.search.checkpoint import Checkpoint, Checkpoints
from jaxcompress.search.identity import differing
from jaxcompress.search.lock import locked
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
            if found.words["settings"].get("format") != settings.get("format"):
                raise ValueError(
                    "search: the checkpoints are of another version; give another "
                    "checkpoint_dir"
                )
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
