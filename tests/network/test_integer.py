"""Layers that multiply codes, against sums of integers by NumPy."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from network.exact import compiled

import jaxcompress as jc
from jaxcompress.artifact import executable, executed
from jaxcompress.codings.tensor import Coding
from jaxcompress.network import Codes, is_exact

Pair = Sequence[int]


def convolved(
    x: np.ndarray,
    w: np.ndarray,
    strides: Pair = (1, 1),
    padding: Sequence[Pair] = ((0, 0), (0, 0)),
    lhs_dilation: Pair = (1, 1),
    rhs_dilation: Pair = (1, 1),
    groups: int = 1,
) -> np.ndarray:
    """A convolution by its definition, of NHWC with HWIO, in int64."""
    n, *space, channels = x.shape
    dilated = [(s - 1) * d + 1 for s, d in zip(space, lhs_dilation, strict=True)]
    wide = np.zeros((n, *dilated, channels), np.int64)
    wide[:, :: lhs_dilation[0], :: lhs_dilation[1]] = x
    wide = np.pad(wide, ((0, 0), *padding, (0, 0)))
    *kernel, width, outputs = w.shape
    ends = [(k - 1) * d + 1 for k, d in zip(kernel, rhs_dilation, strict=True)]
    count = [
        (s - e) // t + 1 for s, e, t in zip(wide.shape[1:3], ends, strides, strict=True)
    ]
    found = np.zeros((n, *count, outputs), np.int64)
    each = outputs // groups
    for i, j in np.ndindex(*count):
        row, column = i * strides[0], j * strides[1]
        seen = wide[:, row : row + ends[0], column : column + ends[1]]
        seen = seen[:, :: rhs_dilation[0], :: rhs_dilation[1]]
        for g in range(groups):
            own = slice(g * each, (g + 1) * each)
            part = seen[..., g * width : (g + 1) * width]
            found[:, i, j, own] = np.einsum("nhwc,hwco->no", part, w[..., own])
    return found


def shape_of(code: Coding) -> tuple[int, ...]:
    assert code.codes is not None
    return code.codes.shape


def coded(
    apply: Callable[[Any, Any], Any],
    coding: dict[str, Coding],
    x: Any,
    bits: dict[str, int] | int,
    span: Sequence[float],
) -> jc.Network:
    """A network of weights in these codes, its layers' inputs on grids of these bits."""
    leaves = {name: jnp.ones(shape_of(code)) for name, code in coding.items()}
    network = jc.trace(apply, leaves, x)
    names = [layer.name for layer in network.layers]
    each = {n: bits if isinstance(bits, int) else bits.get(n, 8) for n in names}
    plan = jc.Plan(
        activation_bits={name: np.asarray(each[name], np.int32) for name in names},
        activation_ranges=dict.fromkeys(names, np.asarray(span, np.float32)),
    )
    return replace(jc.compact(network, plan), coding=coding)


def in_int8(small: jc.Network, x: Any) -> jax.Array:
    """Runs a network of one layer in int8."""
    function = executable(small, "integer")
    assert executed(small, function) == ["int8"]
    return compiled(function.apply)(function.params, jnp.float32(x))


def lowered(
    apply: Callable[[Any, Any], Any], w: np.ndarray, x: np.ndarray, bits: int, low: int
) -> jax.Array:
    """Runs a layer in int8 on whole numbers, on grids whose scales are 1."""
    top = 2**bits - 1 if low == 0 else 2 ** (bits - 1) - 1
    coding = {"w": Coding(bits, w.astype(np.int32), np.ones([1] * w.ndim, np.float32))}
    small = coded(apply, coding, jnp.float32(x), bits, [low * top, top])
    return in_int8(small, x)


def whole(shape: Sequence[int], bits: int, low: int = -1, seed: int = 0) -> np.ndarray:
    """Random whole numbers of a grid, its ends among them."""
    top = 2**bits - 1 if low == 0 else 2 ** (bits - 1) - 1
    found = np.random.default_rng(seed).integers(low * top, top + 1, shape)
    found.flat[0], found.flat[-1] = top, low * top
    return found


@pytest.mark.parametrize(
    ("options", "width", "bits", "low"),
    [
        ({}, 3, 8, -1),
        ({"strides": (2, 1), "padding": ((1, 2), (0, 1))}, 3, 8, 0),
        ({"lhs_dilation": (2, 3), "padding": ((2, 1), (1, 1))}, 3, 8, 0),
        ({"rhs_dilation": (2, 1), "padding": ((1, 1), (1, 1)), "groups": 2}, 3, 8, 0),
        ({"padding": ((1, 1), (1, 1)), "groups": 6}, 1, 8, 0),
        ({"padding": ((1, 1), (1, 1))}, 3, 4, 0),
    ],
)
def test_convolutions_are_exact(
    options: dict[str, Any], width: int, bits: int, low: int
) -> None:
    layout = "NCHW" if options.get("groups") == 2 or low else "NHWC"
    groups = options.get("groups", 1)
    x = whole((2, 5, 4, width * groups), bits, low)
    w = whole((3, 2, width, 6), bits, seed=1)
    wanted = convolved(x, w, **options)
    given = options | {"window_strides": options.get("strides", (1, 1))}
    given |= {"padding": options.get("padding", ((0, 0), (0, 0)))}
    given["feature_group_count"] = given.pop("groups", 1)
    given.pop("strides", None)
    numbers = (layout, "HWIO" if layout == "NHWC" else "OIHW", layout)

    def apply(p: Any, x: Any) -> Any:
        return lax.conv_general_dilated(x, p["w"], dimension_numbers=numbers, **given)

    if layout == "NCHW":
        x, w = np.moveaxis(x, 3, 1), w.transpose(3, 2, 0, 1)
        wanted = np.moveaxis(wanted, 3, 1)
    np.testing.assert_array_equal(lowered(apply, w, x, bits, low), wanted)


@pytest.mark.parametrize(
    ("text", "shapes", "low"),
    [
        ("nc,co->no", ((3, 33), (33, 5)), -1),
        ("ntc,cho->ntho", ((2, 3, 20), (20, 2, 4)), 0),
        ("nthc,hco->nto", ((2, 3, 2, 9), (2, 9, 4)), 0),
    ],
)
def test_dots_are_exact(text: str, shapes: tuple[Pair, Pair], low: int) -> None:
    x, w = whole(shapes[0], 8, low), whole(shapes[1], 8, seed=1)
    wanted = np.einsum(text, x, w)
    got = lowered(lambda p, x: jnp.einsum(text, x, p["w"]), w, x, 8, low)
    np.testing.assert_array_equal(got, wanted)


def test_a_weight_on_the_left_and_nan_in_one_row() -> None:
    x, w = whole((3, 7), 8, 0), whole((5, 7), 8, seed=1)
    given = x.astype(np.float32)
    given[1, 2] = np.nan

    def apply(p: Any, x: Any) -> Any:
        return lax.dot_general(p["w"], x, (((1,), (1,)), ((), ()))).T

    got = np.asarray(lowered(apply, w, given, 8, 0))
    assert np.isnan(got[1]).all()
    np.testing.assert_array_equal(got[[0, 2]], (x @ w.T)[[0, 2]])


def test_nan_stays_in_its_image() -> None:
    x, w = whole((3, 4, 4, 2), 8, -1).astype(np.float32), whole((2, 2, 2, 3), 8)
    x[1, 0, 0, 0] = np.nan

    def apply(p: Any, x: Any) -> Any:
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            x, p["w"], (1, 1), "SAME", dimension_numbers=numbers
        )

    got = np.asarray(lowered(apply, w, x, 8, -1))
    assert np.isnan(got[1]).any() and np.isfinite(got[[0, 2]]).all()


@pytest.mark.parametrize("low", [-2.0, 0.0])
@pytest.mark.parametrize(("bits", "channels"), [(8, 1), (3, 7), (1, 7)])
def test_scales_come_after_the_sums(low: float, bits: int, channels: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(low, 2.0, (6, 40)).astype(np.float32)
    scale = rng.uniform(0.1, 1.0, (1, channels)).astype(np.float32)
    code = Coding(5, whole((40, 7), 5).astype(np.int32), scale)
    small = coded(lambda p, x: x @ p["w"], {"w": code}, x, bits, [low, 2.0])
    if bits == 1 and low < 0:
        steps, codes = 1, np.where(x < 0, -0.5, 0.5)
    else:
        steps = 2**bits - 1 if low == 0 else 2 ** (bits - 1) - 1
        codes = np.rint(np.float64(x) * steps / 2)
        # A tie in float32 is none in float64, perhaps.
        assert (np.abs(np.float64(x) * steps / 2 % 1 - 0.5) > 1e-5).all()
    wanted = codes @ whole((40, 7), 5).astype(np.float64) * np.float64(scale) * 2 / steps
    got = in_int8(small, x)
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6 * np.abs(wanted).max())


def test_what_cannot_be_exact_stays_float() -> None:
    """A transposed weight, a scale along the sum, weights of 16 bits, inputs of 16."""
    shapes = {"turned": (3, 2), "tied": (3, 3), "fine": (3, 3), "wide": (3, 3)}
    shapes |= {"open": (3, 2)}
    bits = dict.fromkeys(shapes, 8) | {"wide": 16}
    coding = {
        name: Coding(bits[name], np.ones(shape, int), np.ones((1, shape[1]), np.float32))
        for name, shape in shapes.items()
    }

    def apply(p: Any, x: Any) -> Any:
        h = x @ p["turned"].T @ p["tied"]
        h = lax.dot_general(h, p["tied"], (((1,), (1,)), ((), ())))
        return h @ p["fine"] @ p["wide"] @ p["open"]

    x = jnp.ones((2, 2))
    small = coded(apply, coding, x, {"open": 16}, [0, 1])
    codes = "float32 from 8-bit codes"
    # The scales are along the output of one of the two uses.
    wanted = [codes, "int8", codes, "int8", "float32", codes]
    assert executed(small, executable(small, "integer")) == wanted
    wanted = ["float32" if word == "float32" else codes for word in wanted]
    assert executed(small, executable(small, "packed")) == wanted
    assert executed(small, executable(small, "float32")) == ["float32"] * 6


def test_sums_stay_below_the_largest_int32() -> None:
    network = jc.trace(lambda w, x: x @ w, jnp.ones((3, 2)), jnp.ones((2, 3)))
    (step,) = network.program.steps
    most = (2**31 - 1) // (255 * 127)
    for length, fits in ((most, True), (most + 1, False)):
        codes = Codes(jnp.zeros(0), jnp.ones((1, 2)), (length, 2), 8, True, integer=True)
        assert is_exact(step, codes, 1, 255) == fits
