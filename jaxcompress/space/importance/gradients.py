"""Scores that need data: how the loss answers when a channel is turned down.

A gate of 1 stands on every channel at the input of everything that consumes it; its
gradient is what the criteria are made of.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcompress.network import Network, Step
from jaxcompress.space.importance.weights import Scores
from jaxcompress.transforms import check_labels, cross_entropy

Loss = Callable[[Array, Array], Float[Array, ""]]
Gated = Callable[[Float[Array, " units"], Array, Array], Float[Array, ""]]


def taylor(
    network: Network,
    inputs: Array,
    targets: Array,
    *,
    loss: Loss | None = None,
    batch_size: int = 128,
) -> Scores:
    """Returns the first-order change of a batch's loss when a channel is taken away.

    Molchanov et al. 2017, Pruning Convolutional Neural Networks for Resource Efficient
    Inference: the magnitude of the gradient at the gate of the channel, averaged over
    batches. Effects on single examples cancel out within a batch.

    Args:
        inputs: [N, ...]; targets: [N, ...]: training data, never the test split.
        loss: (outputs, targets) -> scalar; cross-entropy if None.
        batch_size: examples a gradient; what does not fill a batch is left out unless it
            is all there is.

    Raises:
        ValueError: there are no inputs, or labels do not fit the outputs.
    """

    def magnitude(gated: Gated, gates: Array, x: Array, y: Array) -> Array:
        return jnp.abs(jax.grad(gated)(gates, x, y))

    return _averaged(network, inputs, targets, loss, batch_size, magnitude)


def gradient_at_mask(
    network: Network,
    inputs: Array,
    targets: Array,
    *,
    loss: Loss | None = None,
    batch_size: int = 128,
) -> Scores:
    """Returns how much the loss of single examples answers to a channel's gate.

    Michel et al. 2019, Are Sixteen Heads Really Better than One?: the magnitude of the
    gradient at the gate for each example on its own, averaged over examples, so nothing
    cancels out. Arguments and errors are those of `taylor`; `batch_size` bounds memory.
    """

    def magnitude(gated: Gated, gates: Array, x: Array, y: Array) -> Array:
        def one(x: Array, y: Array) -> Array:
            return jnp.abs(jax.grad(gated)(gates, x[None], y[None]))

        return jax.vmap(one)(x, y).mean(0)

    return _averaged(network, inputs, targets, loss, batch_size, magnitude)


def _averaged(
    network: Network,
    inputs: Array,
    targets: Array,
    loss: Loss | None,
    batch_size: int,
    magnitude: Callable[[Gated, Array, Array, Array], Array],
) -> Scores:
    """Returns the mean over batches of what `magnitude` makes of the gates."""
    gated = gated_loss(network, inputs, targets, loss)
    batches = batched(inputs, targets, batch_size)
    gates = jnp.ones(network.layout.count, jnp.float32)

    def body(total: Array, batch: tuple[Array, Array]) -> tuple[Array, None]:
        return total + magnitude(gated, gates, *batch), None

    total, _ = jax.jit(lambda b: jax.lax.scan(body, jnp.zeros_like(gates), b))(batches)
    scores = np.asarray(total, np.float64) / batches[0].shape[0]
    return {group.name: scores[group.units] for group in network.prunable}


def gated_loss(
    network: Network,
    inputs: Array,
    targets: Array,
    loss: Loss | None,
    params: Any = None,
) -> Gated:
    """Returns (gates, inputs, targets) -> the loss with a gate on every channel.

    Args:
        inputs, targets: what it will be asked for; loss: cross-entropy if None.
        params: the network's own if None.

    Raises:
        ValueError: there are no inputs, or labels do not fit the outputs.
    """
    if not hasattr(inputs, "shape"):
        raise ValueError(
            "importance: inputs must be one array; rank networks of several inputs by "
            "l1, l2, batch_norm, or scores of your own"
        )
    if not len(inputs) or len(inputs) != len(targets):
        raise ValueError(
            f"importance: {len(inputs)} inputs and {len(targets)} targets; give equally "
            "many training examples, at least one"
        )
    if loss is None:
        outputs = jax.eval_shape(network.apply, network.params, inputs)
        if not hasattr(outputs, "shape"):
            raise ValueError("importance: the network has several outputs; give a loss")
        check_labels(targets, outputs.shape[-1])
        loss = cross_entropy
    return _gated(network, loss, network.params if params is None else params)


def batched(inputs: Array, targets: Array, batch_size: int) -> tuple[Array, Array]:
    """Returns inputs and targets in batches; a rest is left out unless it is all.

    Raises:
        ValueError: `batch_size` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"importance: batch_size is {batch_size}; allowed: 1 or more")
    count = max(len(inputs) // batch_size, 1)
    size = min(batch_size, len(inputs))
    x, y = jnp.asarray(inputs)[: count * size], jnp.asarray(targets)[: count * size]
    return (
        x.reshape(count, size, *x.shape[1:]),
        y.reshape(count, size, *y.shape[1:]),
    )


def _gated(network: Network, loss: Loss, params: Any) -> Gated:
    def value(gates: Float[Array, " units"], x: Array, y: Array) -> Float[Array, ""]:
        known = jnp.concatenate([gates, jnp.ones(1, gates.dtype)])

        def gate(step: Step, operands: list[Array]) -> list[Array]:
            for position, dim, column in network.consumed(step):
                for units in column.units:
                    shape = [1] * operands[position].ndim
                    shape[dim] = column.size
                    line = known[units].reshape(shape).astype(operands[position].dtype)
                    operands[position] = operands[position] * line
            return operands

        return loss(network.interpret(params, x, before=gate), y)

    return value
