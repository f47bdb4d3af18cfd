"""Gradients of convolution kernels that are quick on a CPU.

XLA's CPU backend computes the gradient of a kernel as a convolution whose window is the
whole image. For large batches and for kernels of one place that takes several times as
long as it need (128 images of 32x32x16: a thirtieth of the speed of the forward pass),
within a scan always. Here it is a matrix product of the windows of the input with the
gradient of the output, a few images at a time, so that the windows stay in the
processor's cache. Some kernels alone take up to 1.4 times as long so at batches of 64 and
less; the whole gradient of ResNet-20 at 64 takes three quarters of what it took.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Literal, primitives
from jaxtyping import Array, Float

WINDOWS = 1 << 20  # bytes of windows at a time
PLACES = 64  # of a kernel: with more of them it takes long to compile


def with_quick_kernel_gradients(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the same function, whose gradient by convolution kernels is quicker.

    Values are those of the function itself; gradients differ by rounding. On another
    device than a CPU the function is returned as it is, and so stay convolutions with
    groups, dilated inputs or large kernels, and those within loops. For reverse mode only.

    Args:
        function: of pytrees of arrays, to a pytree of arrays.

    Example:
        >>> slope = jax.grad(with_quick_kernel_gradients(loss))  # doctest: +SKIP
    """
    if jax.default_backend() != "cpu":
        return function

    def run(*args: Any) -> Any:
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        outs = _run(closed.jaxpr, closed.consts, jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shapes), outs)

    return run


def _run(jaxpr: Any, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    env = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else env[atom]

    for eqn in jaxpr.eqns:
        operands = [read(atom) for atom in eqn.invars]
        if eqn.primitive is primitives.jit_p:
            inner = eqn.params["jaxpr"]
            outs = _run(inner.jaxpr, inner.consts, operands)
        elif _plain(eqn):
            outs = [_convolution(eqn)(*map(jnp.asarray, operands))]
        else:
            params = eqn.primitive.get_bind_params(eqn.params)
            found = eqn.primitive.bind(*operands, **params)
            outs = found if eqn.primitive.multiple_results else [found]
        env.update(zip(eqn.outvars, outs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _plain(eqn: Any) -> bool:
    if eqn.primitive is not primitives.conv_general_dilated_p:
        return False
    params, (x, kernel), (out,) = eqn.params, eqn.invars, eqn.outvars
    _, rhs, _ = params["dimension_numbers"]
    return (
        params["feature_group_count"] == params["batch_group_count"] == 1
        and set(params["lhs_dilation"]) <= {1}
        and math.prod(kernel.aval.shape[dim] for dim in rhs[2:]) <= PLACES
        and min(x.aval.size, kernel.aval.size, out.aval.size) > 0
        and jnp.issubdtype(out.aval.dtype, jnp.floating)
    )


def _convolution(eqn: Any) -> Callable[[Array, Array], Array]:
    """Returns the convolution of an equation, with a gradient of ours by its kernel."""

    def plain(x: Array, kernel: Array) -> Array:
        return eqn.primitive.bind(x, kernel, **eqn.params)

    def backward(saved: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
        x, kernel = saved
        (of_x,) = jax.linear_transpose(lambda x: plain(x, kernel), x)(slope)
        return of_x, _of_kernel(x, kernel, slope, eqn.params)

    found = jax.custom_vjp(plain)
    found.defvjp(lambda x, kernel: (plain(x, kernel), (x, kernel)), backward)
    return found


def _of_kernel(x: Array, kernel: Array, slope: Array, params: dict[str, Any]) -> Array:
    """Sums the products of windows and slopes over parts of the batch."""
    lhs, rhs, out = params["dimension_numbers"]
    x = jnp.transpose(x, (lhs[0], *lhs[2:], lhs[1]))
    slope = jnp.transpose(slope, (out[0], *out[2:], out[1]))
    inside = [(low, high, 0) for low, high in params["padding"]]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *inside, (0, 0, 0)])
    window = [kernel.shape[dim] for dim in rhs[2:]]
    columns = math.prod(window) * x.shape[-1]
    exact = jnp.promote_types(kernel.dtype, jnp.float32)  # sums of many small products

    def product(
        x: Float[Array, "n *space i"], slope: Float[Array, "n *size o"]
    ) -> Float[Array, "columns o"]:
        size = slope.shape[1:-1]
        windows = _windows(
            x, window, size, params["window_strides"], params["rhs_dilation"]
        )
        return lax.dot_general(
            windows.reshape(-1, columns),
            slope.reshape(-1, slope.shape[-1]),
            (((0,), (0,)), ((), ())),
            precision=params["precision"],
            preferred_element_type=exact,
        )

    each = math.prod(slope.shape[1:-1]) * columns * x.dtype.itemsize
    count = min(max(1, WINDOWS // each), len(x))
    more = -len(x) % count  # images of zeros, which add nothing

    def parts(a: Array) -> Array:
        whole = jnp.pad(a, ((0, more), *((0, 0),) * (a.ndim - 1)))
        return whole.reshape(-1, count, *a.shape[1:])

    found, _ = lax.scan(
        lambda total, part: (total + product(*part), None),
        jnp.zeros((columns, slope.shape[-1]), exact),
        (parts(x), parts(slope)),
    )
    found = found.reshape(*window, x.shape[-1], slope.shape[-1])
    order = [*rhs[2:], rhs[1], rhs[0]]
    places = [order.index(dim) for dim in range(kernel.ndim)]
    return jnp.transpose(found, places).astype(kernel.dtype)


def _windows(
    x: Float[Array, "n *space i"],
    window: Sequence[int],
    size: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
) -> Float[Array, "n *size columns"]:
    """Returns what each place of the output is computed from."""
    shifted = []
    for place in np.ndindex(*window):
        first = np.multiply(place, dilation)
        last = first + np.multiply(np.subtract(size, 1), strides) + 1
        start, limit = (0, *first, 0), (len(x), *last, x.shape[-1])
        shifted.append(lax.slice(x, start, limit, (1, *strides, 1)))
    return jnp.concatenate(shifted, axis=-1)
