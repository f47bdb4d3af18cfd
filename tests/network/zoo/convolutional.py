"""Convolutional networks without residual additions."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
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
    pool,
    unit,
)


@case
def lenet(rng: Rng) -> Case:
    params = {
        "c1": normal(rng, 3, 3, 1, 4),
        "b1": normal(rng, 4),
        "c2": normal(rng, 3, 3, 4, 5),
        "d1": normal(rng, 2 * 2 * 5, 6),
        "d2": normal(rng, 6, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = pool(jax.nn.sigmoid(conv(x, p["c1"]) + p["b1"]))
        x = pool(jax.nn.sigmoid(conv(x, p["c2"])))
        return jax.nn.sigmoid(x.reshape(x.shape[0], -1) @ p["d1"]) @ p["d2"]

    return apply, params, images(size=8, channels=1), 15


@case
def vgg(rng: Rng) -> Case:
    params = {
        "u1": unit(rng, 3, 4),
        "u2": unit(rng, 4, 5),
        "u3": unit(rng, 5, 6),
        "d": normal(rng, 6, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(apply_unit(x, p["u1"]))
        x = pool(jax.nn.relu(apply_unit(x, p["u2"])))
        x = jax.nn.relu(apply_unit(x, p["u3"]))
        return x.mean((1, 2)) @ p["d"]

    return apply, params, images(), 15


@case
def densenet(rng: Rng) -> Case:
    params = {
        "stem": normal(rng, 3, 3, 3, 4),
        "n1": norm_params(rng, 4),
        "c1": normal(rng, 3, 3, 4, 3),
        "n2": norm_params(rng, 7),
        "c2": normal(rng, 3, 3, 7, 2),
        "d": normal(rng, 9, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = conv(x, p["stem"])
        x = jnp.concatenate([x, conv(jax.nn.relu(norm(x, p["n1"])), p["c1"])], -1)
        x = jnp.concatenate([x, conv(jax.nn.relu(norm(x, p["n2"])), p["c2"])], -1)
        return jax.nn.relu(x).mean((1, 2)) @ p["d"]

    return apply, params, images(), 4 + 3 + 2


@case
def inception(rng: Rng) -> Case:
    params = {
        "a": normal(rng, 1, 1, 3, 2),
        "b": normal(rng, 3, 3, 3, 3),
        "c": normal(rng, 5, 5, 3, 4),
        "d": normal(rng, 9, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        pooled = nnx.avg_pool(x, (3, 3), (1, 1), "SAME")
        parts = [conv(x, p["a"]), conv(x, p["b"]), conv(pooled, p["c"])]
        return jax.nn.relu(jnp.concatenate(parts, -1)).mean((1, 2)) @ p["d"]

    return apply, params, images(), 9


@case
def groupnorm(rng: Rng) -> Case:
    """Groups of two channels fall together; the mean within a group stays right."""
    params = {
        "stem": normal(rng, 3, 3, 3, 8),
        "scale": normal(rng, 8),
        "d": normal(rng, 8, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = conv(x, p["stem"])
        n, h, w, c = x.shape
        g = x.reshape(n, h, w, 4, c // 4)
        mean = g.mean((1, 2, 4), keepdims=True)
        var = jnp.square(g - mean).mean((1, 2, 4), keepdims=True)
        x = ((g - mean) * lax.rsqrt(var + 1e-5)).reshape(x.shape) * p["scale"]
        return jax.nn.relu(x).mean((1, 2)) @ p["d"]

    return apply, params, images(), 4


@case
def layernorm_cnn(rng: Rng) -> Case:
    """The width under the norm is frozen, the one behind it is not."""
    params = {
        "stem": normal(rng, 3, 3, 3, 6),
        "scale": normal(rng, 6),
        "c": normal(rng, 3, 3, 6, 5),
        "d": normal(rng, 5, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = conv(x, p["stem"])
        x = jax.nn.standardize(x, axis=-1) * p["scale"]
        return jax.nn.relu(conv(x, p["c"])).mean((1, 2)) @ p["d"]

    return apply, params, images(), 5


@case
def unet(rng: Rng) -> Case:
    params = {
        "a": normal(rng, 3, 3, 3, 4),
        "b": normal(rng, 3, 3, 4, 6),
        "up": normal(rng, 2, 2, 6, 5),
        "out": normal(rng, 3, 3, 9, 2),
    }

    def apply(p: Any, x: Any) -> Any:
        top = jax.nn.relu(conv(x, p["a"]))
        low = jax.nn.relu(conv(pool(top), p["b"]))
        up = lax.conv_transpose(
            low, p["up"], (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return conv(jnp.concatenate([top, jax.nn.relu(up)], -1), p["out"])

    return apply, params, images(), 4 + 6 + 5


@case
def squeeze_excite(rng: Rng) -> Case:
    params = {
        "stem": unit(rng, 3, 6),
        "s": normal(rng, 6, 4),
        "e": normal(rng, 4, 6),
        "d": normal(rng, 6, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.silu(apply_unit(x, p["stem"]))
        gate = jax.nn.sigmoid(jax.nn.relu(x.mean((1, 2)) @ p["s"]) @ p["e"])
        return (x * gate[:, None, None]).mean((1, 2)) @ p["d"]

    return apply, params, images(), 6 + 4
