"""Published weights: safetensors with PyTorch's names and layout, into our modules."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from safetensors import SafetensorError
from safetensors.numpy import load_file

from jaxcompress import models
from jaxcompress.data import Task

CIFAR10 = Task((32, 32, 3), 10)
# Leaves of a batch normalisation and of a layer, and their names in PyTorch.
NAMES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


COUNTER = ".num_batches_tracked"
FEW = 4  # names of a kind in a message


@dataclass(frozen=True)
class Published:
    """A network whose weights others have trained and published.

    Attributes:
        model: its name in `jaxcompress.models.create`.
        mean, std: of each channel, in pixel values 0..255. The network takes
            (pixels - mean) / std: `dataclasses.replace(dataset, mean=..., std=...)`.
        source: where the weights are from.
    """

    model: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str


# The published networks of He et al. were trained with ImageNet's statistics.
_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)
_AKAMASTER = "https://github.com/akamaster/pytorch_resnet_cifar10"

PUBLISHED = {
    "resnet20_cifar10": Published("resnet20", _MEAN, _STD, _AKAMASTER),
    "resnet56_cifar10": Published("resnet56", _MEAN, _STD, _AKAMASTER),
    "resnet8_cifar10": Published(
        "mlperf_resnet8", (0.0,) * 3, (1.0,) * 3, "https://github.com/mlcommons/tiny"
    ),
}


def load(name: str, directory: str | os.PathLike[str]) -> nnx.Module:
    """Loads a published network from `directory/NAME.safetensors`.

    On the 10,000 test images of CIFAR-10 resnet20_cifar10 is right for 91.73 %,
    resnet56_cifar10 for 93.39 % and resnet8_cifar10 for 87.19 %.

    Args:
        name: a key of `PUBLISHED`, which also says how the network takes its images.
        directory: holds the safetensors files.

    Returns:
        The module, float32.

    Raises:
        ValueError: if the name is unknown, the file cannot be read, or its tensors are
            not those of the network.

    Example:
        >>> module = load("resnet20_cifar10", "weights")  # doctest: +SKIP
    """
    if name not in PUBLISHED:
        raise ValueError(
            f"published network {name!r} is unknown: allowed are {sorted(PUBLISHED)}"
        )
    path = Path(directory) / f"{name}.safetensors"
    return restored(PUBLISHED[name].model, CIFAR10, path)


def find(weights: str) -> Path:
    """Returns the file of weights that a configuration names.

    Args:
        weights: a file, or a key of `PUBLISHED`, which is looked for in the directory
            that the environment's JAXCOMPRESS_WEIGHTS names.

    Raises:
        ValueError: if there is no such file.
    """
    directory = os.environ.get("JAXCOMPRESS_WEIGHTS")
    path = Path(weights)
    if weights in PUBLISHED and not path.is_file():
        if not directory:
            raise ValueError(
                f"weights = {weights!r}: set JAXCOMPRESS_WEIGHTS to the directory that "
                f"holds {weights}.safetensors, or give the file; it is published at "
                f"{PUBLISHED[weights].source}"
            )
        path = Path(directory) / f"{weights}.safetensors"
    if not path.is_file():
        raise ValueError(
            f"weights = {weights!r}: there is no file {path}; allowed are a safetensors "
            f"file and {', '.join(sorted(PUBLISHED))}"
        )
    return path


def restored(model: str, task: Task, path: Path) -> nnx.Module:
    """Returns a network with the weights of a safetensors file, in PyTorch's layout.

    Args:
        model: a name that `jaxcompress.models.create` knows.
        task: the shapes of images and classes.
        path: of the file; its names and layouts are those of `filled`.

    Raises:
        ValueError: if the file cannot be read, or does not fit; see `filled`.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from error
    return filled(models.abstract(model, task), tensors, str(path))


def filled(
    module: nnx.Module, tensors: dict[str, np.ndarray], origin: str = "the weights"
) -> nnx.Module:
    """Returns the module with the values of tensors in PyTorch's names and layout.

    A convolution's OIHW becomes HWIO, a linear layer's (out, in) becomes (in, out);
    the name of a layer is the path of its attribute.

    Args:
        module: of convolutions, linear layers and batch normalisations; its own values
            do not matter, shapes are enough (`nnx.eval_shape`).
        tensors: by name.
        origin: what messages call them.

    Raises:
        ValueError: tensors are missing, left over, of the wrong shape or not finite; of
            each kind so many are named that the line can be read.
    """
    graph, state = nnx.split(module)
    flat: dict[Any, Any] = dict(nnx.to_flat_state(state))
    nameless = sorted({str(path[-1]) for path in flat} - NAMES.keys())
    if nameless:
        raise ValueError(
            f"{origin}: {type(module).__name__} holds {', '.join(nameless)}, which have no "
            "name in PyTorch; give a network of your own, model: module:function"
        )
    # Modern files count the batches of each normalisation; nothing computes with that.
    tensors = {n: x for n, x in tensors.items() if not n.endswith(COUNTER)}
    wanted = {".".join(map(str, (*path[:-1], NAMES[str(path[-1])]))): path for path in flat}
    problems = []
    for text, names in (
        ("missing", wanted.keys() - tensors.keys()),
        ("not of this network", tensors.keys() - wanted.keys()),
    ):
        if names:
            problems.append(f"{len(names)} {text}: {_few(names)}")
    for name in sorted(wanted.keys() & tensors.keys()):
        value = _ours(tensors[name])
        variable = flat[wanted[name]]
        if not np.isfinite(np.asarray(value, np.float32)).all():
            problems.append(f"{name} holds numbers that are not finite")
        elif value.shape == variable.shape:
            flat[wanted[name]] = variable.replace(jnp.asarray(value, jnp.float32))
        else:
            needed = _theirs(variable.shape)
            problems.append(f"{name} has shape {tensors[name].shape}, needed {needed}")
    if problems:
        raise ValueError(f"{origin} do not fit the network; {'; '.join(problems)}")
    return nnx.merge(graph, nnx.from_flat_state(flat))


def _few(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:FEW])
    return shown if len(names) <= FEW else f"{shown} and others"


def _ours(value: np.ndarray) -> np.ndarray:
    """Moves the two leading axes (out, in) to the end, as (in, out)."""
    return value if value.ndim < 2 else value.transpose(*range(2, value.ndim), 1, 0)


def _theirs(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if len(shape) < 2 else (shape[-1], shape[-2], *shape[:-2])
