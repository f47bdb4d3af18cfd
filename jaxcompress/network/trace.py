"""From a function and its parameters to a `Network`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr

from jaxcompress.network.axes import Axes, Factor, freeze as freeze_axes, fresh
from jaxcompress.network.batch import baked_in, batch_reason
from jaxcompress.network.blocks import find_blocks
from jaxcompress.network.contractions import contractions
from jaxcompress.network.groups import find_groups, named
from jaxcompress.network.layers import find_layers, layer_names, weight_of
from jaxcompress.network.network import Network
from jaxcompress.network.nodes import Nodes
from jaxcompress.network.program import Program, flatten
from jaxcompress.network.settle import settle
from jaxcompress.network.sizes import Layout


def trace(
    apply: Callable[[Any, Any], Any],
    params: Any,
    example_input: Any,
    *,
    freeze: str | Sequence[str] = (),
) -> Network:
    """Traces a network: finds its layers, its channel groups and what they cost.

    Args:
        apply: a pure function (params, inputs) -> outputs, in inference mode.
        params: a pytree of arrays: Flax, Equinox, Haiku or plain JAX.
        example_input: an array or a pytree of arrays, or of `jax.ShapeDtypeStruct`; the
            first axis of each is the batch axis. A batch of 1 is traced as 2.
        freeze: patterns of parameter paths (as in `fnmatch`) whose channels must stay.

    Returns:
        The network; `print` shows it as a table.

    Raises:
        ValueError: a parameter is no array or holds NaN, `apply` fails, has side
            effects or branches on values, or the example input does not fit.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxcompress as jc
        >>> params = {"w": jnp.ones((4, 8)), "v": jnp.ones((8, 2))}
        >>> apply = lambda p, x: jnp.maximum(x @ p["w"], 0.0) @ p["v"]
        >>> jc.trace(apply, params, jnp.ones((2, 4))).macs
        48
    """
    paths = _checked_paths(params)
    freeze = (freeze,) if isinstance(freeze, str) else tuple(freeze)
    for pattern in freeze:
        if not any(fnmatch(path, pattern) for path in paths):
            raise ValueError(
                f"trace: freeze has {pattern!r}, which names none of {list(paths)}"
            )
    example = jax.tree.map(_example, example_input)
    if not jax.tree.leaves(example):
        raise ValueError("trace: example_input holds no array; give one batch of inputs")
    closed, out_tree = _jaxpr(apply, params, example)

    nodes = Nodes()
    leaves = [fresh(nodes, np.shape(leaf)) for leaf in jax.tree.leaves(params)]
    inputs = _inputs(nodes, jax.tree.leaves(example))
    program, outputs = flatten(closed, nodes, leaves, inputs)
    for axes in outputs:
        for factor in axes.factors:
            if not nodes.batch(factor.nodes).all():
                nodes.freeze(factor.nodes, "network output")
    unused = _unused(program, paths)
    for path, axes in zip(paths, leaves, strict=True):
        if path in unused:
            freeze_axes(nodes, axes, range(axes.ndim), "nothing uses this parameter")
        if any(fnmatch(path, pattern) for pattern in freeze):
            freeze_axes(nodes, axes, range(axes.ndim), "frozen by the user")
    settle(nodes)

    arrays = (axes for step in program.walk() for axes in step.outs)
    layout, groups = find_groups(nodes, leaves, paths, arrays)
    found = contractions(program, layout)
    weights = [weight_of(contraction, nodes, leaves) for contraction in found]
    names = layer_names(weights, paths)
    makers: dict[tuple[str, int], str] = {}
    for weight, name in zip([w for w in weights if w is not None], names, strict=True):
        for axis in weight.out_axes:
            makers.setdefault((paths[weight.leaf], axis), name)
    groups = named(groups, makers)
    layers = find_layers(found, weights, names, paths, leaves, groups, layout, program)
    blocks, liveness = find_blocks(
        program,
        layers,
        paths,
        [any(fnmatch(path, pattern) for pattern in freeze) for path in paths],
        layout.count,
    )
    layout = replace(layout, count=layout.count + len(blocks))
    return Network(
        apply=apply,
        params=params,
        example=example,
        layers=layers,
        groups=groups,
        blocks=blocks,
        unused=unused,
        coding={},
        batch_reason=batch_reason(nodes, program, leaves)
        or _baked_in(apply, params, example, program, layout),
        paths=paths,
        program=program,
        layout=layout,
        contractions=found,
        liveness=liveness,
        leaf_axes=tuple(leaves),
        out_tree=out_tree,
    )


def _checked_paths(params: Any) -> tuple[str, ...]:
    flat, _ = jax.tree_util.tree_flatten_with_path(params)
    if not flat:
        raise ValueError("trace: params holds no array; there is nothing to compress")
    paths = []
    for key, leaf in flat:
        path = jax.tree_util.keystr(key, simple=True, separator="/")
        if not isinstance(leaf, (jax.Array, np.ndarray, np.generic)):
            raise ValueError(
                f"trace: parameter {path!r} is a {type(leaf).__name__}, not an array; "
                "keep anything else out of params (in a closure, say)"
            )
        numeric = jnp.issubdtype(leaf.dtype, jnp.inexact)
        if numeric and not isinstance(leaf, Tracer) and not _finite(leaf):
            raise ValueError(
                f"trace: parameter {path!r} holds NaN or infinite values; "
                "a network must be finite before it is compressed"
            )
        if path in paths:
            raise ValueError(
                f"trace: two parameters have the path {path!r} (a key with a slash?); "
                "rename one"
            )
        paths.append(path)
    return tuple(paths)


def _finite(leaf: Any) -> bool:
    return bool(np.isfinite(np.asarray(leaf, np.float64)).all())


def _example(x: Any) -> jax.ShapeDtypeStruct:
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        raise ValueError(
            f"trace: example_input holds a {type(x).__name__}; give arrays whose first "
            "axis is the batch axis"
        )
    if not x.shape:
        raise ValueError(
            "trace: example_input has rank 0; its first axis must be the batch axis"
        )
    dtype = jax.dtypes.canonicalize_dtype(x.dtype)
    return jax.ShapeDtypeStruct((max(x.shape[0], 2), *x.shape[1:]), dtype)


def _baked_in(
    apply: Callable[..., Any], params: Any, example: Any, program: Program, layout: Layout
) -> str | None:
    batch = jax.tree.leaves(example)[0].shape[0] * 2 + 3
    other = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype), example
    )
    try:
        closed, _ = _jaxpr(apply, params, other)
    except ValueError as error:
        return f"apply fails at batch size {batch} ({error})"
    return baked_in(closed, batch, program, layout)


def _jaxpr(apply: Callable[..., Any], params: Any, example: Any) -> tuple[ClosedJaxpr, Any]:
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x), x.dtype), params)
    try:
        closed, out = jax.make_jaxpr(apply, return_shape=True)(shapes, example)
    except jax.errors.ConcretizationTypeError as error:
        raise ValueError(
            "trace: apply branches on the value of an array (data-dependent Python "
            f"control flow); use jnp.where or lax.cond. {_first_line(error)}"
        ) from error
    except Exception as error:
        inputs = jax.tree.map(lambda x: f"{x.dtype.name}{list(x.shape)}", example)
        raise ValueError(
            f"trace: apply(params, inputs) failed on inputs {inputs} with "
            f"{type(error).__name__}: {_first_line(error)}"
        ) from error
    if closed.effects:
        kinds = ", ".join(sorted(map(str, closed.effects)))
        raise ValueError(f"trace: apply has side effects ({kinds}); it must be pure")
    return closed, jax.tree.structure(out)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else "(no message)"


def _inputs(nodes: Nodes, example: Sequence[jax.ShapeDtypeStruct]) -> list[Axes]:
    """Returns the axes of the inputs: one common batch axis, all others frozen."""
    sizes = {x.shape[0] for x in example}
    if len(sizes) > 1:
        raise ValueError(
            f"trace: the inputs disagree on the batch size, the first axis: {sorted(sizes)}"
        )
    batch = nodes.new(sizes.pop(), batch=True)
    result = []
    for x in example:
        axes = fresh(nodes, (len(batch), *x.shape[1:]), "network input")
        result.append(Axes(axes.legs, (Factor((0,), batch), *axes.factors[1:])))
    return result


def _unused(program: Program, paths: Sequence[str]) -> tuple[str, ...]:
    """Returns the parameters from which no output is computed."""
    needed = {out for out in program.outputs if isinstance(out, int)}
    for step in reversed(program.steps):
        if needed.intersection(step.results):
            needed |= {arg for arg in step.args if isinstance(arg, int)}
    slots = program.inputs[: len(paths)]
    return tuple(p for p, slot in zip(paths, slots, strict=True) if slot not in needed)
