"""Convolutions of other ranks, layouts and dilations."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from network.zoo.base import Case, Rng, case, conv, images, normal


@case
def dilated(rng: Rng) -> Case:
    params = {
        "a": normal(rng, 3, 3, 3, 4),
        "b": normal(rng, 3, 3, 4, 5),
        "d": normal(rng, 5, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(conv(x, p["a"]))
        return jax.nn.relu(conv(x, p["b"], dilation=2)).mean((1, 2)) @ p["d"]

    return apply, params, images(), 4 + 5


@case
def one_dimensional(rng: Rng) -> Case:
    """Causal 1-D convolutions: padding on one side, dilation, a pool over time."""
    params = {"a": normal(rng, 3, 2, 4), "b": normal(rng, 3, 4, 5), "d": normal(rng, 10, 3)}

    def apply(p: Any, x: Any) -> Any:
        for name, dilation in (("a", 1), ("b", 2)):
            x = lax.conv_general_dilated(
                x, p[name], (1,), [(2 * dilation, 0)], rhs_dilation=(dilation,),
                dimension_numbers=("NWC", "WIO", "NWC"),
            )  # fmt: skip
            x = jax.nn.relu(x)
        x = x.reshape(x.shape[0], 2, -1, x.shape[-1]).max(2)
        return x.reshape(x.shape[0], -1) @ p["d"]

    return apply, params, jnp.ones((2, 6, 2)), 4 + 5


@case
def three_dimensional(rng: Rng) -> Case:
    params = {"a": normal(rng, 2, 2, 2, 1, 4), "b": normal(rng, 2, 2, 2, 4, 5)}
    params |= {"d": normal(rng, 5, 3)}

    def apply(p: Any, x: Any) -> Any:
        for name in "ab":
            x = lax.conv_general_dilated(
                x, p[name], (1, 1, 1), "SAME",
                dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
            )  # fmt: skip
            x = jax.nn.relu(x)
        return x.mean((1, 2, 3)) @ p["d"]

    return apply, params, jnp.ones((2, 3, 3, 3, 1)), 4 + 5


@case
def channels_first(rng: Rng) -> Case:
    """PyTorch's layout, with a flatten in which each channel owns a run of inputs."""
    params = {
        "a": normal(rng, 4, 3, 3, 3),
        "bias": normal(rng, 4, 1, 1),
        "depth": normal(rng, 4, 1, 3, 3),
        "b": normal(rng, 5, 4, 1, 1),
        "d": normal(rng, 3, 5 * 2 * 2),
    }

    def apply(p: Any, x: Any) -> Any:
        def conv(x: Any, w: Any, groups: int = 1) -> Any:
            return lax.conv_general_dilated(
                x, w, (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"),
                feature_group_count=groups,
            )  # fmt: skip

        x = jax.nn.relu(conv(x, p["a"]) + p["bias"])
        x = jax.nn.relu(conv(conv(x, p["depth"], 4), p["b"]))
        x = lax.reduce_window(x, 0.0, lax.add, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        return x.reshape(x.shape[0], -1) @ p["d"].T

    return apply, params, jnp.ones((2, 3, 4, 4)), 4 + 5
