"""A compact network's parameters in a Flax NNX module of its widths."""

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from jaxcompress.artifact.file import Artifact
from jaxcompress.network import Network

if TYPE_CHECKING:
    from flax import nnx

    Module = TypeVar("Module", bound=nnx.Module)
else:
    Module = TypeVar("Module")

# Of a batch normalisation whose part scale and shift have taken in a file.
AVERAGES = {"mean": 0.0, "var": 1.0}


def as_nnx(module: Module, model: Network | Artifact) -> Module:
    """Returns a module with the parameters of a compact network.

    The network comes from `models.as_function`, or from any function of a module's pure
    dict. The module has the same structure, and the widths that are left. A file holds no
    averages of batch normalisations: with those that stand for them, 0 and 1, the module
    computes the same, but is for inference, or for training with `use_running_average`;
    of what `compact` returned the averages are there.

    Args:
        module: any Flax NNX module; stays as it is.
        model: from `compact` or `load`.

    Raises:
        ValueError: the module has a parameter that the network lacks, or one of another
            shape: the message names both. A removed block or a factorised weight needs
            a module without it.

    Example:
        >>> small = as_nnx(Net(widths=(5, 9), rngs=rngs), load(path))  # doctest: +SKIP
    """
    from flax import nnx

    graph, random_state, state = nnx.split(module, nnx.RngState, ...)
    if isinstance(model, Artifact):
        leaves: dict[str, Any] = dict(zip(model.coding, model.leaves, strict=True))
    else:
        leaves = model.leaves()
    flat = nnx.to_flat_state(state)
    new = []
    for path, variable in flat:
        name = "/".join(map(str, path))
        leaf = leaves.pop(name, None)
        if leaf is None and isinstance(variable, nnx.BatchStat) and path[-1] in AVERAGES:
            leaf = np.full(variable.shape, AVERAGES[str(path[-1])], np.float32)
        if leaf is None:
            raise ValueError(f"as_nnx: the network has no parameter {name!r}")
        if np.shape(leaf) != variable.shape:
            raise ValueError(
                f"as_nnx: parameter {name!r} has shape {np.shape(leaf)} in the network "
                f"and {variable.shape} in the module"
            )
        new.append((path, variable.replace(leaf)))
    if leaves:
        raise ValueError(f"as_nnx: the module has no parameter {next(iter(leaves))!r}")
    return nnx.merge(graph, random_state, nnx.from_flat_state(new))
