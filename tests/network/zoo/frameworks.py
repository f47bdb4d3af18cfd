"""Other libraries' own modules."""

from functools import partial
from typing import Any

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
from flax import linen, nnx
from network.zoo.base import Case, Rng, case, drawn, images


@case
def flax_nnx(rng: Rng) -> Case:
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

    graph, state = nnx.split(nnx.eval_shape(lambda: Net(nnx.Rngs(0))))
    params = drawn(rng, nnx.to_pure_dict(state))

    def apply(p: Any, x: Any) -> Any:
        return nnx.merge(graph, p)(x)

    # conv 6; heads 2; depth of query and key 4, of value and output 4; attention's output 6
    return apply, params, images(), 6 + 2 + 4 + 4 + 6


@case
def flax_linen(rng: Rng) -> Case:
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
    params = drawn(rng, jax.eval_shape(module.init, jax.random.key(0), images()))
    return module.apply, params, images(), 5 + 4


@case
def equinox(rng: Rng) -> Case:
    """`eqx.partition` takes the arrays out of a module; it is written for one example."""

    class Net(eqx.Module):
        conv: eqx.nn.Conv2d
        norm: eqx.nn.GroupNorm
        hidden: eqx.nn.Linear
        head: eqx.nn.Linear

        def __init__(self, key: jax.Array) -> None:
            self.conv = eqx.nn.Conv2d(3, 6, 3, padding=1, key=key)
            self.norm = eqx.nn.GroupNorm(3, 6)
            self.hidden = eqx.nn.Linear(6 * 2 * 2, 5, key=key)
            self.head = eqx.nn.Linear(5, 3, key=key)

        def __call__(self, x: jax.Array) -> jax.Array:
            x = jax.nn.relu(self.norm(self.conv(x)))
            x = eqx.nn.MaxPool2d(2, 2)(x).reshape(-1)
            return self.head(jax.nn.gelu(self.hidden(x)))

    net = eqx.filter_eval_shape(Net, jax.random.key(0))
    shapes, static = eqx.partition(net, lambda x: isinstance(x, jax.ShapeDtypeStruct))
    params = drawn(rng, shapes)

    def apply(p: Any, x: Any) -> Any:
        return jax.vmap(eqx.combine(p, static))(x)

    # Two channels of each norm group fall together: 3. Hidden 5.
    return apply, params, jnp.ones((2, 3, 4, 4)), 3 + 5


@case
def haiku(rng: Rng) -> Case:
    """`hk.transform_with_state`; the averages of batch norm are a tree of their own."""

    def net(x: jax.Array, training: bool) -> jax.Array:
        x = hk.Conv2D(4, 3)(x)
        x = jax.nn.relu(hk.BatchNorm(True, True, 0.9)(x, is_training=training))
        x = hk.Linear(5)(
            hk.AvgPool((2, 2, 1), (2, 2, 1), "VALID")(x).reshape(x.shape[0], -1)
        )
        return hk.Linear(3)(jnp.tanh(x))

    module = hk.without_apply_rng(hk.transform_with_state(net))
    make = partial(module.init, training=True)
    weights, state = jax.eval_shape(make, jax.random.key(0), images())
    params = drawn(rng, {"params": weights, "state": state})

    def apply(p: Any, x: Any) -> Any:
        return module.apply(p["params"], p["state"], x, training=False)[0]

    return apply, params, images(), 4 + 5
