"""Small networks of every structure, in plain JAX, with random weights.

Each entry is a function (key) -> (apply, params, example inputs, prunable channels).
The last is counted by hand, so that nothing is frozen by laziness.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx
from jax import lax

Case = tuple[Callable[[Any, Any], Any], Any, Any, int]
ZOO: dict[str, Callable[[jax.Array], Case]] = {}


def case(make: Callable[[jax.Array], Case]) -> Callable[[jax.Array], Case]:
    ZOO[make.__name__] = make
    return make


def normal(key: jax.Array, *shape: int) -> jax.Array:
    return jax.random.normal(key, shape) * 0.5


def conv(x: jax.Array, w: jax.Array, stride: int = 1, groups: int = 1) -> jax.Array:
    return lax.conv_general_dilated(
        x,
        w,
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def norm_params(key: jax.Array, n: int) -> dict[str, jax.Array]:
    a, b, c, d = jax.random.split(key, 4)
    return {
        "mean": normal(a, n),
        "var": jnp.exp(normal(b, n)),
        "scale": normal(c, n) + 1.0,
        "bias": normal(d, n),
    }


def norm(x: jax.Array, p: dict[str, jax.Array]) -> jax.Array:
    return (x - p["mean"]) * lax.rsqrt(p["var"] + 1e-5) * p["scale"] + p["bias"]


def pool(x: jax.Array) -> jax.Array:
    return nnx.max_pool(x, (2, 2), (2, 2))


def unit(key: jax.Array, i: int, o: int, k: int = 3, groups: int = 1) -> dict[str, Any]:
    a, b = jax.random.split(key)
    return {"w": normal(a, k, k, i // groups, o), "n": norm_params(b, o)}


def apply_unit(
    x: jax.Array, p: dict[str, Any], stride: int = 1, groups: int = 1
) -> jax.Array:
    return norm(conv(x, p["w"], stride, groups), p["n"])


def images(n: int = 2, size: int = 4, channels: int = 3) -> jax.Array:
    return jnp.ones((n, size, size, channels))


@case
def mlp(key: jax.Array) -> Case:
    a, b, c = jax.random.split(key, 3)
    params = {"a": normal(a, 5, 6), "b": normal(b, 6, 7), "c": normal(c, 7, 3)}

    def apply(p: Any, x: Any) -> Any:
        return jnp.tanh(jax.nn.gelu(x @ p["a"]) @ p["b"]) @ p["c"]

    return apply, params, jnp.ones((2, 5)), 13


@case
def low_rank(key: jax.Array) -> Case:
    """A weight that is a product of two parameters: its inner width is prunable too."""
    a, b, c = jax.random.split(key, 3)
    params = {"a": normal(a, 5, 6), "b": normal(b, 6, 4), "c": normal(c, 4, 3)}

    def apply(p: Any, x: Any) -> Any:
        return jax.nn.relu(x @ (p["a"] @ p["b"])) @ p["c"]

    return apply, params, jnp.ones((2, 5)), 6 + 4


@case
def dead_branch(key: jax.Array) -> Case:
    """What nobody reads freezes nothing."""
    a, b = jax.random.split(key)
    params = {"a": normal(a, 5, 6), "u": normal(b, 6), "c": normal(b, 6, 3)}

    def apply(p: Any, x: Any) -> Any:
        h = jnp.tanh(x @ p["a"])
        return (h + p["u"], h @ p["c"])[1]

    return apply, params, jnp.ones((2, 5)), 6


@case
def lenet(key: jax.Array) -> Case:
    a, b, c, d = jax.random.split(key, 4)
    params = {
        "c1": normal(a, 3, 3, 1, 4),
        "b1": normal(a, 4),
        "c2": normal(b, 3, 3, 4, 5),
        "d1": normal(c, 2 * 2 * 5, 6),
        "d2": normal(d, 6, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = pool(jax.nn.sigmoid(conv(x, p["c1"]) + p["b1"]))
        x = pool(jax.nn.sigmoid(conv(x, p["c2"])))
        return jax.nn.sigmoid(x.reshape(x.shape[0], -1) @ p["d1"]) @ p["d2"]

    return apply, params, images(size=8, channels=1), 15


@case
def vgg(key: jax.Array) -> Case:
    keys = jax.random.split(key, 5)
    params = {
        "u1": unit(keys[0], 3, 4),
        "u2": unit(keys[1], 4, 5),
        "u3": unit(keys[2], 5, 6),
        "d": normal(keys[3], 6, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(apply_unit(x, p["u1"]))
        x = pool(jax.nn.relu(apply_unit(x, p["u2"])))
        x = jax.nn.relu(apply_unit(x, p["u3"]))
        return x.mean((1, 2)) @ p["d"]

    return apply, params, images(), 15


@case
def resnet_padded(key: jax.Array) -> Case:
    """Option A: the shortcut is strided and padded with zero channels on both sides."""
    keys = jax.random.split(key, 6)
    params = {
        "stem": unit(keys[0], 3, 4),
        "a1": unit(keys[1], 4, 5),
        "a2": unit(keys[2], 5, 4),
        "b1": unit(keys[3], 4, 6),
        "b2": unit(keys[4], 6, 8),
        "d": normal(keys[5], 8, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(apply_unit(x, p["stem"]))
        x = jax.nn.relu(x + apply_unit(jax.nn.relu(apply_unit(x, p["a1"])), p["a2"]))
        y = apply_unit(jax.nn.relu(apply_unit(x, p["b1"], 2)), p["b2"])
        short = jnp.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (2, 2)))
        return jax.nn.relu(short + y).mean((1, 2)) @ p["d"]

    return apply, params, images(), 4 + 5 + 6 + 4


@case
def resnet_projection(key: jax.Array) -> Case:
    keys = jax.random.split(key, 6)
    params = {
        "stem": unit(keys[0], 3, 4),
        "b1": unit(keys[1], 4, 6),
        "b2": unit(keys[2], 6, 8),
        "p": unit(keys[3], 4, 8, k=1),
        "d": normal(keys[5], 8, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(apply_unit(x, p["stem"]))
        y = apply_unit(jax.nn.relu(apply_unit(x, p["b1"], 2)), p["b2"])
        return jax.nn.relu(apply_unit(x, p["p"], 2) + y).mean((1, 2)) @ p["d"]

    return apply, params, images(), 4 + 6 + 8


@case
def preactivation(key: jax.Array) -> Case:
    keys = jax.random.split(key, 6)
    params = {
        "stem": normal(keys[0], 3, 3, 3, 4),
        "n1": norm_params(keys[1], 4),
        "c1": normal(keys[2], 3, 3, 4, 5),
        "n2": norm_params(keys[3], 5),
        "c2": normal(keys[4], 3, 3, 5, 4),
        "d": normal(keys[5], 4, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = conv(x, p["stem"])
        y = conv(jax.nn.relu(norm(x, p["n1"])), p["c1"])
        x = x + conv(jax.nn.relu(norm(y, p["n2"])), p["c2"])
        return x.mean((1, 2)) @ p["d"]

    return apply, params, images(), 4 + 5


@case
def densenet(key: jax.Array) -> Case:
    keys = jax.random.split(key, 4)
    params = {
        "stem": normal(keys[0], 3, 3, 3, 4),
        "n1": norm_params(keys[1], 4),
        "c1": normal(keys[1], 3, 3, 4, 3),
        "n2": norm_params(keys[2], 7),
        "c2": normal(keys[2], 3, 3, 7, 2),
        "d": normal(keys[3], 9, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = conv(x, p["stem"])
        x = jnp.concatenate([x, conv(jax.nn.relu(norm(x, p["n1"])), p["c1"])], -1)
        x = jnp.concatenate([x, conv(jax.nn.relu(norm(x, p["n2"])), p["c2"])], -1)
        return jax.nn.relu(x).mean((1, 2)) @ p["d"]

    return apply, params, images(), 4 + 3 + 2


@case
def inception(key: jax.Array) -> Case:
    keys = jax.random.split(key, 5)
    params = {
        "a": normal(keys[0], 1, 1, 3, 2),
        "b": normal(keys[1], 3, 3, 3, 3),
        "c": normal(keys[2], 5, 5, 3, 4),
        "d": normal(keys[3], 9, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        pooled = nnx.avg_pool(x, (3, 3), (1, 1), "SAME")
        parts = [conv(x, p["a"]), conv(x, p["b"]), conv(pooled, p["c"])]
        return jax.nn.relu(jnp.concatenate(parts, -1)).mean((1, 2)) @ p["d"]

    return apply, params, images(), 9


@case
def mobilenet(key: jax.Array) -> Case:
    """Depthwise separable (V1), then an inverted residual (V2)."""
    keys = jax.random.split(key, 7)
    params = {
        "stem": unit(keys[0], 3, 4),
        "dw": unit(keys[1], 4, 4, groups=4),
        "pw": unit(keys[2], 4, 6, k=1),
        "up": unit(keys[3], 6, 8, k=1),
        "dw2": unit(keys[4], 8, 8, groups=8),
        "down": unit(keys[5], 8, 6, k=1),
        "d": normal(keys[6], 6, 3),
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
def depth_multiplier(key: jax.Array) -> Case:
    """Depthwise with two outputs a channel: an input falls with both."""
    a, b, c = jax.random.split(key, 3)
    params = {
        "stem": normal(a, 3, 3, 3, 4),
        "dw": normal(b, 3, 3, 1, 8),
        "d": normal(c, 8, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(conv(conv(x, p["stem"]), p["dw"], groups=4))
        return x.mean((1, 2)) @ p["d"]

    return apply, params, images(), 4


@case
def shufflenet(key: jax.Array) -> Case:
    """V2 unit: split, convolve one half, concatenate, shuffle two groups."""
    keys = jax.random.split(key, 4)
    params = {
        "stem": normal(keys[0], 3, 3, 3, 8),
        "pw": unit(keys[1], 4, 4, k=1),
        "dw": unit(keys[2], 4, 4, groups=4),
        "d": normal(keys[3], 8, 3),
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
def resnext(key: jax.Array) -> Case:
    """Grouped convolution: every group keeps the same channels."""
    keys = jax.random.split(key, 4)
    params = {
        "stem": unit(keys[0], 3, 8, k=1),
        "g": unit(keys[1], 8, 6, groups=2),
        "out": unit(keys[2], 6, 5, k=1),
        "d": normal(keys[3], 5, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(apply_unit(x, p["stem"]))
        x = jax.nn.relu(apply_unit(x, p["g"], groups=2))
        return apply_unit(x, p["out"]).mean((1, 2)) @ p["d"]

    return apply, params, images(), 4 + 3 + 5


@case
def squeeze_excite(key: jax.Array) -> Case:
    keys = jax.random.split(key, 4)
    params = {
        "stem": unit(keys[0], 3, 6),
        "s": normal(keys[1], 6, 4),
        "e": normal(keys[2], 4, 6),
        "d": normal(keys[3], 6, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.silu(apply_unit(x, p["stem"]))
        gate = jax.nn.sigmoid(jax.nn.relu(x.mean((1, 2)) @ p["s"]) @ p["e"])
        return (x * gate[:, None, None]).mean((1, 2)) @ p["d"]

    return apply, params, images(), 6 + 4


@case
def groupnorm(key: jax.Array) -> Case:
    """Groups of two channels fall together; the mean within a group stays right."""
    keys = jax.random.split(key, 3)
    params = {
        "stem": normal(keys[0], 3, 3, 3, 8),
        "scale": normal(keys[1], 8),
        "d": normal(keys[2], 8, 3),
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
def layernorm_cnn(key: jax.Array) -> Case:
    """The width under the norm is frozen, the one behind it is not."""
    keys = jax.random.split(key, 4)
    params = {
        "stem": normal(keys[0], 3, 3, 3, 6),
        "scale": normal(keys[1], 6),
        "c": normal(keys[2], 3, 3, 6, 5),
        "d": normal(keys[3], 5, 3),
    }

    def apply(p: Any, x: Any) -> Any:
        x = conv(x, p["stem"])
        x = jax.nn.standardize(x, axis=-1) * p["scale"]
        return jax.nn.relu(conv(x, p["c"])).mean((1, 2)) @ p["d"]

    return apply, params, images(), 5


@case
def unet(key: jax.Array) -> Case:
    keys = jax.random.split(key, 4)
    params = {
        "a": normal(keys[0], 3, 3, 3, 4),
        "b": normal(keys[1], 3, 3, 4, 6),
        "up": normal(keys[2], 2, 2, 6, 5),
        "out": normal(keys[3], 3, 3, 9, 2),
    }

    def apply(p: Any, x: Any) -> Any:
        top = jax.nn.relu(conv(x, p["a"]))
        low = jax.nn.relu(conv(pool(top), p["b"]))
        up = lax.conv_transpose(
            low, p["up"], (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return conv(jnp.concatenate([top, jax.nn.relu(up)], -1), p["out"])

    return apply, params, images(), 4 + 6 + 5


def attention(p: Any, x: jax.Array, heads: int, causal: bool) -> jax.Array:
    n, t, _ = x.shape
    q, k, v = ((x @ p[name]).reshape(n, t, heads, -1) for name in ("query", "key", "value"))
    scores = jnp.einsum("nthd,nshd->nhts", q, k) / jnp.sqrt(3.0)
    if causal:
        scores = jnp.where(jnp.tril(jnp.ones((t, t), bool)), scores, -1e9)
    mixed = jnp.einsum("nhts,nshd->nthd", jax.nn.softmax(scores), v)
    return mixed.reshape(n, t, -1) @ p["out"]


def block_params(key: jax.Array, width: int, inner: int, hidden: int) -> dict[str, Any]:
    keys = jax.random.split(key, 6)
    return {
        "query": normal(keys[0], width, inner),
        "key": normal(keys[1], width, inner),
        "value": normal(keys[2], width, inner),
        "out": normal(keys[3], inner, width),
        "up": normal(keys[4], width, hidden),
        "down": normal(keys[5], hidden, width),
    }


def transformer(p: Any, x: jax.Array, heads: int, causal: bool) -> jax.Array:
    x = x + attention(p, jax.nn.standardize(x), heads, causal)
    return x + jax.nn.gelu(jax.nn.standardize(x) @ p["up"]) @ p["down"]


@case
def vit(key: jax.Array) -> Case:
    """Whole heads and the hidden width are prunable; the residual width is frozen."""
    keys = jax.random.split(key, 4)
    params = {
        "patch": normal(keys[0], 2, 2, 3, 6),
        "class": normal(keys[1], 1, 1, 6),
        "position": normal(keys[1], 1, 5, 6),
        "block": block_params(keys[2], 6, 12, 7),
        "d": normal(keys[3], 6, 3),
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
def fused_attention(key: jax.Array) -> Case:
    """One matrix for query, key and value, cut after a reshape to (3, heads, depth)."""
    keys = jax.random.split(key, 3)
    params = {
        "in": normal(keys[0], 6, 6),
        "qkv": normal(keys[1], 6, 3 * 12),
        "out": normal(keys[2], 12, 5),
    }

    def apply(p: Any, x: Any) -> Any:
        n, t, _ = x.shape
        x = jax.nn.relu(x @ p["in"])
        q, k, v = jnp.moveaxis((x @ p["qkv"]).reshape(n, t, 3, 4, 3), 2, 0)
        weights = jax.nn.softmax(jnp.einsum("nthd,nshd->nhts", q, k))
        return jnp.einsum("nhts,nshd->nthd", weights, v).reshape(n, t, -1) @ p["out"]

    return apply, params, jnp.ones((2, 5, 6)), 6 + 4


@case
def causal_language_model(key: jax.Array) -> Case:
    """Token embedding, tied to the output; the residual width is normalised."""
    a, b = jax.random.split(key)
    params = {"embed": normal(a, 11, 6), "block": block_params(b, 6, 8, 5)}

    def apply(p: Any, tokens: Any) -> Any:
        x = transformer(p["block"], p["embed"][tokens], 2, causal=True)
        return jax.nn.standardize(x) @ p["embed"].T

    return apply, params, jnp.zeros((2, 4), jnp.int32), 2 + 5


@case
def gru(key: jax.Array) -> Case:
    """The hidden state of a recurrent cell runs through a scan's carry."""
    a, b, c = jax.random.split(key, 3)
    params = {
        "x": normal(a, 3, 3 * 5),
        "h": normal(b, 5, 3 * 5),
        "b": normal(b, 3 * 5),
        "d": normal(c, 5, 2),
    }

    def apply(p: Any, x: Any) -> Any:
        def cell(h: Any, xt: Any) -> Any:
            rx, zx, nx = jnp.split(xt @ p["x"] + p["b"], 3, -1)
            rh, zh, nh = jnp.split(h @ p["h"], 3, -1)
            z = jax.nn.sigmoid(zx + zh)
            new = jnp.tanh(nx + jax.nn.sigmoid(rx + rh) * nh)
            return (1 - z) * new + z * h, None

        start = jnp.zeros((x.shape[0], 5))
        h, _ = lax.scan(cell, start, jnp.swapaxes(x, 0, 1))
        return h @ p["d"]

    return apply, params, jnp.ones((2, 4, 3)), 5


@case
def scanned_layers(key: jax.Array) -> Case:
    """Parameters of several layers stacked: a channel falls in all of them at once."""
    a, b, c = jax.random.split(key, 3)
    params = {
        "in": normal(a, 3, 4),
        "up": normal(b, 3, 4, 5),
        "down": normal(c, 3, 5, 4),
        "d": normal(c, 4, 2),
    }

    def apply(p: Any, x: Any) -> Any:
        def layer(x: Any, p: Any) -> Any:
            return x + jax.nn.relu(x @ p["up"]) @ p["down"], None

        x, _ = lax.scan(layer, x @ p["in"], {"up": p["up"], "down": p["down"]})
        return x @ p["d"]

    return apply, params, jnp.ones((2, 3)), 4 + 5


@case
def two_inputs(key: jax.Array) -> Case:
    a, b, c = jax.random.split(key, 3)
    params = {"a": normal(a, 3, 4), "b": normal(b, 5, 4), "c": normal(c, 4, 2)}

    def apply(p: Any, x: Any) -> Any:
        return jax.nn.relu(x["a"] @ p["a"] * jnp.tanh(x["b"] @ p["b"])) @ p["c"]

    return apply, params, {"a": jnp.ones((2, 3)), "b": jnp.ones((2, 5))}, 4


@case
def two_outputs(key: jax.Array) -> Case:
    """One output reads the hidden layer itself: that width is frozen."""
    a, b, c = jax.random.split(key, 3)
    params = {"a": normal(a, 3, 4), "b": normal(b, 4, 5), "c": normal(c, 5, 2)}

    def apply(p: Any, x: Any) -> Any:
        seen = jax.nn.relu(x @ p["a"])
        return {"seen": seen, "label": jax.nn.relu(seen @ p["b"]) @ p["c"]}

    return apply, params, jnp.ones((2, 3)), 5


@case
def input_shortcut(key: jax.Array) -> Case:
    """The input is added to the output: the last layer's width is frozen."""
    a, b = jax.random.split(key)
    params = {"a": normal(a, 3, 3, 3, 5), "b": normal(b, 3, 3, 5, 3)}

    def apply(p: Any, x: Any) -> Any:
        return x + conv(jax.nn.relu(conv(x, p["a"])), p["b"])

    return apply, params, images(), 5


@case
def normalised_by_length(key: jax.Array) -> Case:
    """A vector divided by its norm: removing an entry would change the others."""
    a, b, c = jax.random.split(key, 3)
    params = {"a": normal(a, 3, 4), "b": normal(b, 4, 5), "c": normal(c, 5, 2)}

    def apply(p: Any, x: Any) -> Any:
        x = x @ p["a"]
        x = x / jnp.linalg.norm(x, axis=-1, keepdims=True)
        return jax.nn.relu(x @ p["b"]) @ p["c"]

    return apply, params, jnp.ones((2, 3)), 5


@case
def flax_nnx(key: jax.Array) -> Case:
    """Flax' own modules: batch norm, its attention with (heads, depth) kernels."""

    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.conv = nnx.Conv(3, 6, (3, 3), rngs=rngs)
            self.norm = nnx.BatchNorm(6, use_running_average=True, rngs=rngs)
            self.attend = nnx.MultiHeadAttention(
                2, 6, qkv_features=8, decode=False, rngs=rngs
            )
            self.head = nnx.Linear(6, 3, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            x = jax.nn.relu(self.norm(self.conv(x)))
            x = self.attend(x.reshape(x.shape[0], -1, x.shape[-1]))
            return self.head(x.mean(1))

    graph, state = nnx.split(Net(nnx.Rngs(0)))
    params = _shaken(key, nnx.to_pure_dict(state))

    def apply(p: Any, x: Any) -> Any:
        return nnx.merge(graph, p)(x)

    # conv 6; heads 2; depth of query and key 4, of value and output 4; attention's output 6
    return apply, params, images(), 6 + 2 + 4 + 4 + 6


@case
def flax_linen(key: jax.Array) -> Case:
    """Linen with batch statistics in a collection of their own."""

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            x = linen.Conv(5, (3, 3))(x)
            x = linen.relu(linen.BatchNorm(use_running_average=True)(x))
            x = linen.avg_pool(x, (2, 2), (2, 2))
            x = linen.Dense(4)(x.reshape(x.shape[0], -1))
            return linen.Dense(3)(linen.elu(x))

    module = Net()
    params = _shaken(key, module.init(key, images()))
    return module.apply, params, images(), 5 + 4


def _shaken(key: jax.Array, params: Any) -> Any:
    """Moves parameters away from their initial values; keeps what is positive so."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    moved = [
        jnp.abs(leaf + 0.3 * jax.random.normal(k, leaf.shape)) + 0.1
        if bool((leaf > 0).all())
        else leaf + 0.3 * jax.random.normal(k, leaf.shape)
        for k, leaf in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(tree, moved)
