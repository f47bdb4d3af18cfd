"""Attention: heads live or die whole."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from network.zoo.base import Case, Rng, case, images, normal


def attention(p: Any, x: jax.Array, heads: int, causal: bool) -> jax.Array:
    n, t, _ = x.shape
    q, k, v = ((x @ p[name]).reshape(n, t, heads, -1) for name in ("query", "key", "value"))
    scores = jnp.einsum("nthd,nshd->nhts", q, k) / jnp.sqrt(3.0)
    if causal:
        scores = jnp.where(jnp.tril(jnp.ones((t, t), bool)), scores, -1e9)
    mixed = jnp.einsum("nhts,nshd->nthd", jax.nn.softmax(scores), v)
    return mixed.reshape(n, t, -1) @ p["out"]


def block_params(rng: Rng, width: int, inner: int, hidden: int) -> dict[str, Any]:
    return {
        "query": normal(rng, width, inner),
        "key": normal(rng, width, inner),
        "value": normal(rng, width, inner),
        "out": normal(rng, inner, width),
        "up": normal(rng, width, hidden),
        "down": normal(rng, hidden, width),
    }


def transformer(p: Any, x: jax.Array, heads: int, causal: bool) -> jax.Array:
    x = x + attention(p, jax.nn.standardize(x), heads, causal)
    return x + jax.nn.gelu(jax.nn.standardize(x) @ p["up"]) @ p["down"]


@case
def vit(rng: Rng) -> Case:
    """Whole heads and the hidden width are prunable; the residual width is frozen."""
    params = {
        "patch": normal(rng, 2, 2, 3, 6),
        "class": normal(rng, 1, 1, 6),
        "position": normal(rng, 1, 5, 6),
        "block": block_params(rng, 6, 12, 7),
        "d": normal(rng, 6, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = lax.conv_general_dilated(
            x, p["patch"], (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = x.reshape(x.shape[0], -1, x.shape[-1])
        token = jnp.broadcast_to(p["class"], (x.shape[0], 1, x.shape[-1]))
        x = jnp.concatenate([token, x], 1) + p["position"]
        x = transformer(p["block"], x, 4, causal=False)
        return jax.nn.standardize(x)[:, 0] @ p["d"]

    return apply, params, images(), 4 + 7


@case
def fused_attention(rng: Rng) -> Case:
    """One matrix for query, key and value, cut after a reshape to (3, heads, depth)."""
    params = {
        "in": normal(rng, 6, 6),
        "qkv": normal(rng, 6, 3 * 12),
        "out": normal(rng, 12, 5),
    }

    def apply(p: Any, x: Any) -> Any:
        n, t, _ = x.shape
        x = jax.nn.relu(x @ p["in"])
        q, k, v = jnp.moveaxis((x @ p["qkv"]).reshape(n, t, 3, 4, 3), 2, 0)
        weights = jax.nn.softmax(jnp.einsum("nthd,nshd->nhts", q, k))
        return jnp.einsum("nhts,nshd->nthd", weights, v).reshape(n, t, -1) @ p["out"]

    return apply, params, jnp.ones((2, 5, 6)), 6 + 4


@case
def causal_language_model(rng: Rng) -> Case:
    """Token embedding, tied to the output; the residual width is normalised."""
    params = {"embed": normal(rng, 11, 6), "block": block_params(rng, 6, 8, 5)}

    def apply(p: Any, tokens: Any) -> Any:
        x = transformer(p["block"], p["embed"][tokens], 2, causal=True)
        return jax.nn.standardize(x) @ p["embed"].T

    return apply, params, jnp.zeros((2, 4), jnp.int32), 2 + 5


@case
def grouped_queries(rng: Rng) -> Case:
    """Four query heads share two of keys and values: a pair of them falls together."""
    params = {
        "query": normal(rng, 6, 4 * 3),
        "key": normal(rng, 6, 2 * 3),
        "value": normal(rng, 6, 2 * 3),
        "out": normal(rng, 4 * 3, 5),
    }

    def apply(p: Any, x: Any) -> Any:
        n, t, _ = x.shape
        q = (x @ p["query"]).reshape(n, t, 2, 2, 3)
        k, v = ((x @ p[name]).reshape(n, t, 2, 3) for name in ("key", "value"))
        weights = jax.nn.softmax(jnp.einsum("ntghd,nsgd->nghts", q, k))
        return jnp.einsum("nghts,nsgd->ntghd", weights, v).reshape(n, t, -1) @ p["out"]

    return apply, params, jnp.ones((2, 5, 6)), 2


@case
def shared_keys(rng: Rng) -> Case:
    """All query heads share one key and value head, of their own depths."""
    params = {
        "query": normal(rng, 6, 4, 3),
        "key": normal(rng, 6, 3),
        "value": normal(rng, 6, 2),
        "out": normal(rng, 4, 2, 5),
    }

    def apply(p: Any, x: Any) -> Any:
        q = jnp.einsum("nti,ihd->nthd", x, p["query"])
        k, v = x @ p["key"], x @ p["value"]
        weights = jax.nn.softmax(jnp.einsum("nthd,nsd->nhts", q, k))
        mixed = jnp.einsum("nhts,nsd->nthd", weights, v)
        return jnp.einsum("nthd,hdo->nto", mixed, p["out"])

    # Heads 4, the depth of query and key 3, the depth of value and output 2.
    return apply, params, jnp.ones((2, 5, 6)), 4 + 3 + 2
