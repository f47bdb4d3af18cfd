"""What every stage of a run knows."""

from dataclasses import dataclass

import jax
from rich.console import Console

from jaxcompress.config import Config
from jaxcompress.given import Given
from jaxcompress.report import BatchProgress
from jaxcompress.run_directory import RunDirectory

KEYS: tuple[str, ...] = ("model", "train", "adapt", "search", "tune")


@dataclass(frozen=True, eq=False)
class Job:
    """A run as its stages see it.

    Attributes:
        config: what to do.
        given: what the configuration names.
        keys: one for each of `KEYS`.
        place: the run directory.
        console: where progress and tables go.
    """

    config: Config
    given: Given
    keys: dict[str, jax.Array]
    place: RunDirectory
    console: Console

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)

    def training(self, text: str) -> BatchProgress:
        """Returns what says this, and then how far a training is."""
        return BatchProgress(self.console, text)

    def evaluating(self, text: str) -> BatchProgress:
        """Returns what says this, and then how many genotypes are evaluated."""
        return BatchProgress(self.console, text, "evaluations")
