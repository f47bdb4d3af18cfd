"""A Flax Linen checkpoint that Orbax restores."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp
from flax import linen
from jaxtyping import Array

from examples.descent import descend
from jaxcompress.data import Dataset, load

CHECKPOINT = Path("runs/linen_digits_checkpoint")


class Net(linen.Module):
    """A hidden layer between flattened images and logits."""

    @linen.compact
    def __call__(self, x: Array) -> Array:
        x = linen.relu(linen.Dense(64)(x.reshape(x.shape[0], -1)))
        return linen.Dense(10)(linen.relu(linen.Dense(32)(x)))


def network() -> tuple[Any, Any]:
    """The restored network, as a configuration wants it; trained first if missing."""
    digits, module, path = load("digits"), Net(), CHECKPOINT.absolute()
    x = digits.normalize(digits.train.inputs[:1])
    shapes = jax.eval_shape(module.init, jax.random.key(0), x)
    with ocp.StandardCheckpointer() as checkpointer:
        if not path.exists():
            checkpointer.save(path, trained(module, digits))
            checkpointer.wait_until_finished()
        params = checkpointer.restore(path, shapes)
    return module.apply, params


def trained(module: Net, digits: Dataset) -> Any:
    """Returns the variables of a trained module."""
    x, y = digits.normalize(digits.train.inputs), jnp.asarray(digits.train.targets)

    def loss(params: Any, x: Array, y: Array) -> Array:
        logits: Any = module.apply(params, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    params = module.init(jax.random.key(0), x[:1])
    return descend(loss, params, x, y, steps=300, batch=64)
