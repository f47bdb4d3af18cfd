"""Gradient steps on a network under a plan: what fine-tuning and adapting share."""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jaxtyping import Array, Float, Int32, Key, PyTree, Shaped

from jaxcompress.compress import forward
from jaxcompress.config import TuneConfig
from jaxcompress.data import Dataset
from jaxcompress.network import Network
from jaxcompress.space import Plan
from jaxcompress.training.augment import augment
from jaxcompress.training.train import Loss, shuffled_batches, smoothed_loss

Batch = tuple[Array, Shaped[Array, "b ..."], Float[Array, "b ..."], "Rates"]


@no_type_check  # as a pytree it holds whatever it is mapped to
class Rates(struct.PyTreeNode):
    """What a step is told by number, so that one compilation serves every setting.

    Attributes:
        learning_rate, distillation, temperature, label_smoothing: float32 [].
    """

    learning_rate: Float[Array, ""]
    distillation: Float[Array, ""]
    temperature: Float[Array, ""]
    label_smoothing: Float[Array, ""]


@no_type_check  # as a pytree it holds whatever it is mapped to
class Member(struct.PyTreeNode):
    """One network in training.

    Attributes:
        trained: the parameters that move, by path.
        moments: the optimizer's state.
    """

    trained: dict[str, Array]
    moments: Any


class Tuner:
    """Compiled steps for one network, one data set and one configuration.

    Channels stay removed and weights stay on their grids: the forward pass is that of
    the compact network, the gradient passes straight through the coding.
    """

    def __init__(
        self,
        network: Network,
        data: Dataset,
        config: TuneConfig,
        loss: Loss | None = None,
    ) -> None:
        """Compiles nothing yet.

        Args:
            network: its own parameters make the dense network, the teacher.
            loss: (outputs, targets) -> scalar; of classifiers if None, see
                `compiled_step`.
        """
        self._network, self._data, self._config = network, data, config
        self._size = min(config.batch_size, len(data.train))
        self._steps = len(data.train) // self._size * config.epochs
        self._step, self._start = compiled_step(network, loss)
        self._teach = jax.jit(self._one_batch)
        self._shuffle = jax.jit(shuffled_batches, static_argnums=(1, 2))

    def start(self, params: PyTree) -> Member:
        """Returns a member that begins with these parameters."""
        return self._start(params)

    def params(self, member: Member) -> PyTree:
        """Returns a member's parameters, uncoded."""
        return self._network.unflatten({**self._network.leaves(), **member.trained})

    def batches(self, key: Key[Array, ""]) -> Iterator[Batch]:
        """Yields inputs, targets, the dense network's outputs and rates, all epochs."""
        train, config = self._data.train, self._config
        inputs, targets = jnp.asarray(train.inputs), jnp.asarray(train.targets)
        count = 0
        for epoch in range(config.epochs):
            epoch_key = jax.random.fold_in(key, epoch)
            batches = np.asarray(self._shuffle(epoch_key, len(train), self._size))
            for number, rows in enumerate(batches):
                cosine = 0.5 * (1.0 + np.cos(np.pi * count / self._steps))
                rates = (
                    config.learning_rate * cosine,
                    config.distillation,
                    config.temperature,
                    config.label_smoothing,
                )
                batch = self._teach(epoch_key, number, rows, inputs, targets)
                yield (*batch, Rates(*map(jnp.float32, rates)))
                count += 1

    def step(self, plan: Plan, member: Member, batch: Batch) -> Member:
        """Returns a member after one step; a step to NaN is not taken."""
        return self._step(plan, member, *batch)

    def _one_batch(
        self,
        key: Key[Array, ""],
        number: Int32[Array, ""],
        rows: Int32[Array, " b"],
        inputs: Array,
        targets: Shaped[Array, "n ..."],
    ) -> tuple[Array, Shaped[Array, "b ..."], Float[Array, "b ..."]]:
        config, key = self._config, jax.random.fold_in(key, number)
        changed = augment(key, inputs[rows], config.shift, config.flip, config.cutout)
        x = self._data.normalize(changed)
        return x, targets[rows], self._network.apply(self._network.params, x)


@lru_cache(maxsize=4)
def compiled_step(
    network: Network, measure: Loss | None = None
) -> tuple[Callable[..., Member], Callable[..., Member]]:
    """Returns step and start, compiled once for all plans and settings of a network.

    Args:
        measure: the loss of outputs and targets, beside which distillation is the mean
            squared difference from the teacher's outputs (Ba & Caruana 2014, Do Deep Nets
            Really Need to be Deep?); None: smoothed cross-entropy, beside which it is
            `distillation_loss`.
    """
    optimizer = optax.scale_by_adam()
    fixed = non_trainable(network)

    @jax.jit
    def start(params: PyTree) -> Member:
        leaves = network.leaves(params)
        trained = {p: jnp.asarray(x) for p, x in leaves.items() if p not in fixed}
        return Member(trained, optimizer.init(trained))

    @jax.jit
    def step(
        plan: Plan,
        member: Member,
        x: Array,
        targets: Shaped[Array, "b ..."],
        teacher: Float[Array, "b ..."],
        rates: Rates,
    ) -> Member:
        def loss(trained: dict[str, Array]) -> Float[Array, ""]:
            params = network.unflatten({**network.leaves(), **trained})
            outputs = forward(network, plan, x, params)
            if measure is None:
                hard = smoothed_loss(outputs, targets, rates.label_smoothing)
                soft = distillation_loss(outputs, teacher, rates.temperature)
            else:
                hard = jnp.asarray(measure(outputs, targets), jnp.float32)
                soft = jnp.square(outputs - teacher).mean()
            return (1.0 - rates.distillation) * hard + rates.distillation * soft

        value, gradients = jax.value_and_grad(loss)(member.trained)
        updates, moments = optimizer.update(gradients, member.moments, member.trained)
        moved = jax.tree.map(
            lambda p, u: p - rates.learning_rate * u, member.trained, updates
        )
        finite = jnp.isfinite(value)
        for leaf in jax.tree.leaves(gradients):
            finite = finite & jnp.isfinite(leaf).all()
        return jax.tree.map(partial(jnp.where, finite), Member(moved, moments), member)

    return step, start


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
    logits: Float[Array, "*b k"],
    teacher: Float[Array, "*b k"],
    temperature: float | Float[Array, ""],
) -> Float[Array, ""]:
    """Returns T^2 KL(teacher / T || logits / T), the mean over a batch, in nats.

    Hinton et al. 2015, Distilling the Knowledge in a Neural Network.

    Args:
        logits, teacher: float32 [B, ..., K].
        temperature: T, positive.
    """
    target = jax.nn.log_softmax(teacher / temperature)
    given = jax.nn.log_softmax(logits / temperature)
    divergence = (jnp.exp(target) * (target - given)).sum(axis=-1)
    return temperature**2 * divergence.mean()
