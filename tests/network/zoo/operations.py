"""Operations that re-arrange, select or gate channels."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from network.zoo.base import Case, Rng, case, conv, images, normal


@case
def duplicated(rng: Rng) -> Case:
    """Concatenated with itself: both copies fall together."""
    params = {"a": normal(rng, 5, 4), "b": normal(rng, 8, 3)}

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(x @ p["a"])
        return jnp.concatenate([x, x], -1) @ p["b"]

    return apply, params, jnp.ones((2, 5)), 4


@case
def three_branches(rng: Rng) -> Case:
    """A residual addition to a concatenation of three: 2 + 3 + 2 tied to the stem's 7."""
    params = {
        "stem": normal(rng, 3, 3, 3, 7),
        "a": normal(rng, 1, 1, 7, 2),
        "b": normal(rng, 3, 3, 7, 3),
        "c": normal(rng, 5, 5, 7, 2),
        "d": normal(rng, 7, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(conv(x, p["stem"]))
        x = x + jnp.concatenate([conv(x, p[name]) for name in "abc"], -1)
        return jax.nn.relu(x).mean((1, 2)) @ p["d"]

    return apply, params, images(), 7


@case
def sliced(rng: Rng) -> Case:
    """Two slices of the same channels that overlap, one of them strided."""
    params = {"a": normal(rng, 5, 8), "b": normal(rng, 5, 3), "c": normal(rng, 4, 3)}

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(x @ p["a"])
        return x[:, 3:] @ p["b"] + x[:, ::2] @ p["c"]

    # Index 1 is in neither slice: a group of one channel, which must stay.
    return apply, params, jnp.ones((2, 5)), 8 - 1


@case
def single_slices(rng: Rng) -> Case:
    """What is left of a slice of one channel has no channels: that one must stay."""
    params = {"a": normal(rng, 5, 6), "b": normal(rng, 1, 3), "c": normal(rng, 6, 3)}

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(x @ p["a"])
        return x[:, 2:3] @ p["b"] + x @ p["c"] + x[:, 4, None] * p["c"][5]

    # Channels 2, 4 (of activations) and 5 (of `c`) are picked on their own.
    return apply, params, jnp.ones((2, 5)), 3


@case
def reversed_channels(rng: Rng) -> Case:
    """x + reversed x: channel i falls with channel 5 - i."""
    params = {"a": normal(rng, 5, 6), "b": normal(rng, 6, 3)}

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(x @ p["a"])
        return (x + x[:, ::-1]) @ p["b"]

    return apply, params, jnp.ones((2, 5)), 3


@case
def rolled(rng: Rng) -> Case:
    """Rolled by a multiple of its size: slices of no channels at all."""
    params = {"a": normal(rng, 5, 4), "b": normal(rng, 4, 3)}

    def apply(p: Any, x: Any) -> Any:
        return jnp.roll(jax.nn.relu(x @ p["a"]), 4, -1) @ p["b"]

    return apply, params, jnp.ones((2, 5)), 4


@case
def rolled_heads(rng: Rng) -> Case:
    """The same of one of two axes that were one: (3, 2) rolled by 3."""
    params = {"a": normal(rng, 5, 6), "b": normal(rng, 6, 3)}

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(x @ p["a"]).reshape(-1, 3, 2)
        return jnp.roll(x, 3, 1).reshape(-1, 6) @ p["b"]

    # What is cut into two axes stays a rectangle: rows of 2 fall whole.
    return apply, params, jnp.ones((2, 5)), 3


@case
def one_output_channel(rng: Rng) -> Case:
    """A convolution with one output channel is no depthwise one: inputs fall singly."""
    params = {
        "a": normal(rng, 3, 3, 3, 5),
        "map": normal(rng, 3, 3, 5, 1),
        "b": normal(rng, 3, 3, 1, 4),
        "d": normal(rng, 4, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.sigmoid(conv(jax.nn.relu(conv(x, p["a"])), p["map"]))
        return jax.nn.relu(conv(x, p["b"])).mean((1, 2)) @ p["d"]

    return apply, params, images(), 5 + 4


@case
def spatial_attention(rng: Rng) -> Case:
    """A map of one channel gates all channels, and ties none of them."""
    params = {
        "a": normal(rng, 3, 3, 3, 5),
        "map": normal(rng, 3, 3, 5, 1),
        "d": normal(rng, 5, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(conv(x, p["a"]))
        return (x * jax.nn.sigmoid(conv(x, p["map"]))).mean((1, 2)) @ p["d"]

    return apply, params, images(), 5


@case
def channel_shuffle(rng: Rng) -> Case:
    """Two grouped convolutions with a shuffle between: (2, 3) becomes (3, 2)."""
    params = {
        "stem": normal(rng, 1, 1, 3, 6),
        "g": normal(rng, 1, 1, 3, 6),
        "d": normal(rng, 6, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(conv(conv(x, p["stem"]), p["g"], groups=2))
        n, h, w, c = x.shape
        x = x.reshape(n, h, w, 2, c // 2).swapaxes(3, 4).reshape(n, h, w, c)
        return jax.nn.relu(x).mean((1, 2)) @ p["d"]

    # Both groups keep the same inputs (3) and the same outputs (3).
    return apply, params, images(), 3 + 3


@case
def prelu(rng: Rng) -> Case:
    """A slope for each channel."""
    params = {"a": normal(rng, 5, 4), "slope": normal(rng, 4), "b": normal(rng, 4, 3)}

    def apply(p: Any, x: Any) -> Any:
        x = x @ p["a"]
        return jnp.where(x > 0, x, p["slope"] * x) @ p["b"]

    return apply, params, jnp.ones((2, 5)), 4


@case
def swish_gated(rng: Rng) -> Case:
    """One matrix for gate and value, split: entry i of both halves falls together."""
    params = {"a": normal(rng, 5, 8), "b": normal(rng, 4, 3)}

    def apply(p: Any, x: Any) -> Any:
        gate, value = jnp.split(x @ p["a"], 2, -1)
        return (jax.nn.silu(gate) * value) @ p["b"]

    return apply, params, jnp.ones((2, 5)), 4


@case
def tied_embedding(rng: Rng) -> Case:
    """The same matrix in and out; the width falls, the vocabulary stays."""
    params = {"embed": normal(rng, 7, 5), "scale": normal(rng, 5)}

    def apply(p: Any, tokens: Any) -> Any:
        x = jnp.take(p["embed"], tokens, axis=0).sum(1)
        return jnp.tanh(x * p["scale"]) @ p["embed"].T

    return apply, params, jnp.zeros((2, 4), jnp.int32), 5


@case
def ordered(rng: Rng) -> Case:
    """Along positions channels stay free; along channels they freeze."""
    params = {"a": normal(rng, 3, 4), "b": normal(rng, 4, 5), "c": normal(rng, 5, 6)}
    params |= {"d": normal(rng, 6, 3)}

    def apply(p: Any, x: Any) -> Any:
        x = jnp.cumsum(jax.nn.relu(x @ p["a"]), 1)
        x = jnp.sort(x @ p["b"], axis=1)[:, ::-1]
        x = jnp.cumsum(x, -1) @ p["c"]
        best = lax.top_k(jnp.swapaxes(x, 1, 2), 2)[0].sum(-1)
        return best @ p["d"]

    return apply, params, jnp.ones((2, 4, 3)), 4 + 6


@case
def gathered(rng: Rng) -> Case:
    """Rows are taken by index, channels pass through; then channels are indexed."""
    params = {"a": normal(rng, 3, 4), "b": normal(rng, 4, 5), "c": normal(rng, 2, 3)}
    rows, channels = np.asarray([2, 0]), np.asarray([4, 1])

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(x @ p["a"])
        x = x[:, rows] + lax.dynamic_slice_in_dim(x, 1, 2, 1)
        x = lax.dynamic_update_slice_in_dim(x, 0.5 * x[:, 1:], 0, 1)
        return (x @ p["b"])[..., channels].mean(1) @ p["c"]

    # The 4 of `a`; and which 2 of the 5 of `b` are taken may be cut down.
    return apply, params, jnp.ones((2, 4, 3)), 4 + 2


@case
def by_position(rng: Rng) -> Case:
    """`jnp.where` on an iota over the channels: the numbers survive removal."""
    params = {"a": normal(rng, 5, 6), "b": normal(rng, 6, 3)}

    def apply(p: Any, x: Any) -> Any:
        x = x @ p["a"]
        x = jnp.where(jnp.arange(6) < 3, jax.nn.relu(x), jnp.tanh(x) / jnp.arange(1, 7))
        return x @ p["b"]

    return apply, params, jnp.ones((2, 5)), 6


@case
def emptied_constant(rng: Rng) -> Case:
    """One-hot classes beside a padding: one class stays, and the padding."""
    params = {"a": normal(rng, 5, 6), "b": normal(rng, 4, 3)}

    def apply(p: Any, x: Any) -> Any:
        classes = jax.nn.one_hot(jnp.argmax(x @ p["a"], -1), 3)
        return jnp.pad(classes, ((0, 0), (0, 1)), constant_values=1.0) @ p["b"]

    return apply, params, jnp.ones((2, 5)), 3


@case
def einsum(rng: Rng) -> Case:
    """Weights of three and four axes, with a letter shared by both operands."""
    params = {
        "a": normal(rng, 3, 2, 4),
        "b": normal(rng, 2, 4, 3, 5),
        "c": normal(rng, 3, 5),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(jnp.einsum("nti,ihd->nthd", x, p["a"]))
        x = jax.nn.relu(jnp.einsum("nthd,hdgk->ntgk", x, p["b"]))
        return jnp.einsum("ntgk,gk->nt", x, p["c"])

    # h 2 and d 4 between the first two, g 3 and k 5 behind.
    return apply, params, jnp.ones((2, 4, 3)), 2 + 4 + 3 + 5
