"""Depthwise and grouped convolutions."""

from typing import Any

import jax
import jax.numpy as jnp
from network.zoo.base import Case, Rng, apply_unit, case, conv, images, normal, unit


@case
def mobilenet(rng: Rng) -> Case:
    """Depthwise separable (V1), then an inverted residual (V2)."""
    params = {
        "stem": unit(rng, 3, 4),
        "dw": unit(rng, 4, 4, groups=4),
        "pw": unit(rng, 4, 6, k=1),
        "up": unit(rng, 6, 8, k=1),
        "dw2": unit(rng, 8, 8, groups=8),
        "down": unit(rng, 8, 6, k=1),
        "d": normal(rng, 6, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu6(apply_unit(x, p["stem"]))
        x = jax.nn.relu6(apply_unit(x, p["dw"], groups=4))
        x = apply_unit(x, p["pw"])
        y = jax.nn.relu6(apply_unit(x, p["up"]))
        y = jax.nn.relu6(apply_unit(y, p["dw2"], groups=8))
        x = x + apply_unit(y, p["down"])
        return x.mean((1, 2)) @ p["d"]

    return apply, params, images(), 4 + 6 + 8


@case
def depth_multiplier(rng: Rng) -> Case:
    """Depthwise with two outputs a channel: an input falls with both."""
    params = {
        "stem": normal(rng, 3, 3, 3, 4),
        "dw": normal(rng, 3, 3, 1, 8),
        "d": normal(rng, 8, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(conv(conv(x, p["stem"]), p["dw"], groups=4))
        return x.mean((1, 2)) @ p["d"]

    return apply, params, images(), 4


@case
def shufflenet(rng: Rng) -> Case:
    """V2 unit: split, convolve one half, concatenate, shuffle two groups."""
    params = {
        "stem": normal(rng, 3, 3, 3, 8),
        "pw": unit(rng, 4, 4, k=1),
        "dw": unit(rng, 4, 4, groups=4),
        "d": normal(rng, 8, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = conv(x, p["stem"])
        left, right = jnp.split(x, 2, axis=-1)
        right = jax.nn.relu(apply_unit(right, p["pw"]))
        right = apply_unit(right, p["dw"], groups=4)
        x = jnp.concatenate([left, right], -1)
        n, h, w, c = x.shape
        x = x.reshape(n, h, w, 2, c // 2).swapaxes(3, 4).reshape(n, h, w, c)
        return jax.nn.relu(x).mean((1, 2)) @ p["d"]

    # Channel i of one half is tied to channel i of the other by the shuffle's rectangle;
    # the right half of the stem feeds `pw` alone.
    return apply, params, images(), 4 + 4


@case
def resnext(rng: Rng) -> Case:
    """Grouped convolution: every group keeps the same channels."""
    params = {
        "stem": unit(rng, 3, 8, k=1),
        "g": unit(rng, 8, 6, groups=2),
        "out": unit(rng, 6, 5, k=1),
        "d": normal(rng, 5, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(apply_unit(x, p["stem"]))
        x = jax.nn.relu(apply_unit(x, p["g"], groups=2))
        return apply_unit(x, p["out"]).mean((1, 2)) @ p["d"]

    return apply, params, images(), 4 + 3 + 5


@case
def single_of_a_group(rng: Rng) -> Case:
    """One output for each group of three inputs: no group can do without its own."""
    params = {
        "stem": normal(rng, 1, 1, 3, 6),
        "g": normal(rng, 3, 3, 3, 2),
        "d": normal(rng, 2, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(conv(jax.nn.relu(conv(x, p["stem"])), p["g"], groups=2))
        return x.mean((1, 2)) @ p["d"]

    # Both groups keep the same of their three inputs.
    return apply, params, images(), 3
