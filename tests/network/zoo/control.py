"""Custom derivatives, rematerialisation and control flow."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from network.zoo.base import Case, Rng, case, normal


@jax.custom_vjp
def sign_through(x: jax.Array) -> jax.Array:
    return jnp.sign(x)


sign_through.defvjp(lambda x: (jnp.sign(x), None), lambda _, g: (g,))


@jax.custom_jvp
def stable_softplus(x: jax.Array) -> jax.Array:
    return jnp.maximum(x, 0.0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


@stable_softplus.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return stable_softplus(*primals), jax.nn.sigmoid(*primals) * tangents[0]


@case
def custom_derivatives(rng: Rng) -> Case:
    params = {"a": normal(rng, 5, 4), "b": normal(rng, 4, 6), "c": normal(rng, 6, 3)}

    def apply(p: Any, x: Any) -> Any:
        return stable_softplus(sign_through(x @ p["a"]) @ p["b"]) @ p["c"]

    return apply, params, jnp.ones((2, 5)), 4 + 6


@case
def rematerialised(rng: Rng) -> Case:
    """`jax.checkpoint` twice around the same function: each use has its own channels."""
    params = {"a": normal(rng, 5, 4), "b": normal(rng, 4, 6), "c": normal(rng, 6, 3)}
    layer = jax.checkpoint(lambda x, w: jax.nn.relu(x @ w))

    def apply(p: Any, x: Any) -> Any:
        return layer(layer(x, p["a"]), p["b"]) @ p["c"]

    return apply, params, jnp.ones((2, 5)), 4 + 6


@case
def conditional(rng: Rng) -> Case:
    """The parameter that goes through `lax.cond` is frozen, all others are not."""
    params = {"a": normal(rng, 5, 4), "b": normal(rng, 4, 6), "c": normal(rng, 6, 7)}
    params |= {"d": normal(rng, 7, 3), "switch": normal(rng)}

    def apply(p: Any, x: Any) -> Any:
        shift = lax.cond(p["switch"] > 0, jnp.sin, jnp.cos, p["b"][0])
        x = jax.nn.relu(jax.nn.relu(x @ p["a"]) @ p["b"] + shift)
        return jax.nn.relu(x @ p["c"]) @ p["d"]

    # `b` gives its columns, 6, to the branches, and its first row: channel 0 of `a`.
    return apply, params, jnp.ones((2, 5)), 3 + 7


@case
def loop(rng: Rng) -> Case:
    """The parameter that goes through `lax.while_loop` is frozen."""
    params = {"a": normal(rng, 5, 4), "b": normal(rng, 4, 6), "c": normal(rng, 6, 3)}
    params |= {"scale": normal(rng, 6)}

    def apply(p: Any, x: Any) -> Any:
        scale = lax.fori_loop(0, 3, lambda i, y: jnp.sin(y) + i, p["scale"])
        scale = lax.while_loop(lambda y: jnp.abs(y).max() > 1e3, lambda y: y / 2, scale)
        return jax.nn.relu(jax.nn.relu(x @ p["a"]) @ p["b"] * scale) @ p["c"]

    return apply, params, jnp.ones((2, 5)), 4
