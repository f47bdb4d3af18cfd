"""How far a training came: saved after each part of it, and gone on from."""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key, PyTree

from jaxcompress.config import TuneConfig
from jaxcompress.data import Dataset
from jaxcompress.search import Checkpoints
from jaxcompress.training.train import Loss

EXAMPLES = 256  # by which data sets are told apart


class Progress(AbstractContextManager["Progress"]):
    """The last two checkpoints of one training, or of none.

    Example:
        >>> with Progress(directory, training) as progress:  # doctest: +SKIP
        ...     first, leaves = progress.latest()
    """

    def __init__(self, directory: str | Path | None, training: str) -> None:
        """Makes the directory.

        Args:
            directory: where checkpoints are; None: nothing is saved.
            training: what tells this training from others, see `training_digest`.

        Raises:
            OSError: the directory cannot be made or written.
        """
        self._stack, self._words = ExitStack(), {"training": training}
        self._files = None
        if directory is not None:
            self._files = self._stack.enter_context(Checkpoints(directory, keep=2))

    def latest(self) -> tuple[int, list[np.ndarray]]:
        """Returns how many parts are finished, and the leaves of what these gave.

        Raises:
            ValueError: what lies in the directory is of another training.
        """
        saved = None if self._files is None else self._files.latest()
        if saved is None:
            return 0, []
        if saved.words != self._words:
            raise ValueError(
                "what lies in checkpoint_dir is of another training (other plans, "
                "parameters, teacher, key, data, loss or configuration); remove it, or "
                "give another directory"
            )
        return saved.step, saved.leaves

    def save(self, finished: int, tree: Callable[[], PyTree]) -> None:
        """Saves what the finished parts gave.

        Args:
            finished: how many; tree: gives it, and is called if it is saved.

        Raises:
            OSError: it cannot be written.
        """
        if self._files is not None:
            leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree())]
            self._files.save(finished, leaves, self._words)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def training_digest(
    key: Key[Array, ""],
    trees: Any,
    data: Dataset,
    config: TuneConfig,
    loss: Loss | None = None,
) -> str:
    """Returns what tells one training from another.

    Of the data some examples tell; of a loss its name, for code cannot be compared.

    Args:
        trees: plans and parameters with which it begins, and the teacher's.
    """
    words = config.model_dump_json(), data.name, len(data.fitted), data.mean, data.std
    named = getattr(loss, "__qualname__", type(loss).__qualname__)
    digest = hashlib.sha256(repr((*words, named)).encode())
    some = data.train.some(min(EXAMPLES, len(data.train)), 0)
    shown = (some.inputs, some.targets)
    for leaf in jax.tree.leaves((jax.random.key_data(key), trees, shown)):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()
