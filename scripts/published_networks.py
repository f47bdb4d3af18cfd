"""Published networks and the images to judge them by, for scripts that compress them.

Data: see CONTRIBUTING.md.
"""

import json
import os
import platform
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxcompress as jc
from jaxcompress import data
from jaxcompress.models import as_function
from jaxcompress.models.published import PUBLISHED, load

SHARED = Path(__file__).parents[2] / "shared/data"
WEIGHTS = os.environ.get("JAXCOMPRESS_WEIGHTS") or SHARED / "weights"
DATA = os.environ.get("TFDS_DATA_DIR") or SHARED / "tfds"
NETWORKS = ("resnet20_cifar10", "resnet56_cifar10")
RESULTS = Path("docs/results")


class Images:
    """Labelled images in batches; those that fill the last one have the label -1."""

    def __init__(self, inputs: np.ndarray, targets: np.ndarray) -> None:
        self.count = len(targets)
        # As fast as any on a CPU, see `search.batches`; elsewhere larger ones are.
        size = min(50 if jax.default_backend() == "cpu" else 1000, self.count)
        rows = np.arange(-(-self.count // size) * size)
        labels = np.where(rows < self.count, targets[rows % self.count], -1)
        self.inputs = inputs[rows % self.count].reshape(-1, size, *inputs.shape[1:])
        self.targets = labels.reshape(-1, size)

    def first(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns inputs and labels of the first images, at most all."""
        count = min(count, self.count)
        inputs = self.inputs.reshape(-1, *self.inputs.shape[2:])
        return inputs[:count], self.targets.ravel()[:count]


def correct(
    run: Callable[[np.ndarray], jax.Array], images: Images, at_least: float = 0.0
) -> int:
    """Returns how many images are classified correctly.

    Stops where it is certain that there are fewer than `at_least`, and returns a number
    below it. With the hardest images first this is soon, and changes no decision.
    """
    possible = images.count
    for x, labels in zip(images.inputs, images.targets, strict=True):
        wrong = np.asarray(run(x).argmax(-1)) != labels
        possible -= int((wrong & (labels >= 0)).sum())
        if possible < at_least:
            break
    return possible


def hardest_first(
    run: Callable[[np.ndarray], jax.Array], inputs: np.ndarray, targets: np.ndarray
) -> Images:
    """Returns images in ascending order of their margin."""
    rows = np.arange(len(targets))
    batches = [np.asarray(run(x)) for x in Images(inputs, targets).inputs]
    logits = np.concatenate(batches)[: len(targets)]
    own = logits[rows, targets]
    logits[rows, targets] = -np.inf
    order = np.argsort(own - logits.max(1), kind="stable")
    return Images(inputs[order], targets[order])


def held_out(
    name: str, count: int, freeze: Sequence[str] = ()
) -> tuple[jc.Network, np.ndarray, np.ndarray]:
    """Returns a published network for CIFAR-10, and its first validation images.

    Args:
        freeze: as of `jc.trace`.
    """
    how, dataset = PUBLISHED[name], data.load("cifar10", data_dir=DATA)
    dataset = replace(dataset, mean=how.mean, std=how.std)
    apply, params = as_function(load(name, WEIGHTS))
    network = jc.trace(apply, params, jnp.zeros((2, *dataset.input_shape)), freeze=freeze)
    inputs = np.asarray(dataset.normalize(dataset.validation.inputs[:count]))
    return network, inputs, dataset.validation.targets[:count]


@dataclass(frozen=True, eq=False)
class Published:
    """A traced network, its images, and its share of right answers on both.

    Attributes:
        validation: images held out of the training split, hardest first.
    """

    network: jc.Network
    validation: Images
    test: Images
    dense: dict[str, float]


def published(
    name: str,
    dataset: data.Dataset,
    validation: int | None = None,
    test: int | None = None,
) -> Published:
    """Returns a network with its images: all, or so many for validation and test."""
    how = PUBLISHED[name]
    dataset = replace(dataset, mean=how.mean, std=how.std)
    apply, params = as_function(load(name, WEIGHTS))
    network = jc.trace(apply, params, jnp.zeros((2, *dataset.input_shape)))
    run = jax.jit(lambda x: network.apply(network.params, x))

    def some(split: data.Split, count: int | None) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(dataset.normalize(split.inputs[:count])), split.targets[:count]

    held_out = hardest_first(run, *some(dataset.validation, validation))
    tested = Images(*some(dataset.test, test))
    dense = {
        "validation": correct(run, held_out) / held_out.count,
        "test": correct(run, tested) / tested.count,
    }
    print(f"{name}: {dense}", flush=True)
    return Published(network, held_out, tested, dense)


def saved(network: jc.Network, coding: str) -> tuple[int, jc.Artifact]:
    """Returns the bytes of the parameter part of a network's file, and the file loaded."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "network.jcz"
        return jc.save(path, network, coding=coding).parameters, jc.load(path)


def command(script: str) -> str:
    """Returns the command line that is running."""
    return shlex.join(["python", f"scripts/{script}.py", *sys.argv[1:]])


def versions() -> dict[str, str]:
    """Returns what the results depend on."""
    known = {name: version(name) for name in ("jax", "jaxlib", "numpy")}
    return {"python": platform.python_version()} | known


def machine() -> dict[str, Any]:
    """Returns what an entry of a file of results was measured on."""
    return {"device": jax.devices()[0].device_kind, "versions": versions()}


def machine_of(found: dict[str, Any]) -> str:
    """Returns the same of an entry as text."""
    each = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return f"{found['device']}, {each}"


def earlier(path: Path) -> dict[str, Any]:
    """Returns the entries of a file of results by the names of their networks."""
    entries = json.loads(path.read_text())["entries"] if path.exists() else []
    return {entry["network"]: entry for entry in entries}


def write(path: Path, found: dict[str, Any], table: Path, page: str) -> None:
    """Writes results as JSON and as a page."""
    for file, text in ((path, json.dumps(found, indent=1) + "\n"), (table, page)):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
