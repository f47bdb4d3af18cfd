"""A compact network's parameters in a Flax NNX module of its widths."""

from collections.abc import Mapping
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
    averages of batch normalisations: of one a module gets those that stand for them, 0 and
    1, and normalises by them in training, too (`use_running_average` is set): the
    statistics of a batch would be others. Of what `compact` returned they are there.

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
    folded = _averages(flat, leaves) if isinstance(model, Artifact) else {}
    new = []
    for path, variable in flat:
        name = "/".join(map(str, path))
        leaf = leaves.pop(name, None)
        if leaf is None and name in folded:
            leaf = np.full(variable.shape, folded[name], np.float32)
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
    result = nnx.merge(graph, random_state, nnx.from_flat_state(new))
    for _, part in nnx.iter_modules(result) if folded else ():
        if isinstance(part, nnx.BatchNorm):
            part.use_running_average = True
    return result


def _averages(flat: Any, leaves: Mapping[str, Any]) -> dict[str, float]:
    """Returns by name the averages that no file holds: scale and bias are there alone."""
    from flax import nnx

    found = {}
    for path, variable in flat:
        *where, last = map(str, path)
        name, *others = ("/".join([*where, each]) for each in (last, "scale", "bias"))
        known = isinstance(variable, nnx.BatchStat) and last in AVERAGES
        if known and name not in leaves and leaves.keys() >= {*others}:
            found[name] = AVERAGES[last]
    return found
