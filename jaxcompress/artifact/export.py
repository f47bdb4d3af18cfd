"""Ways out: the same network in files that other programs read."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxcompress.artifact.as_onnx import as_onnx
from jaxcompress.artifact.as_safetensors import as_safetensors
from jaxcompress.artifact.as_stablehlo import as_stablehlo
from jaxcompress.artifact.file import Artifact
from jaxcompress.artifact.program import PLATFORMS, flat
from jaxcompress.artifact.whole_bytes import Stored, stored
from jaxcompress.codings.tensor import Coding
from jaxcompress.network import Network
from jaxcompress.whole_file import write_whole

SUFFIXES = (".safetensors", ".stablehlo", ".onnx")


def export(
    path: str | os.PathLike[str], model: Network | Artifact, packed: bool = True
) -> int:
    """Writes a network to a file of another kind, which its suffix names.

    `.safetensors`: the parameters, and how to decode them, see docs/artifacts.md.
    `.stablehlo`: the function with its parameters inside, serialised by `jax.export`.
    `.onnx`: the same as ONNX; needs the package jax2onnx.

    Args:
        path: of the file; an existing one is replaced, whole or not at all.
        model: from `compact` or `load`; for ONNX from `compact`.
        packed: whether coded parameters stay codes of 1, 2, 4, 8 or 16 bits, which are
            decoded when the function runs; else all are float32.

    Returns:
        The bytes of the file.

    Raises:
        ValueError: the suffix names none of them, or a loaded file is to become ONNX.
        ImportError: a package is missing that writes the format.
        OSError: the file cannot be written.

    Example:
        >>> export("model.onnx", compact(network, plan))  # doctest: +SKIP
    """
    suffix = Path(path).suffix
    if suffix not in SUFFIXES:
        raise ValueError(f"export: {suffix!r} names no format; allowed: {SUFFIXES}")
    parameters = _parameters(model, packed)
    if suffix == ".safetensors":
        data = as_safetensors(parameters)
    elif suffix == ".stablehlo":
        data = as_stablehlo([*parameters.values()], *_function(model))
    elif isinstance(model, Artifact):
        raise ValueError(
            "export: a file's function is lowered already, too far for ONNX; give the "
            "network that `compact` returned"
        )
    else:
        steps = replace(model, apply=model.interpret)  # no calls inside of calls
        data = as_onnx([*parameters.values()], *flat(steps))
    write_whole(Path(path), data)
    return len(data)


def _parameters(model: Network | Artifact, packed: bool) -> dict[str, Stored]:
    leaves: Mapping[str, Any]
    if isinstance(model, Artifact):
        leaves = dict(zip(model.coding, model.leaves, strict=True))
    else:
        leaves = model.leaves()
    found = {}
    for path, leaf in leaves.items():
        if leaf.dtype != np.float32:
            raise ValueError(f"export: parameter {path!r} is {leaf.dtype}; wanted float32")
        coding = model.coding.get(path, Coding(32))
        found[path] = stored(np.asarray(leaf), coding, packed)
    return found


def _function(
    model: Network | Artifact,
) -> tuple[Callable[[list[Any], Any], Any], Any, Sequence[str]]:
    """Returns (leaves, inputs) -> outputs, the inputs' shapes, and the platforms."""
    if not isinstance(model, Artifact):
        return *flat(model), PLATFORMS
    exported = model.program.exported
    shapes = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in exported.in_avals]
    (_, example), _ = jax.tree.unflatten(exported.in_tree, shapes)
    return model.program, example, exported.platforms
