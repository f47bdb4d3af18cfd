"""Gradients of kernels as matrix products, against sums written out in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from jax import lax

from jaxcompress.training import kernel_gradients
from jaxcompress.training.kernel_gradients import with_quick_kernel_gradients


def slopes(function, *args):
    """Returns its gradient by all arguments, as written and as this makes it."""
    by = tuple(range(len(args)))
    plain = jax.jit(jax.value_and_grad(function, by))(*args)
    quick = jax.jit(jax.value_and_grad(with_quick_kernel_gradients(function), by))(*args)
    return plain, quick


def written_out(x, slope, window, strides, dilation, padding):
    """The gradient by the kernel [*window, in, out], number by number, in float64."""
    x = np.pad(np.float64(x), ((0, 0), *padding, (0, 0)))
    found = np.zeros((*window, x.shape[-1], slope.shape[-1]))
    for place in itertools.product(*map(range, window)):
        for at in itertools.product(*map(range, slope.shape[1:-1])):
            read = tuple(
                a * s + p * d
                for a, s, p, d in zip(at, strides, place, dilation, strict=True)
            )
            found[place] += x[(slice(None), *read)].T @ np.float64(
                slope[(slice(None), *at)]
            )
    return found


@given(st.data())
@settings(max_examples=12, deadline=None)
def test_equals_the_sum_over_windows(data):
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    window, strides, dilation = (data.draw(pairs) for _ in range(3))
    edge = st.tuples(st.integers(0, 2), st.integers(0, 2))
    padding = (data.draw(edge), data.draw(edge))
    batch, ins, outs = (data.draw(st.integers(1, n)) for n in (13, 3, 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = rng.standard_normal((batch, 9, 8, ins), np.float32)
    kernel = rng.standard_normal((*window, ins, outs), np.float32)

    def run(x, kernel):
        return lax.conv_general_dilated(
            x,
            kernel,
            strides,
            padding,
            rhs_dilation=dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    slope = rng.standard_normal(run(x, kernel).shape, np.float32)
    quick = with_quick_kernel_gradients(lambda x, kernel: (run(x, kernel) * slope).sum())
    found = jax.grad(quick, 1)(x, kernel)
    wanted = written_out(x, slope, window, strides, dilation, padding)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bytes_at_once", [1, 17_000, 1 << 30])
@pytest.mark.parametrize(
    ("names", "shapes"),
    [
        (("NHWC", "HWIO", "NHWC"), ((12, 6, 5, 3), (3, 3, 3, 4))),
        (("NCHW", "OIHW", "NCHW"), ((12, 3, 6, 5), (4, 3, 3, 3))),
        (("NHC", "HIO", "NHC"), ((12, 7, 3), (3, 3, 4))),
        (("NDHWC", "DHWIO", "NDHWC"), ((2, 3, 4, 5, 2), (2, 2, 3, 2, 3))),
    ],
)
def test_every_layout_and_part_of_the_batch(monkeypatch, names, shapes, bytes_at_once):
    monkeypatch.setattr(kernel_gradients, "WINDOWS", bytes_at_once)
    x, kernel = (
        jax.random.normal(jax.random.key(n), shape) for n, shape in enumerate(shapes)
    )
    strides = (1,) * (x.ndim - 2)

    def loss(x, kernel):
        y = lax.conv_general_dilated(x, kernel, strides, "SAME", dimension_numbers=names)
        return jnp.square(y).sum()

    plain, quick = slopes(loss, x, kernel)
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(quick), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_many_small_products_are_summed_in_float32(monkeypatch, dtype):
    monkeypatch.setattr(kernel_gradients, "WINDOWS", 1)  # one image at a time
    x = np.random.default_rng(0).uniform(0, 1, (300, 6, 6, 2)).astype(dtype)
    kernel = jnp.zeros((3, 3, 2, 2), dtype)

    def total(kernel, x):
        y = lax.conv_general_dilated(
            x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return jnp.sum(y, dtype=jnp.float32)

    found = jax.grad(with_quick_kernel_gradients(total))(kernel, jnp.asarray(x))
    assert found.dtype == kernel.dtype
    slope = np.ones((300, 4, 4, 2))
    wanted = written_out(x, slope, (3, 3), (1, 1), (1, 1), ((0, 0), (0, 0)))
    np.testing.assert_allclose(np.float64(found), wanted, rtol=5e-3)


@pytest.mark.parametrize(
    ("shape", "kernel"),
    [
        ((0, 5, 5, 2), (3, 3, 2, 2)),
        ((3, 2, 2, 2), (3, 3, 2, 2)),
        ((3, 9, 9, 2), (9, 9, 2, 2)),
    ],
)
def test_empty_and_very_large_ones_are_left_as_they_are(shape, kernel):
    def total(kernel, x):
        return lax.conv_general_dilated(
            x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        ).sum()

    plain, quick = slopes(total, jnp.ones(kernel), jnp.ones(shape))
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(quick), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_surrounds_a_convolution_keeps_its_gradient():
    """Functions with gradients of their own, inner calls, loops, groups, many results."""

    @jax.custom_vjp
    def rounded(x):
        return jnp.round(x)

    rounded.defvjp(lambda x: (jnp.round(x), None), lambda _, slope: (2.0 * slope,))

    def conv(x, kernel, groups=1):
        return lax.conv_general_dilated(
            x,
            kernel,
            (1, 1),
            "SAME",
            feature_group_count=groups,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    def loss(tree, x):
        y = jax.jit(jax.nn.relu)(jax.jit(conv)(x, rounded(3.0 * tree["first"])))
        y, _ = lax.scan(lambda y, k: (jnp.tanh(conv(y, k)), None), y, tree["looped"])
        return {"loss": conv(y, tree["grouped"], 4).sum(), "seen": y.mean()}

    keys = jax.random.split(jax.random.key(0), 4)
    tree = {
        "first": jax.random.normal(keys[0], (3, 3, 2, 4)),
        "looped": jax.random.normal(keys[1], (2, 3, 3, 4, 4)),
        "grouped": jax.random.normal(keys[2], (3, 3, 1, 4)),
    }
    x = jax.random.normal(keys[3], (5, 6, 6, 2))
    quick = with_quick_kernel_gradients(loss)
    assert jax.tree.map(float, quick(tree, x)) == jax.tree.map(float, loss(tree, x))
    plain = jax.grad(lambda tree, x: loss(tree, x)["loss"], (0, 1))(tree, x)
    found = jax.grad(lambda tree, x: quick(tree, x)["loss"], (0, 1))(tree, x)
    assert not np.allclose(plain[0]["first"], 0)
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_no_gradient_is_left_to_a_window_as_large_as_the_image():
    """The program has no convolution any more whose window is the image, 16x16."""

    def loss(kernel, x):
        y = lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return jnp.square(y).sum()

    def windows(function):
        jaxpr = jax.make_jaxpr(jax.grad(function, (0, 1)))(jnp.ones((3, 3, 4, 4)), x)
        for eqn in jaxpr.eqns:
            if eqn.primitive.name == "conv_general_dilated":
                _, kernel, _ = eqn.params["dimension_numbers"]
                yield tuple(eqn.invars[1].aval.shape[dim] for dim in kernel[2:])

    x = jnp.ones((8, 16, 16, 4))
    assert set(windows(loss)) == {(3, 3), (16, 16)}
    assert set(windows(with_quick_kernel_gradients(loss))) == {(3, 3)}
