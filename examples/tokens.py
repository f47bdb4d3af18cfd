"""A small causal transformer that predicts the next token; quality in bits a token."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from examples.descent import descend
from jaxcompress.data import Dataset, Split

VOCABULARY, LENGTH = 12, 16
WIDTH, HEADS, DEPTH, HIDDEN = 24, 2, 12, 48  # DEPTH: of a head


def data() -> Dataset:
    """Sequences in which a token follows from the two before it, one time in ten not."""
    rng = np.random.default_rng(0)

    def split(count: int) -> Split:
        tokens = rng.integers(0, VOCABULARY, (count, LENGTH + 1))
        for t in range(2, LENGTH + 1):
            rule = (tokens[:, t - 1] + 2 * tokens[:, t - 2] + 1) % VOCABULARY
            tokens[:, t] = np.where(rng.random(count) < 0.1, tokens[:, t], rule)
        tokens = tokens.astype(np.int32)
        return Split(tokens[:, :-1], tokens[:, 1:])

    splits = [split(count) for count in (2000, 200, 500)]
    return Dataset("tokens", *splits, num_classes=VOCABULARY)


def apply(params: Any, tokens: Array) -> Array:
    """Maps int32 [N, T] to the logits of the next tokens, float32 [N, T, VOCABULARY]."""
    x = params["embedding"][tokens] + params["position"]
    q, k, v = (
        jnp.einsum("ntw,whd->nthd", x, params[name]) for name in ("query", "key", "value")
    )
    scores = jnp.einsum("nthd,nshd->nhts", q, k) / DEPTH**0.5
    causal = np.tril(np.ones((LENGTH, LENGTH), bool))
    weights = jax.nn.softmax(jnp.where(causal, scores, -1e9), axis=-1)
    mixed = jnp.einsum("nhts,nshd->nthd", weights, v)
    x = x + jnp.einsum("nthd,hdw->ntw", mixed, params["out"])
    x = x + jax.nn.relu(x @ params["up"]) @ params["down"]
    return x @ params["logits"]


def network() -> tuple[Any, Any]:
    """The trained network, as a configuration wants it."""
    rng = np.random.default_rng(1)
    head = (WIDTH, HEADS, DEPTH)
    shapes = {
        "embedding": (VOCABULARY, WIDTH),
        "position": (LENGTH, WIDTH),
        **dict.fromkeys(("query", "key", "value"), head),
        "out": (HEADS, DEPTH, WIDTH),
        "up": (WIDTH, HIDDEN),
        "down": (HIDDEN, WIDTH),
        "logits": (WIDTH, VOCABULARY),
    }
    params = {k: jnp.asarray(rng.normal(0, 0.2, s), jnp.float32) for k, s in shapes.items()}
    train = data().train
    x, y = jnp.asarray(train.inputs), jnp.asarray(train.targets)

    def loss(params: Any, x: Array, y: Array) -> Array:
        return bits(apply(params, x), y)

    return apply, descend(loss, params, x, y, steps=1000, batch=64)


def bits(outputs: Array, targets: Array) -> Array:
    """The quality: bits that a token costs, once two tokens were seen."""
    logits = jax.nn.log_softmax(outputs[:, 1:])
    chosen = jnp.take_along_axis(logits, targets[:, 1:, None], axis=-1)
    return -chosen.mean() / np.log(2)
