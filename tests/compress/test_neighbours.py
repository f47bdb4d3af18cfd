"""Small convolutions by neighbouring outputs: which are, and that they compute the same."""

import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from network.exact import close, compiled, random_inputs, random_plan
from network.zoo import ZOO

import jaxcompress as jc
from jaxcompress.compress import Products, kept_first, masked, narrow, neighbours

JOINED = Products(neighbours=True)
LAYOUT = ("NHWC", "HWIO", "NHWC")


def convolution(
    image: tuple[int, ...],
    window: tuple[int, ...],
    layout: tuple[str, str, str] = LAYOUT,
    strides: tuple[int, ...] = (1, 1),
    padding: Any = "SAME",
    **others: Any,
) -> jc.Network:
    """One convolution of the last image axis's channels, traced with a batch of 2."""
    rng = np.random.default_rng(0)
    kernel = jnp.asarray(rng.normal(size=window), jnp.float32)

    def apply(params: Any, x: Any) -> Any:
        return jax.lax.conv_general_dilated(
            x, params["kernel"], strides, padding, dimension_numbers=layout, **others
        )

    return jc.trace(apply, {"kernel": kernel}, jnp.zeros((2, *image)))


def ran(network: jc.Network, x: Any, products: Products = JOINED) -> Any:
    return masked(network, jc.Plan(), x, network.params, products=products)


def windows(network: jc.Network) -> list[tuple[int, ...]]:
    """Returns the shape of the kernel of each convolution that runs."""
    x = random_inputs(network.example, 2)
    jaxpr = jax.make_jaxpr(lambda x: ran(network, x))(x).jaxpr
    found = [e for e in jaxpr.eqns if e.primitive.name == "conv_general_dilated"]
    return [e.invars[1].aval.shape for e in found]


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 7),
    half=st.integers(1, 4),
    window=st.tuples(st.integers(1, 4), st.integers(3, 5)),
    channels=st.tuples(st.integers(1, 16), st.integers(1, 16)),
    stride=st.integers(1, 2),
    data=st.data(),
)
def test_they_compute_what_the_convolution_does(
    height: int,
    half: int,
    window: tuple[int, int],
    channels: tuple[int, int],
    stride: int,
    data: st.DataObject,
) -> None:
    """Against NumPy's sum over every window, in float64."""
    pads = ((window[0] - 1, 0), data.draw(st.tuples(st.integers(0, 3), st.integers(0, 3))))
    width = 2 * half + window[1] - 1  # 2 * half outputs, and what padding adds
    network = convolution(
        (height, width, channels[0]), (*window, *channels), LAYOUT, (stride, 1), pads
    )
    x = np.asarray(random_inputs(network.example, 2))
    kernel = np.float64(network.params["kernel"])
    padded = np.pad(np.float64(x), ((0, 0), *pads, (0, 0)))
    views = np.lib.stride_tricks.sliding_window_view(padded, window, axis=(1, 2))
    expected = np.einsum("nhwcij,ijco->nhwo", views[:, ::stride], kernel)
    found = ran(network, x)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    (into, out), length = channels, expected.shape[2]
    count = 2 if length % 2 == 0 else 1
    if length % 4 == 0 and (out <= 4 or (out <= 8) != (into == 3)):
        count = 4
    assert windows(network) == [(window[0], window[1] + count - 1, into, out * count)]


@pytest.mark.parametrize(
    ("image", "window", "options"),
    [
        ((6, 6, 17), (3, 3, 17, 4), {}),  # enough channels on one side
        ((6, 6, 4), (3, 3, 4, 17), {}),
        ((6, 6, 4), (3, 1, 4, 4), {}),  # would double
        ((6, 5, 4), (3, 3, 4, 4), {}),  # no even number of outputs
        ((6, 6, 4), (3, 3, 4, 4), {"strides": (2, 2)}),
        ((6, 6, 4), (3, 3, 1, 4), {"feature_group_count": 4}),
        ((6, 6, 4), (3, 3, 4, 4), {"rhs_dilation": (1, 2)}),
        ((6, 6, 4), (3, 3, 4, 4), {"lhs_dilation": (2, 1), "padding": ((1, 1), (1, 1))}),
        ((4, 6, 6), (3, 3, 4, 4), {"layout": ("NCHW", "HWIO", "NCHW")}),
        ((6, 6, 4), (3, 3, 4, 4), {"layout": ("NHWC", "HWIO", "NWHC")}),
    ],
)
def test_others_stay_as_they_are(
    image: tuple[int, ...], window: tuple[int, ...], options: dict[str, Any]
) -> None:
    network = convolution(image, window, **options)
    assert windows(network) == [window]


@pytest.mark.parametrize(
    ("image", "window", "layout", "paired"),
    [
        ((6, 4), (3, 4, 5), ("NWC", "WIO", "NWC"), (3, 4, 5)),  # not of images
        ((3, 4, 6, 2), (2, 2, 3, 2, 5), ("NDHWC", "DHWIO", "NDHWC"), (2, 2, 3, 2, 5)),
        ((4, 6, 6), (5, 4, 3, 3), ("NCHW", "OIHW", "NHWC"), (10, 4, 3, 4)),
        ((6, 8, 4), (3, 3, 4, 5), ("NWHC", "HWIO", "NHWC"), (3, 4, 4, 10)),
    ],
)
def test_any_layout_with_channels_last(
    image: tuple[int, ...],
    window: tuple[int, ...],
    layout: tuple[str, str, str],
    paired: tuple[int, ...],
) -> None:
    padding = "SAME"
    strides = (1,) * (len(image) - 1)
    network = convolution(image, window, layout, strides, padding)
    x = random_inputs(network.example, 3)
    assert windows(network) == [paired]
    np.testing.assert_allclose(
        ran(network, x), ran(network, x, Products()), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("name", ["vgg", "resnet_projection", "densenet"])
def test_whole_networks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Narrow products by neighbours too, under plans."""
    monkeypatch.setattr(narrow, "LEAST", 2)
    monkeypatch.setattr(narrow, "MULTIPLE", 1)
    apply, params, example, _ = ZOO[name](jax.random.key(1))
    network = jc.trace(apply, params, example)
    x = random_inputs(example, 3)

    @compiled
    def all_ways(plan: jc.Plan, x: Any) -> Any:
        coded = jc.compress(network, plan)
        moved, first = kept_first(network, plan, coded)
        return (
            masked(network, plan, x, coded),
            masked(network, plan, x, coded, products=JOINED),
            masked(
                network, moved, x, first, products=Products(narrow=True, neighbours=True)
            ),
        )

    for seed in range(2):
        plain, paired, thin = all_ways(random_plan(network, seed), x)
        close(plain, paired, 1e-5)
        close(plain, thin, 1e-5)


def test_an_evaluator_runs_them_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    apply, params, example, _ = ZOO["resnet_projection"](jax.random.key(1))
    network = jc.trace(apply, params, example)
    space = jc.Space(network, (jc.genes.WeightBits((4, 8)),))
    x = random_inputs(example, 6)
    rows = np.asarray(space.sample(jax.random.key(2), 5))

    def told(few: int) -> tuple[np.ndarray, bool]:
        """Returns errors, and whether a convolution steps over outputs."""
        monkeypatch.setattr(neighbours, "FEW", few)
        goals = (jc.objectives.Error("cross_entropy"),)
        labels = np.arange(6, dtype=np.int32) % 2
        evaluate = jc.Evaluator(network, space, goals, inputs=x, targets=labels)
        assert evaluate.products.neighbours == (jax.default_backend() == "cpu")
        run = partial(evaluate._mapped, products=evaluate.products)
        window = np.asarray([0, evaluate.batches], np.int32)
        program = jax.make_jaxpr(run)(rows, np.ones(5, bool), window, evaluate._data)
        steps_over = bool(re.search(r"window_strides=\(1, [24]\)", str(program)))
        return np.asarray(evaluate(rows).objectives), steps_over

    (usual, paired), (traced, none) = told(neighbours.FEW), told(0)
    # Sums in another order, which some machines round alike.
    np.testing.assert_allclose(usual, traced, rtol=1e-4)
    assert paired == (jax.default_backend() == "cpu") and not none
