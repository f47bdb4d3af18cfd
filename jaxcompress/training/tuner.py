"""Gradient steps on a network under a plan: what fine-tuning and adapting share."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int32, Key, PyTree

from jaxcompress.compress import forward
from jaxcompress.config import TuneConfig
from jaxcompress.data import Dataset
from jaxcompress.network import Network
from jaxcompress.space import Plan
from jaxcompress.training.train import random_shift, shuffled_batches, smoothed_loss

Batch = tuple[Array, Int32[Array, " b"], Float[Array, "b k"]]


class Tuner:
    """Compiled steps for one network, one data set and one configuration.

    Channels stay removed and weights stay on their grids: the forward pass is that of
    the compact network, the gradient passes straight through the coding.

    Attributes:
        network: its own parameters make the dense network, the teacher.
    """

    def __init__(
        self, network: Network, data: Dataset, config: TuneConfig, turns: int = 1
    ) -> None:
        """Compiles nothing yet.

        Args:
            turns: how many steps are taken on each batch; sets the schedule's length.
        """
        self.network, self._data, self._config = network, data, config
        self._size = min(config.batch_size, len(data.train))
        steps = len(data.train) // self._size * config.epochs * turns
        schedule = optax.cosine_decay_schedule(config.learning_rate, max(steps, 1))
        self._optimizer = optax.adam(schedule)
        self._fixed = non_trainable(network)
        self._step = jax.jit(self._one_step)
        self._teach = jax.jit(self._one_batch)
        self._shuffle = jax.jit(shuffled_batches, static_argnums=(1, 2))

    def start(self, params: PyTree) -> Any:
        """Returns the state of a member that begins with these parameters."""
        trained = {
            path: jnp.asarray(leaf)
            for path, leaf in self.network.leaves(params).items()
            if path not in self._fixed
        }
        return trained, self._optimizer.init(trained)

    def params(self, state: Any) -> PyTree:
        """Returns a member's parameters, uncoded."""
        return self.network.unflatten({**self.network.leaves(), **state[0]})

    def batches(self, key: Key[Array, ""]) -> Iterator[Batch]:
        """Yields augmented images, labels and the dense network's logits, all epochs."""
        train = self._data.train
        inputs, targets = jnp.asarray(train.inputs), jnp.asarray(train.targets)
        for epoch in range(self._config.epochs):
            epoch_key = jax.random.fold_in(key, epoch)
            batches = self._shuffle(epoch_key, len(train), self._size)
            for number, rows in enumerate(batches):
                yield self._teach(epoch_key, number, rows, inputs, targets)

    def step(self, plan: Plan, state: Any, batch: Batch) -> Any:
        """Returns a member's state after one step; a step to NaN is not taken."""
        return self._step(plan, state, *batch)

    def _one_batch(
        self,
        key: Key[Array, ""],
        number: Int32[Array, ""],
        rows: Int32[Array, " b"],
        inputs: Array,
        targets: Int32[Array, " n"],
    ) -> Batch:
        shift = self._config.shift
        images = random_shift(jax.random.fold_in(key, number), inputs[rows], shift)
        x = self._data.normalize(images)
        return x, targets[rows], self.network.apply(self.network.params, x)

    def _one_step(
        self,
        plan: Plan,
        state: Any,
        x: Array,
        labels: Int32[Array, " b"],
        teacher: Float[Array, "b k"],
    ) -> Any:
        config, (trained, moments) = self._config, state
        leaves = self.network.leaves()

        def loss(trained: dict[str, Array]) -> Float[Array, ""]:
            params = self.network.unflatten(leaves | trained)
            logits = forward(self.network, plan, x, params)
            hard = smoothed_loss(logits, labels, config.label_smoothing)
            soft = distillation_loss(logits, teacher, config.temperature)
            return (1.0 - config.distillation) * hard + config.distillation * soft

        value, gradients = jax.value_and_grad(loss)(trained)
        updates, moved = self._optimizer.update(gradients, moments, trained)
        finite = jnp.isfinite(value)
        for leaf in jax.tree.leaves(gradients):
            finite = finite & jnp.isfinite(leaf).all()
        new = (optax.apply_updates(trained, updates), moved)
        keep = partial(jnp.where, finite)
        return jax.tree.map(keep, new, (trained, moments))


def non_trainable(network: Network) -> set[str]:
    """Returns the parameters that gradient steps must not move.

    Those are integers, and what goes straight under a root or a logarithm and is
    positive now: a variance that a step makes negative gives NaN.
    """
    leaves = network.leaves()
    fixed = {p for p, x in leaves.items() if not jnp.issubdtype(x.dtype, jnp.floating)}
    for step in network.program.walk():
        if step.primitive.name not in ("rsqrt", "sqrt", "log"):
            continue
        if not step.driven[0] and len(step.sources[0]) == 1:
            (leaf,) = step.sources[0]
            path = network.paths[leaf]
            if bool((np.asarray(leaves[path]) >= 0).all()):
                fixed.add(path)
    return fixed


def distillation_loss(
    logits: Float[Array, "b k"], teacher: Float[Array, "b k"], temperature: float
) -> Float[Array, ""]:
    """Returns T^2 KL(teacher / T || logits / T), the mean over a batch, in nats.

    Hinton et al. 2015, Distilling the Knowledge in a Neural Network.

    Args:
        logits, teacher: float32 [B, K].
        temperature: T, positive.
    """
    target = jax.nn.log_softmax(teacher / temperature)
    given = jax.nn.log_softmax(logits / temperature)
    divergence = (jnp.exp(target) * (target - given)).sum(axis=-1)
    return temperature**2 * divergence.mean()
