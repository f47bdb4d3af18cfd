"""A function and its parameters in one ONNX model, by jax2onnx."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import jax
from jax import lax
from jax.extend.core import Literal

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
    return convert(_without_pads(whole), named).SerializeToString()


def _without_pads(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that concatenates where it would pad.

    The rule for `pad` in jax2onnx wants a batch size that is a number.
    """

    def run(*x: Any) -> Any:
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*x)
        names = [*closed.jaxpr.constvars, *closed.jaxpr.invars]
        values: dict[Any, Any] = dict(zip(names, [*closed.consts, *x], strict=True))

        def read(var: Any) -> Any:
            return var.val if isinstance(var, Literal) else values[var]

        for eqn in closed.jaxpr.eqns:
            operands = [read(var) for var in eqn.invars]
            if eqn.primitive.name == "pad":
                array, value = operands
                outs = [_padded(array, value, eqn.params["padding_config"])]
            else:
                params = eqn.primitive.get_bind_params(eqn.params)
                outs = eqn.primitive.bind(*operands, **params)
                outs = outs if eqn.primitive.multiple_results else [outs]
            values |= zip(eqn.outvars, outs, strict=True)
        results = [read(var) for var in closed.jaxpr.outvars]
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return run


def _padded(x: Any, value: Any, config: Sequence[tuple[int, int, int]]) -> Any:
    if any(low < 0 or high < 0 or inner for low, high, inner in config):
        return lax.pad(x, value, config)
    for axis, (low, high, _) in enumerate(config):

        def side(count: int, axis: int = axis, x: Any = x) -> list[Any]:
            shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
            return [lax.broadcast(value, shape)] if count else []

        x = lax.concatenate([*side(low), x, *side(high)], axis) if low or high else x
    return x
