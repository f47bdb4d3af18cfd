"""Random networks: any list of numbers is a network, so that failures shrink well.

A recipe is a list of (operation, a, b, c). Each operation takes one of the arrays made
so far (counted back from the newest by `a`), and adds its result; one that does not fit
the array's shape adds nothing. Numbers are reduced to what an operation allows.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from jax import lax

Op = Callable[[jax.Array, list[jax.Array], "Weights", int, int], jax.Array | None]
OPS: dict[str, Op] = {}
Recipe = tuple[int, list[tuple[str, int, int, int]]]
INPUTS = ((6,), (5, 4), (4, 4, 3), (4, 4, 2))


class Weights:
    """Hands out parameters: draws them in the first run, repeats them afterwards."""

    def __init__(self, given: Sequence[jax.Array] | None = None):
        self.made: list[Any] = [] if given is None else list(given)
        self._fixed = given is not None
        self._next = 0

    def __call__(self, *shape: int) -> jax.Array:
        if not self._fixed:
            rng = np.random.default_rng(len(self.made))
            self.made.append(rng.normal(size=shape) / max(1, prod(shape[:-1])) ** 0.5)
        self._next += 1
        return jnp.asarray(self.made[self._next - 1])

    def earlier(self, size: int, choice: int) -> jax.Array | None:
        """Returns a matrix used before, with `size` rows (transposed if need be)."""
        fit = [w for w in self.made[: self._next] if w.ndim == 2 and size in w.shape]
        if not fit:
            return None
        w = jnp.asarray(fit[choice % len(fit)])
        return w if w.shape[0] == size else w.T


def op(function: Op) -> Op:
    OPS[function.__name__] = function
    return function


def build(recipe: Recipe) -> tuple[Callable[[Any, Any], Any], Any, jax.Array]:
    """Returns (apply, params, example input) of a recipe."""
    kind, steps = recipe

    def run(weights: Weights, x: jax.Array) -> Any:
        # Six hidden channels to begin with: those of the input are frozen.
        arrays = [x, x @ weights(x.shape[-1], 6)]
        for name, a, b, c in steps:
            result = OPS[name](arrays[-1 - a % len(arrays)], arrays, weights, b, c)
            if result is not None and result.size <= 4000:
                arrays.append(result)
        last = arrays[-1].reshape(x.shape[0], -1)
        outputs = [last @ weights(last.shape[1], 3)]
        if len(steps) % 4 == 3 and len(arrays) > 1:
            outputs.append(arrays[len(arrays) // 2])
        return outputs

    example = jnp.ones((2, *INPUTS[kind % len(INPUTS)]))
    drawn = Weights()
    jax.eval_shape(lambda x: run(drawn, x), example)
    params = [jnp.asarray(w) for w in drawn.made]
    return lambda p, x: run(Weights(p), x), params, example


def recipes(length: int = 9) -> st.SearchStrategy[Recipe]:
    number = st.integers(0, 11)
    step = st.tuples(st.sampled_from(sorted(OPS)), number, number, number)
    return st.tuples(st.integers(0, 3), st.lists(step, min_size=1, max_size=length))


def _convolve(x: Any, w: Any, groups: int = 1, stride: int = 1, **more: Any) -> jax.Array:
    rank = x.ndim - 2
    letters = "HWD"[:rank]
    numbers = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    return lax.conv_general_dilated(
        x, w, (stride,) * rank, "SAME", dimension_numbers=numbers,
        feature_group_count=groups, **more,
    )  # fmt: skip


def _window(x: jax.Array, b: int) -> tuple[int, ...]:
    return (1 + 2 * (b % 2),) * (x.ndim - 2)


def _spatial(x: jax.Array) -> bool:
    return x.ndim in (3, 4)


@op
def convolution(x, arrays, w, b, c):
    if _spatial(x):
        dilation = (1 + b // 4 % 2,) * (x.ndim - 2)
        kernel = w(*_window(x, b), x.shape[-1], 1 + c % 6)
        return _convolve(x, kernel, stride=1 + b // 2 % 2, rhs_dilation=dilation)


@op
def grouped(x, arrays, w, b, c):
    groups = 2 + b % 2
    if _spatial(x) and x.shape[-1] % groups == 0:
        kernel = w(*_window(x, c), x.shape[-1] // groups, groups * (1 + c % 3))
        return _convolve(x, kernel, groups)


@op
def depthwise(x, arrays, w, b, c):
    if _spatial(x):
        channels = x.shape[-1]
        kernel = w(*_window(x, b), 1, channels * (1 + c % 2))
        return _convolve(x, kernel, channels, stride=1 + b // 2 % 2)


@op
def channels_first(x, arrays, w, b, c):
    if x.ndim == 4:
        kernel = w(1 + c % 5, x.shape[1], 1 + 2 * (b % 2), 1)
        return lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW")
        )


@op
def transposed(x, arrays, w, b, c):
    if x.ndim == 4 and x.shape[1] < 5:
        kernel = w(2, 2, x.shape[-1], 1 + c % 4)
        return lax.conv_transpose(x, kernel, (2, 2), "SAME")


@op
def dense(x, arrays, w, b, c):
    return x @ w(x.shape[-1], 1 + c % 6)


@op
def tied(x, arrays, w, b, c):
    earlier = w.earlier(x.shape[-1], c)
    return None if earlier is None else x @ earlier


@op
def low_rank(x, arrays, w, b, c):
    return x @ (w(x.shape[-1], 1 + b % 4) @ w(1 + b % 4, 1 + c % 6))


@op
def dense_of_two_axes(x, arrays, w, b, c):
    if x.ndim > 2:
        kernel = w(*x.shape[-2:], 1 + c % 3, 2 + b % 2)
        return jnp.einsum("...ab,abcd->...cd", x, kernel)


@op
def affine(x, arrays, w, b, c):
    x = x * w(x.shape[-1]) + w(x.shape[-1])
    return x if b % 2 else jnp.exp(-jnp.square(x))


@op
def activation(x, arrays, w, b, c):
    functions = [
        jax.nn.relu, jnp.tanh, jax.nn.gelu, jax.nn.silu, jax.nn.softplus, jnp.cos,
        jax.nn.elu, jax.nn.hard_swish, lambda x: jnp.clip(x * 0.5 + 1.0, 0.0, 2.0),
    ]  # fmt: skip
    return functions[b % len(functions)](x)


@op
def prelu(x, arrays, w, b, c):
    return jnp.where(x > 0, x, x * w(x.shape[-1]))


@op
def combine(x, arrays, w, b, c):
    """Adds, multiplies, ... an array of the same shape, or one projected to it."""
    same = [y for y in arrays if y.shape == x.shape]
    near = [y for y in arrays if y.shape[:-1] == x.shape[:-1]]
    y = same[b % len(same)]
    if y is x:
        y = near[c % len(near)]
        y = y @ w(y.shape[-1], x.shape[-1])
    return [jnp.add, jnp.multiply, jnp.maximum, jnp.subtract][c % 4](x, y)


@op
def concatenate(x, arrays, w, b, c):
    near = [y for y in arrays if y.shape[:-1] == x.shape[:-1]]
    parts = [x, near[b % len(near)], near[c % len(near)]]
    return jnp.concatenate(parts[: 2 + c % 2], -1)


@op
def concatenate_elsewhere(x, arrays, w, b, c):
    if x.ndim > 2:
        near = [y for y in arrays if y.shape == x.shape]
        return jnp.concatenate([x, near[b % len(near)]], 1 + c % (x.ndim - 1))


@op
def halves(x, arrays, w, b, c):
    """A gated linear unit, or halves swapped or subtracted."""
    if x.shape[-1] % 2 == 0:
        left, right = jnp.split(x, 2, -1)
        if b % 3 == 0:
            return left * jax.nn.sigmoid(right)
        return jnp.concatenate([right, left], -1) if b % 3 == 1 else left - right


@op
def cut(x, arrays, w, b, c):
    if x.shape[-1] > 2:
        start = b % (x.shape[-1] - 1)
        return [x[..., start:], x[..., ::2], x[..., ::-1], x[..., start : start + 1]][c % 4]


@op
def crop(x, arrays, w, b, c):
    if x.ndim > 2 and x.shape[1] > 1:
        return [x[:, 1:], x[:, ::2], x[:, 0], x[:, ::-1]][c % 4]


@op
def pad(x, arrays, w, b, c):
    low, high = b % 3, c % 3
    return jnp.pad(x, ((0, 0),) * (x.ndim - 1) + ((low, high),))


@op
def roll(x, arrays, w, b, c):
    return jnp.roll(x, 1 + b % 3, -1)


@op
def pool(x, arrays, w, b, c):
    if _spatial(x) and x.shape[1] > 1:
        window = (1, *(min(2, n) for n in x.shape[1:-1]), 1)
        start, function = [(-np.inf, lax.max), (0.0, lax.add)][b % 2]
        start = np.asarray(start, x.dtype)
        return lax.reduce_window(x, start, function, window, window, "VALID")


@op
def mean(x, arrays, w, b, c):
    if x.ndim > 2:
        return [x.mean(1), x.mean(tuple(range(1, x.ndim - 1))), x.max(-2)][b % 3]


@op
def reduce_channels(x, arrays, w, b, c):
    reduced = [jnp.mean, jnp.max, jnp.sum][b % 3](x, axis=-1, keepdims=True)
    return x - reduced if c % 2 else jnp.concatenate([reduced, reduced * 2], -1)


@op
def flatten(x, arrays, w, b, c):
    return x.reshape(x.shape[0], -1)


@op
def merge(x, arrays, w, b, c):
    if x.ndim > 2:
        return x.reshape(*x.shape[:-2], -1)


@op
def merge_first(x, arrays, w, b, c):
    if x.ndim > 3:
        return x.reshape(x.shape[0], -1, *x.shape[3:])


@op
def heads(x, arrays, w, b, c):
    count = 2 + b % 2
    if x.ndim < 5 and x.shape[-1] % count == 0:
        split = x.reshape(*x.shape[:-1], count, -1)
        return split if c % 2 else jnp.swapaxes(split, -1, -2)


@op
def shuffle(x, arrays, w, b, c):
    groups = 2 + b % 2
    if x.shape[-1] % groups == 0:
        split = x.reshape(*x.shape[:-1], groups, -1)
        return jnp.swapaxes(split, -1, -2).reshape(x.shape)


@op
def transpose(x, arrays, w, b, c):
    if x.ndim > 2:
        return jnp.moveaxis(x, -1, 1) if b % 2 else jnp.swapaxes(x, -1, -2)


@op
def reshape_anyhow(x, arrays, w, b, c):
    size = prod(x.shape[1:])
    divisors = [d for d in range(1, size + 1) if size % d == 0]
    return x.reshape(x.shape[0], -1, divisors[b % len(divisors)])


@op
def gate(x, arrays, w, b, c):
    """Squeeze and excitation."""
    if x.ndim > 2:
        axes = tuple(range(1, x.ndim - 1))
        inner = jax.nn.relu(x.mean(axes, keepdims=True) @ w(x.shape[-1], 1 + c % 4))
        return x * jax.nn.sigmoid(inner @ w(1 + c % 4, x.shape[-1]))


@op
def outer(x, arrays, w, b, c):
    vectors = [y for y in arrays if y.ndim == 2]
    if x.ndim == 2:
        return x[:, :, None] * vectors[b % len(vectors)][:, None, :]


@op
def broadcast(x, arrays, w, b, c):
    """Adds a vector to every position, or a position embedding to every channel."""
    vectors = [y for y in arrays if y.ndim == 2 and y.shape[1] == x.shape[-1]]
    if x.ndim > 2 and vectors and b % 2:
        return x + vectors[c % len(vectors)].reshape(-1, *(1,) * (x.ndim - 2), x.shape[-1])
    return x + w(*x.shape[1:])


@op
def repeat(x, arrays, w, b, c):
    if x.ndim < 4:
        y = jnp.broadcast_to(x[..., None, :], (*x.shape[:-1], 2, x.shape[-1]))
        return y if b % 2 else y.reshape(*x.shape[:-1], -1)


@op
def normalise(x, arrays, w, b, c):
    if b % 3 == 0:
        return jax.nn.standardize(x, axis=-1, epsilon=1e-3)
    if b % 3 == 1:
        return jax.nn.softmax(x, axis=-1)
    if x.shape[-1] % 2 == 0:
        split = x.reshape(*x.shape[:-1], x.shape[-1] // 2, 2)
        return jax.nn.standardize(split, axis=-1, epsilon=1e-1).reshape(x.shape)


@op
def attention(x, arrays, w, b, c):
    if x.ndim == 3:
        count, depth, width = 1 + b % 3, 1 + c % 2, x.shape[-1]
        shared = b % 2 == 0  # grouped queries: all heads share keys and values
        few = 1 if shared else count
        q = (x @ w(width, count * depth)).reshape(*x.shape[:2], count, depth)
        k = (x @ w(width, few * depth)).reshape(*x.shape[:2], few, depth)
        v = (x @ w(width, few * depth)).reshape(*x.shape[:2], few, depth)
        if shared:
            k, v = (jnp.repeat(y, count, 2) for y in (k, v))
        scores = jax.nn.softmax(jnp.einsum("nthd,nshd->nhts", q, k))
        return jnp.einsum("nhts,nshd->nthd", scores, v).reshape(*x.shape[:2], -1)


@op
def ordered(x, arrays, w, b, c):
    functions = [
        lambda x: jnp.cumsum(x, -1), lambda x: jnp.sort(x, -1),
        lambda x: lax.top_k(x, min(2, x.shape[-1]))[0], lambda x: jnp.cumsum(x, 1),
        lambda x: jax.nn.one_hot(jnp.argmax(x, -1), 3, dtype=x.dtype),
        lambda x: lax.cummax(x, axis=x.ndim - 1, reverse=True),
    ]  # fmt: skip
    return functions[b % len(functions)](x)


@op
def indexed(x, arrays, w, b, c):
    size = x.shape[-1]
    where = np.asarray([b % size, c % size])
    functions = [
        lambda: x[..., where],
        lambda: lax.dynamic_slice_in_dim(x, c % size, 1, x.ndim - 1),
        lambda: lax.dynamic_index_in_dim(x, 0, 1, keepdims=x.ndim == 2),
        lambda: x.at[..., c % size].set(0.5),
        lambda: jnp.take_along_axis(x, jnp.argsort(x, -1), -1),
        lambda: x[..., np.arange(size) != c % size] if size > 1 else x,
    ]
    return functions[b % len(functions)]()


@op
def masked(x, arrays, w, b, c):
    size = x.shape[-1]
    if b % 2 and x.ndim > 2:
        return jnp.where(jnp.tril(jnp.ones((x.shape[-2], size), bool)), x, -1.0)
    return x + jnp.arange(size) / (1 + c)


@op
def controlled(x, arrays, w, b, c):
    if b % 3 == 0:
        return lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x)
    if b % 3 == 1:
        return lax.fori_loop(0, 2, lambda i, y: jnp.sin(y) + i, x)
    return lax.while_loop(lambda y: y.sum() > 1e9, jnp.sin, x)


@op
def rematerialised(x, arrays, w, b, c):
    kernel = w(x.shape[-1], 1 + c % 4)
    return jax.checkpoint(lambda x, k: jax.nn.relu(x @ k))(x, kernel)


@op
def scanned(x, arrays, w, b, c):
    """Two residual layers with stacked weights, or a recurrence along axis 1."""
    size, inner = x.shape[-1], 1 + c % 4
    if b % 2 and x.ndim == 3:
        kernel = w(size, inner), w(inner, inner)

        def cell(h, t):
            h = jnp.tanh(t @ kernel[0] + h @ kernel[1])
            return h, h if c % 2 else h * 2

        last, line = lax.scan(cell, jnp.zeros((x.shape[0], inner)), jnp.swapaxes(x, 0, 1))
        return last if c % 3 else jnp.swapaxes(line, 0, 1)
    up, down = w(2, size, inner), w(2, inner, size)
    layer = lambda x, k: (x + jax.nn.relu(x @ k[0]) @ k[1], None)  # noqa: E731
    return lax.scan(layer, x, (up, down))[0]
