"""How a search or a training is doing: a bar on a terminal, plain lines elsewhere."""

import resource
import sys
import time
from types import TracebackType

import jax
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from jaxcompress.search import Generation

LINES = 10  # plain lines of one search or training, when there is no terminal
SECONDS = 60.0  # of such work that pass between two of them, at least


class _Shown:
    """A bar, until its block ends; none where there is no terminal."""

    def __init__(self, console: Console, *columns: ProgressColumn, transient: bool) -> None:
        self._console = console
        self._bar = Progress(
            *columns,
            console=console,
            transient=transient,
            disable=not console.is_terminal,
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()


class SearchProgress(_Shown):
    """Shows generation, best values, hypervolume, speed, memory and time left.

    Of forwards (examples through one individual) it says how many were run of those asked
    for; known genotypes and `Racing` spare the others.

    Example:
        >>> with SearchProgress(console, "search", 50) as progress:  # doctest: +SKIP
        ...     search(..., on_generation=progress.update)
    """

    def __init__(self, console: Console, title: str, generations: int) -> None:
        super().__init__(
            console,
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.completed:.0f}/{task.total:.0f}  {task.fields[text]}"),
            TimeRemainingColumn(compact=True),
            transient=False,
        )
        self._title, self._total = title, generations
        # Number and seconds of the first, before which all is compiled.
        self._first: tuple[int, float] | None = None
        self._task = self._bar.add_task(title, total=generations, text="compiling")

    def __enter__(self) -> "SearchProgress":
        self._bar.start()
        return self

    def update(self, generation: Generation) -> None:
        """Shows one more generation."""
        best = "  ".join(f"{k} {_number(v)}" for k, v in generation.best.items())
        text = (
            f"best: {best}  hypervolume {generation.hypervolume:.4f}  "
            f"{_number(generation.rate)} evaluations/s"
        )
        if generation.forwards:
            asked = generation.forwards + generation.spared
            text += f"  {generation.forwards:,} of {asked:,} forwards"
        if "rank_correlation" in generation.metrics:
            agreed = generation.metrics["rank_correlation"]
            text += f"  errors as expected: correlation {agreed:.2f}"
        text += f"  {_memory() / 2**30:.1f} GiB"
        if generation.failed:
            text += f"  {generation.failed} failed"
        self._bar.update(self._task, completed=generation.generation, text=text)
        number = generation.generation
        step = max(self._total // LINES, 1)
        first, began = self._first = self._first or (number, generation.seconds)
        if not self._console.is_terminal and (number % step == 0 or number == self._total):
            if number > first:
                pace = (generation.seconds - began) / (number - first)
                text += f"  {pace * (self._total - number):.0f} s left"
            self._console.print(
                f"{self._title} {number}/{self._total}  {text}",
                highlight=False,
                soft_wrap=True,
            )


class BatchProgress(_Shown):
    """Shows what is done, how much of it, and the time left.

    Example:
        >>> with BatchProgress(console, "training lenet5 on mnist") as progress:
        ...     train(..., on_batch=progress.update)  # doctest: +SKIP
    """

    def __init__(self, console: Console, title: str, unit: str = "batches") -> None:
        super().__init__(
            console,
            BarColumn(bar_width=20),
            TextColumn(f"{{task.completed:.0f}}/{{task.total:.0f}} {unit}"),
            TimeRemainingColumn(compact=True),
            transient=True,
        )
        self._title, self._unit = title, unit
        self._task = self._bar.add_task(title, total=None, visible=False)
        # How many, and when: the first, after which all is compiled, and the last told.
        self._first: tuple[int, float] | None = None
        self._said, self._done = (0, 0.0), 0

    def __enter__(self) -> "BatchProgress":
        self._console.print(self._title, highlight=False, soft_wrap=True)
        self._said = (0, time.perf_counter())
        self._bar.start()
        return self

    def update(self, done: int, total: int) -> None:
        """Shows that so many of all are done; fewer than before: of something new."""
        if self._console.is_terminal:
            self._bar.update(self._task, completed=done, total=total, visible=True)
            return
        now = time.perf_counter()
        if self._first is None or done <= self._done:
            self._first, self._said = (done, now), (0, self._said[1])
        (first, began), (last, when), self._done = self._first, self._said, done
        if now - when < SECONDS or done - last < total / LINES or done == first:
            return
        self._said = (done, now)
        left = (now - began) / (done - first) * (total - done)
        self._console.print(
            f"{self._title}: {done:,}/{total:,} {self._unit}  {left:.0f} s left",
            highlight=False,
            soft_wrap=True,
        )


def _memory() -> int:
    """Returns the bytes that the first device held at most; on a CPU the process."""
    known = jax.local_devices()[0].memory_stats()
    if known and "peak_bytes_in_use" in known:
        return known["peak_bytes_in_use"]
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else 1024 * usage


def _number(value: float) -> str:
    return f"{value:.4f}" if value < 10 else f"{value:,.0f}"
