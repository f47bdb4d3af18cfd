"""Residual networks: what is added lives together."""

from typing import Any

import jax
import jax.numpy as jnp
from network.zoo.base import (
    Case,
    Rng,
    apply_unit,
    case,
    conv,
    images,
    norm,
    norm_params,
    normal,
    unit,
)


@case
def resnet_padded(rng: Rng) -> Case:
    """Option A: the shortcut is strided and padded with zero channels on both sides."""
    params = {
        "stem": unit(rng, 3, 4),
        "a1": unit(rng, 4, 5),
        "a2": unit(rng, 5, 4),
        "b1": unit(rng, 4, 6),
        "b2": unit(rng, 6, 8),
        "d": normal(rng, 8, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(apply_unit(x, p["stem"]))
        x = jax.nn.relu(x + apply_unit(jax.nn.relu(apply_unit(x, p["a1"])), p["a2"]))
        y = apply_unit(jax.nn.relu(apply_unit(x, p["b1"], 2)), p["b2"])
        short = jnp.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (2, 2)))
        return jax.nn.relu(short + y).mean((1, 2)) @ p["d"]

    return apply, params, images(), 4 + 5 + 6 + 4


@case
def resnet_projection(rng: Rng) -> Case:
    params = {
        "stem": unit(rng, 3, 4),
        "b1": unit(rng, 4, 6),
        "b2": unit(rng, 6, 8),
        "p": unit(rng, 4, 8, k=1),
        "d": normal(rng, 8, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(apply_unit(x, p["stem"]))
        y = apply_unit(jax.nn.relu(apply_unit(x, p["b1"], 2)), p["b2"])
        return jax.nn.relu(apply_unit(x, p["p"], 2) + y).mean((1, 2)) @ p["d"]

    return apply, params, images(), 4 + 6 + 8


@case
def preactivation(rng: Rng) -> Case:
    params = {
        "stem": normal(rng, 3, 3, 3, 4),
        "n1": norm_params(rng, 4),
        "c1": normal(rng, 3, 3, 4, 5),
        "n2": norm_params(rng, 5),
        "c2": normal(rng, 3, 3, 5, 4),
        "d": normal(rng, 4, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = conv(x, p["stem"])
        y = conv(jax.nn.relu(norm(x, p["n1"])), p["c1"])
        x = x + conv(jax.nn.relu(norm(y, p["n2"])), p["c2"])
        return x.mean((1, 2)) @ p["d"]

    return apply, params, images(), 4 + 5


@case
def input_shortcut(rng: Rng) -> Case:
    """The input is added to the output: the last layer's width is frozen."""
    params = {"a": normal(rng, 3, 3, 3, 5), "b": normal(rng, 3, 3, 5, 3)}

    def apply(p: Any, x: Any) -> Any:
        return x + conv(jax.nn.relu(conv(x, p["a"])), p["b"])

    return apply, params, images(), 5
