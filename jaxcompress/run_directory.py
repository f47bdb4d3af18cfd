"""The directory of one run: its configuration, its lock, what finished stages gave.

Of many processes the first reads and writes here, and the others get what it got.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from jaxcompress.config import Config
from jaxcompress.config_file import read, write
from jaxcompress.processes import from_first, is_first
from jaxcompress.search import locked, once
from jaxcompress.search.lock import LOCK
from jaxcompress.whole_file import write_whole

CHECKPOINTS = "checkpoints"
CONFIG = "config.yaml"
MAY_GROW = "search.generations"


class RunDirectory:
    """Where one run keeps all it makes.

    Attributes:
        path: absolute.
    """

    def __init__(self, path: Path) -> None:
        """Touches no file."""
        self.path = path.resolve()

    def checkpoints(self, stage: str) -> Path:
        """Returns where a stage keeps its checkpoints."""
        return self.path / CHECKPOINTS / stage

    def kept(
        self, stage: str, compute: Callable[[], Mapping[str, Any]], generations: int = 0
    ) -> dict[str, Any]:
        """Returns what a stage gave: of a finished one what it saved, else it is run.

        Every process runs it, for it may be spread over the devices of all of them.

        Args:
            compute: runs the stage; gives nested dictionaries of arrays.
            generations: of the search on which the result depends; 0: on none.

        Returns:
            What `compute` gave, on the host.
        """
        return once(self.checkpoints(stage), compute, generations)

    def text(self, name: str, compute: Callable[[], str]) -> str:
        """Returns what is in a file; the first process computes it if it is not there."""

        def whole() -> str:
            if not (self.path / name).exists():
                write_whole(self.path / name, compute().encode())
            return (self.path / name).read_text(encoding="utf-8")

        return from_first(whole)

    def log(self, name: str) -> TextIO:
        """Opens a new text file; what other processes than the first write is dropped."""
        path = self.path / name if is_first() else os.devnull
        return open(path, "w", encoding="utf-8")

    def has(self, stage: str, generations: int = 0) -> bool:
        """Returns whether a stage is finished."""
        return from_first((self.checkpoints(stage) / str(generations)).is_dir)

    def is_begun(self) -> bool:
        """Returns whether anything was saved that a resume would not compute again."""
        return any(self.path.glob(f"{CHECKPOINTS}/*/*/"))


def new_path(config: Config) -> Path:
    """Returns where a run goes if nobody says where."""
    return Path("runs") / f"{config.name}-{time.strftime('%Y%m%d-%H%M%S')}"


@contextmanager
def _held(inner: AbstractContextManager[RunDirectory]) -> Iterator[RunDirectory]:
    """Enters and leaves a context in the first process, and has its value in all."""
    with ExitStack() as stack:
        yield from_first(lambda: stack.enter_context(inner))


def made(config: Config, path: Path) -> AbstractContextManager[RunDirectory]:
    """Makes and holds the directory of a new run, with the configuration in it.

    Input that proves bad before a stage is finished leaves nothing; whatever stops the
    run later leaves everything for `reopened`.

    Raises:
        ValueError: there is something at `path` already.
        OSError: the directory cannot be made or written.
    """
    return _held(_made(config, path))


@contextmanager
def _made(config: Config, path: Path) -> Iterator[RunDirectory]:
    check_new(path)  # again: it may have taken long to load what goes there
    missing = [parent for parent in path.parents if not parent.exists()]
    place = RunDirectory(path)
    with locked(place.path / CHECKPOINTS):
        write(config, place.path / CONFIG)
        try:
            yield place
        except ValueError:
            if not place.is_begun():
                shutil.rmtree(place.path)
                for parent in missing:
                    if not any(parent.iterdir()):
                        parent.rmdir()
            raise


def check_new(path: Path) -> None:
    """Checks that a new run may have a directory.

    Raises:
        ValueError: there is something at `path` already.
    """
    if path.exists() and (not path.is_dir() or _holds_something(path)):
        raise ValueError(f"--out {path}: is not an empty directory; name a new one")


def _holds_something(path: Path) -> bool:
    """Returns whether a directory is more than a run leaves that was killed at once."""
    begun = f".{CONFIG}."  # as `write_whole` begins
    files = (p.name for p in path.rglob("*") if p.is_file())
    return any(name != LOCK and not name.startswith(begun) for name in files)


def reopened(config: Config, path: Path) -> AbstractContextManager[RunDirectory]:
    """Holds the directory of a stopped run, of which `config` is the configuration.

    Raises:
        ValueError: there is no run, it was of another configuration, or it is going on.
        OSError: the directory cannot be written.
    """
    return _held(_reopened(config, path))


@contextmanager
def _reopened(config: Config, path: Path) -> Iterator[RunDirectory]:
    place = _checked(config, path)
    with locked(place.path / CHECKPOINTS):
        if config != configuration(path):
            write(config, place.path / CONFIG)
        yield place


def checked(config: Config, path: Path) -> RunDirectory:
    """Returns the directory of a run, if `config` may go on with it; holds nothing.

    Raises:
        ValueError: there is no run, or it was of another configuration.
    """
    return from_first(lambda: _checked(config, path))


def _checked(config: Config, path: Path) -> RunDirectory:
    if other := differing(configuration(path), config):
        raise ValueError(
            f"--resume {path}: the run has another configuration: {', '.join(other)}; "
            f"leave these out, only {MAY_GROW} may grow"
        )
    return RunDirectory(path)


def configuration(path: Path) -> Config:
    """Returns the configuration of the run in a directory.

    Raises:
        ValueError: there is no run.
    """
    file = path / CONFIG
    if not file.is_file():
        raise ValueError(f"--resume {path}: is no run directory; it has no config.yaml")
    return read(file)


def differing(before: Config, now: Config) -> list[str]:
    """Returns in words every key with another value, save for more generations."""
    old, new = _flat(before.model_dump(mode="json")), _flat(now.model_dump(mode="json"))
    return [
        f"{key} = {old[key]!r} and not {new[key]!r}"
        for key in old
        if old[key] != new[key] and not (key == MAY_GROW and new[key] > old[key])
    ]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
