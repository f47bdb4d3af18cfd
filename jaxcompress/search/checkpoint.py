"""Checkpoints: arrays and words in files that are there whole or not at all."""

import errno
import hashlib
import json
import logging
import math
import os
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import jax
import numpy as np

LOG = logging.getLogger("jaxcompress")
# Reading failed, and says nothing of what is read.
PASSING = {
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EACCES,
    errno.EPERM,
    errno.ESTALE,
}


class Checkpoint(NamedTuple):
    """What was saved.

    Attributes:
        step: its number.
        leaves: arrays, of the dtypes and shapes they had.
        words: what JSON can hold; tuples have become lists.
    """

    step: int
    leaves: list[np.ndarray]
    words: Any


class Checkpoints:
    """The last few checkpoints in one directory, by orbax-checkpoint.

    A checkpoint is written beside its place, in another thread, and renamed once it is
    whole. Steps are numbers that grow: no clock decides what is newest. Any thread may
    call the methods.

    Example:
        >>> with Checkpoints("runs/a/checkpoints/search") as files:  # doctest: +SKIP
        ...     files.save(12, [np.zeros(3)], {"seed": 0})
        ...     files.latest().step
        12
    """

    def __init__(self, directory: str | Path, keep: int = 3) -> None:
        """Makes the directory, and clears away what a killed process left half-written.

        Args:
            keep: how many checkpoints stay, at least 1.

        Raises:
            OSError: the directory cannot be made or written.
        """
        # A second of imports that nobody needs who saves nothing.
        import orbax.checkpoint as ocp

        if keep < 1:
            raise ValueError(f"Checkpoints: keep is {keep}; allowed: 1 or more")
        self._directory = Path(directory).resolve()
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._damaged: set[int] = set()
        self._args = ocp.args
        me = jax.process_index()  # of many, one process alone has these files
        self._manager = ocp.CheckpointManager(
            self._directory,
            options=ocp.CheckpointManagerOptions(
                create=False,
                preservation_policy=ocp.checkpoint_managers.LatestN(keep),
                cleanup_tmp_directories=True,
                save_root_metadata=False,
                multiprocessing_options=ocp.options.MultiprocessingOptions(me, {me}),
            ),
        )

    def save(self, step: int, leaves: Sequence[np.ndarray], words: Any) -> None:
        """Begins to write a checkpoint, after the one before is written.

        Args:
            step: larger than all before; nothing is written if it is there already.
            leaves: arrays of any shape; copied before this returns.
            words: what JSON can hold.

        Raises:
            OSError: this checkpoint, or the one before, cannot be written.
        """
        kinds = [[leaf.dtype.name, list(leaf.shape)] for leaf in leaves]
        # One array of bytes: many small ones are many files, several times slower, and
        # Orbax takes none without entries.
        content = b"".join([_digest(leaves, words), *(leaf.tobytes() for leaf in leaves)])
        array = np.frombuffer(content, np.uint8)
        with self._lock:
            try:
                self._manager.wait_until_finished()
                for damaged in self._damaged:  # they would be newer than this one
                    self._manager.delete(damaged)
                self._damaged.clear()
                if step in self._manager.all_steps():
                    return
                self._manager.save(
                    step,
                    args=self._args.Composite(
                        arrays=self._args.StandardSave({"bytes": array}),
                        words=self._args.JsonSave({"leaves": kinds, "words": words}),
                    ),
                )
            except Exception as error:
                raise self._failed(error) from error

    def wait(self) -> None:
        """Returns when everything is written.

        Raises:
            OSError: a checkpoint cannot be written.
        """
        with self._lock:
            try:
                self._manager.wait_until_finished()
            except Exception as error:
                raise self._failed(error) from error

    def latest(self) -> Checkpoint | None:
        """Returns the newest checkpoint that is whole; None if there is none.

        Those after it, truncated or changed, are logged, and removed when the next one is
        saved.

        Raises:
            OSError: the system cannot read one now; nothing is touched.
        """
        with self._lock:
            for step in sorted(self._manager.all_steps(), reverse=True):
                try:
                    return self._read(step)
                except Exception as error:
                    place = self._directory / str(step)
                    if isinstance(error, MemoryError) or _code(error) in PASSING:
                        raise OSError(
                            f"checkpoint {place} cannot be read ({_line(error)}); nothing "
                            "was changed, try again"
                        ) from error
                    LOG.warning(
                        "checkpoint %s is damaged (%s); what came after the last whole one "
                        "is computed again",
                        place,
                        _line(error),
                    )
                    self._damaged.add(step)
        return None

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.wait()
        except OSError:
            if error is None:  # else what went wrong first is said
                raise
        finally:
            with suppress(Exception):  # says again what `wait` has said
                self._manager.close()

    def _read(self, step: int) -> Checkpoint:
        found = self._manager.restore(
            step,
            args=self._args.Composite(
                arrays=self._args.StandardRestore(), words=self._args.JsonRestore()
            ),
        )
        content, words = found["arrays"]["bytes"].tobytes(), found["words"]["words"]
        place, leaves = hashlib.sha256().digest_size, []
        for name, shape in found["words"]["leaves"]:
            dtype, count = np.dtype(name), math.prod(shape)
            leaves.append(np.frombuffer(content, dtype, count, place).reshape(shape))
            place += count * dtype.itemsize
        if not content.startswith(_digest(leaves, words)):
            raise ValueError("its digest is another")
        return Checkpoint(step, leaves, words)

    def _failed(self, error: Exception) -> OSError:
        return OSError(
            f"a checkpoint in {self._directory} cannot be written ({_line(error)}); those "
            "already there stay whole"
        )


def _digest(leaves: Sequence[np.ndarray], words: Any) -> bytes:
    """Returns SHA-256 of everything."""
    digest = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
    for leaf in leaves:
        digest.update(f"{leaf.dtype.name}{leaf.shape}".encode())
        digest.update(leaf.tobytes())
    return digest.digest()


def _code(error: BaseException) -> int | None:
    """Returns the system's number of an error; TensorStore's errors are no OSError."""
    if isinstance(error, OSError):
        return error.errno
    code = re.search(r"os_error_code='(\d+)'", str(error))
    return int(code[1]) if code else None


def _line(error: BaseException) -> str:
    """Returns why something failed, in one short line: the system's words if it has any."""
    words = " ".join(str(error).split()) or type(error).__name__
    code = _code(error)
    if code is not None:
        return os.strerror(code)
    return words if len(words) <= 120 else f"{words[:120]}..."
