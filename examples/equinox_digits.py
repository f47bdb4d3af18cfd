"""An Equinox module: `eqx.partition` takes the arrays out, `eqx.combine` puts them back."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from examples.descent import descend
from jaxcompress.data import load


def network() -> tuple[Any, Any]:
    """The trained network, as a configuration wants it."""
    # Equinox writes a module for one example: 64 pixels to 10 logits.
    module = eqx.nn.MLP(64, 10, width_size=48, depth=2, key=jax.random.key(0))
    params, static = eqx.partition(module, eqx.is_array)

    def apply(params: Any, x: Array) -> Array:
        return jax.vmap(eqx.combine(params, static))(x.reshape(len(x), -1))

    def loss(params: Any, x: Array, y: Array) -> Array:
        losses = optax.softmax_cross_entropy_with_integer_labels(apply(params, x), y)
        return losses.mean()

    digits = load("digits")
    x, y = digits.normalize(digits.train.inputs), jnp.asarray(digits.train.targets)
    return apply, descend(loss, params, x, y, steps=300, batch=64)
