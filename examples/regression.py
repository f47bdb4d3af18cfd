"""Regression with plain JAX: no classes, an own loss, an own quality."""

from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from examples.descent import descend
from jaxcompress.data import Dataset, Split

WIDTHS = (4, 48, 48, 1)


def data() -> Dataset:
    """A smooth function of four numbers, with a little noise."""
    rng = np.random.default_rng(0)

    def split(count: int) -> Split:
        x = rng.uniform(-1, 1, (count, 4)).astype(np.float32)
        y = np.sin(3 * x[:, :1]) * x[:, 1:2] + np.abs(x[:, 2:3]) - x[:, 3:] ** 2
        noise = rng.normal(0, 0.02, y.shape)
        return Split(x, (y + noise).astype(np.float32))

    return Dataset("wave", train=split(2000), validation=split(500), test=split(1000))


def apply(params: Any, x: Array) -> Array:
    """Maps float32 [N, 4] to float32 [N, 1]."""
    *hidden, last = params
    for layer in hidden:
        x = jnp.tanh(x @ layer["w"] + layer["b"])
    return x @ last["w"] + last["b"]


def network() -> tuple[Any, Any]:
    """The trained network, as a configuration wants it."""
    rng = np.random.default_rng(1)
    params = [
        {
            "w": jnp.asarray(rng.normal(0, i**-0.5, (i, o)), jnp.float32),
            "b": jnp.zeros(o),
        }
        for i, o in pairwise(WIDTHS)
    ]
    train = data().train
    x, y = jnp.asarray(train.inputs), jnp.asarray(train.targets)

    def loss(params: Any, x: Array, y: Array) -> Array:
        return squared(apply(params, x), y)

    return apply, descend(loss, params, x, y, steps=1500, batch=128)


def squared(outputs: Array, targets: Array) -> Array:
    """The loss: the mean squared difference."""
    return jnp.square(outputs - targets).mean()


def deviation(outputs: Array, targets: Array) -> Array:
    """The quality: the root mean square of the difference, in the unit of the targets."""
    return jnp.sqrt(squared(outputs, targets))
