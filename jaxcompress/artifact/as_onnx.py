"""A function and its parameters in one ONNX model, by jax2onnx."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import jax

from jaxcompress.artifact.whole_bytes import Stored, values


def as_onnx(
    parameters: Sequence[Stored], call: Callable[[list[Any], Any], Any], example: Any
) -> bytes:
    """Returns a model of the inputs alone; they keep their order and their layout.

    Codes are initialisers of uint8 that the model decodes.

    Args:
        call: (leaves, inputs) -> outputs.
        example: shapes and dtypes of the inputs.

    Raises:
        ImportError: jax2onnx is not installed.
    """
    try:
        convert: Any = import_module("jax2onnx").to_onnx
    except ImportError as error:
        raise ImportError(
            'ONNX needs the package jax2onnx: pip install "jaxcompress[onnx]"'
        ) from error
    inputs, structure = jax.tree.flatten(example)

    def whole(*x: Any) -> Any:
        leaves = [values(found) for found in parameters]
        return call(leaves, jax.tree.unflatten(structure, x))

    named = [
        jax.ShapeDtypeStruct(
            tuple(n if isinstance(n, int) else "batch" for n in x.shape), x.dtype
        )
        for x in inputs
    ]
    return convert(whole, named).SerializeToString()
