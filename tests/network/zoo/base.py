"""What the networks of the zoo are made of, and how they are registered."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

Case = tuple[Callable[[Any, Any], Any], Any, Any, int]
Rng = np.random.Generator
ZOO: dict[str, Callable[[jax.Array], Case]] = {}


def case(make: Callable[[Rng], Case]) -> Callable[[Rng], Case]:
    # Weights come from NumPy: jax.random would compile a program for every shape.
    ZOO[make.__name__] = lambda key: make(
        np.random.default_rng(np.asarray(jax.random.key_data(key)))
    )
    return make


def normal(rng: Rng, *shape: int) -> jax.Array:
    return jnp.asarray(rng.normal(size=shape) * 0.5, jnp.float32)


def conv(
    x: jax.Array, w: jax.Array, stride: int = 1, groups: int = 1, dilation: int = 1
) -> jax.Array:
    return lax.conv_general_dilated(
        x,
        w,
        (stride, stride),
        "SAME",
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def norm_params(rng: Rng, n: int) -> dict[str, jax.Array]:
    return {
        "mean": normal(rng, n),
        "var": jnp.abs(normal(rng, n)) + 0.5,
        "scale": normal(rng, n) + 1.0,
        "bias": normal(rng, n),
    }


def norm(x: jax.Array, p: dict[str, jax.Array]) -> jax.Array:
    return (x - p["mean"]) * lax.rsqrt(p["var"] + 1e-5) * p["scale"] + p["bias"]


def pool(x: jax.Array) -> jax.Array:
    return nnx.max_pool(x, (2, 2), (2, 2))


def unit(rng: Rng, i: int, o: int, k: int = 3, groups: int = 1) -> dict[str, Any]:
    return {"w": normal(rng, k, k, i // groups, o), "n": norm_params(rng, o)}


def apply_unit(
    x: jax.Array, p: dict[str, Any], stride: int = 1, groups: int = 1
) -> jax.Array:
    return norm(conv(x, p["w"], stride, groups), p["n"])


def images(n: int = 2, size: int = 4, channels: int = 3) -> jax.Array:
    return jnp.ones((n, size, size, channels))


def drawn(rng: Rng, shapes: Any) -> Any:
    """Draws values for parameters of which only the shapes are known."""

    def draw(path: Any, leaf: Any) -> jax.Array:
        value = normal(rng, *leaf.shape).astype(leaf.dtype)
        return jnp.abs(value) + 0.1 if "var" in jax.tree_util.keystr(path) else value

    return jax.tree_util.tree_map_with_path(draw, shapes)
