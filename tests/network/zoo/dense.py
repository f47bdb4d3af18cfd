"""Dense networks: their widths, and what freezes them."""

from typing import Any

import jax
import jax.numpy as jnp
from network.zoo.base import Case, Rng, case, normal


@case
def mlp(rng: Rng) -> Case:
    params = {"a": normal(rng, 5, 6), "b": normal(rng, 6, 7), "c": normal(rng, 7, 3)}

    def apply(p: Any, x: Any) -> Any:
        return jnp.tanh(jax.nn.gelu(x @ p["a"]) @ p["b"]) @ p["c"]

    return apply, params, jnp.ones((2, 5)), 13


@case
def low_rank(rng: Rng) -> Case:
    """A weight that is a product of two parameters: its inner width is prunable too."""
    params = {"a": normal(rng, 5, 6), "b": normal(rng, 6, 4), "c": normal(rng, 4, 3)}

    def apply(p: Any, x: Any) -> Any:
        return jax.nn.relu(x @ (p["a"] @ p["b"])) @ p["c"]

    return apply, params, jnp.ones((2, 5)), 6 + 4


@case
def dead_branch(rng: Rng) -> Case:
    """What nobody reads freezes nothing."""
    params = {"a": normal(rng, 5, 6), "u": normal(rng, 6), "c": normal(rng, 6, 3)}

    def apply(p: Any, x: Any) -> Any:
        h = jnp.tanh(x @ p["a"])
        return (h + p["u"], h @ p["c"])[1]

    return apply, params, jnp.ones((2, 5)), 6


@case
def normalised_by_length(rng: Rng) -> Case:
    """A vector divided by its norm: removing an entry would change the others."""
    params = {"a": normal(rng, 3, 4), "b": normal(rng, 4, 5), "c": normal(rng, 5, 2)}

    def apply(p: Any, x: Any) -> Any:
        x = x @ p["a"]
        x = x / jnp.linalg.norm(x, axis=-1, keepdims=True)
        return jax.nn.relu(x @ p["b"]) @ p["c"]

    return apply, params, jnp.ones((2, 3)), 5


@case
def two_inputs(rng: Rng) -> Case:
    params = {"a": normal(rng, 3, 4), "b": normal(rng, 5, 4), "c": normal(rng, 4, 2)}

    def apply(p: Any, x: Any) -> Any:
        return jax.nn.relu(x["a"] @ p["a"] * jnp.tanh(x["b"] @ p["b"])) @ p["c"]

    return apply, params, {"a": jnp.ones((2, 3)), "b": jnp.ones((2, 5))}, 4


@case
def two_outputs(rng: Rng) -> Case:
    """One output reads the hidden layer itself: that width is frozen."""
    params = {"a": normal(rng, 3, 4), "b": normal(rng, 4, 5), "c": normal(rng, 5, 2)}

    def apply(p: Any, x: Any) -> Any:
        seen = jax.nn.relu(x @ p["a"])
        return {"seen": seen, "label": jax.nn.relu(seen @ p["b"]) @ p["c"]}

    return apply, params, jnp.ones((2, 3)), 5
