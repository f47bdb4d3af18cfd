"""Training examples that are read while networks are trained, through `grain`."""

import os
from collections.abc import Generator
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64

from jaxcompress.data.split import Split, drawn

SAMPLE = 8192  # examples of a stream that are held, for all that needs but a few
THREADS = min(8, os.cpu_count() or 1)  # each reads a batch, that many batches ahead


@runtime_checkable
class Source(Protocol):
    """Examples, in files for instance; any thread may ask for any of them."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Any, Any]:
        """Returns an input and what is wanted for it, as a row of each `Split` array."""
        ...


@dataclass(frozen=True, eq=False)
class Stream:
    """Examples of a source, all of one shape, of which a few batches are held at a time.

    Attributes:
        source: input and target of each example.
        rows: which of its examples.

    Raises:
        ValueError: there is no example, or grain is not installed.

    Example:
        >>> x, y = np.zeros((5, 8, 8, 1), np.uint8), np.arange(5, dtype=np.int32)
        >>> stream = Stream.of([*zip(x, y)])
        >>> [split.targets.shape for split in stream.batches(seed=0, size=2)]
        [(2,), (2,)]
    """

    source: Source
    rows: Int64[np.ndarray, " n"]

    def __post_init__(self) -> None:
        if not len(self.rows):
            raise ValueError("a stream without examples: give at least one")
        _grain()  # says at once that it is missing, and not when training begins

    @classmethod
    def of(cls, source: Source) -> "Stream":
        """Returns the stream of all examples of a source."""
        return cls(source, np.arange(len(source), dtype=np.int64))

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """Bytes that all inputs would take, if they were held."""
        return len(self) * np.asarray(self.source[int(self.rows[0])][0]).nbytes

    def some(self, count: int | None, seed: int) -> "Stream":
        """Returns the stream of those examples that `Split.some` would draw."""
        return replace(self, rows=self.rows[drawn(len(self), count, seed)])

    def read(self) -> Split:
        """Returns all examples, held in memory, in the order of the rows."""
        return _stacked([self.source[int(row)] for row in self.rows])

    def batches(self, seed: int, size: int) -> Generator[Split, None, None]:
        """Yields every example once, in random batches; the rest is left out.

        Batches are read ahead by threads, and are the same for the same seed.

        Args:
            seed: decides the order, 0 <= seed < 2^32.
            size: examples a batch.

        Raises:
            ValueError: examples have different shapes, or cannot be read.
        """
        grain = _grain()
        order = grain.MapDataset.range(len(self)).shuffle(seed=seed)
        examples = order.map(lambda place: self.source[int(self.rows[place])])
        batches = examples.batch(size, drop_remainder=True, batch_fn=list).map(_stacked)
        iterator = iter(batches.to_iter_dataset(grain.ReadOptions(THREADS, THREADS)))
        try:
            yield from iterator
        finally:
            iterator.close()


def _stacked(examples: Any) -> Split:
    inputs, targets = zip(*examples, strict=True)
    for values in (inputs, targets):
        shapes = {np.shape(value) for value in values}
        if len(shapes) > 1:
            raise ValueError(
                f"examples of a stream have different shapes, such as "
                f"{sorted(shapes)[:2]}: allowed is one shape; resize them first"
            )
    return Split(np.stack(inputs), np.stack(targets))


def _grain() -> Any:
    try:
        return import_module("grain")  # a second that a held data set need not pay
    except ImportError as error:
        raise ValueError(
            "a data set that is streamed needs grain, which is not installed: pip "
            'install "jaxcompress[stream]", or hold it, with a larger data.stream_above'
        ) from error
