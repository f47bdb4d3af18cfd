"""How much each channel matters: scores by which channels are ranked.

Every function returns, by group name, float64 [n] scores; larger matters more.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcompress.network import ALWAYS, Network, Step
from jaxcompress.transforms import check_labels, cross_entropy

Scores = dict[str, np.ndarray]
Loss = Callable[[Array, Array], Float[Array, ""]]


def l1(network: Network) -> Scores:
    """Returns the sum of magnitudes of the weights that make each channel.

    Li et al. 2017, Pruning Filters for Efficient ConvNets; summed over all layers whose
    outputs are tied together.
    """
    return _norms(network, np.abs)


def l2(network: Network) -> Scores:
    """Returns the sum of squares of the weights that make each channel."""
    return _norms(network, np.square)


def _norms(network: Network, size: Callable[[np.ndarray], np.ndarray]) -> Scores:
    leaves = network.leaves()
    total = np.zeros(network.layout.count)
    for path, axes in {(layer.weight, layer.out_axes) for layer in network.layers}:
        weight = size(np.asarray(leaves[path], np.float64))
        for axis in axes:
            line = weight.sum(tuple(d for d in range(weight.ndim) if d != axis))
            for units in network.columns(path)[axis].units:
                np.add.at(total, units[units != ALWAYS], line[units != ALWAYS])
    return {group.name: total[group.units] for group in network.prunable}


def taylor(
    network: Network,
    inputs: Array,
    targets: Array,
    *,
    loss: Loss | None = None,
    batch_size: int = 128,
) -> Scores:
    """Returns the first-order change of the loss when a channel is taken away.

    Molchanov et al. 2017, Pruning Convolutional Neural Networks for Resource Efficient
    Inference: the magnitude of the gradient at a gate of 1 on the channel, here at every
    consumer's input, averaged over batches.

    Args:
        inputs: [N, ...]; targets: [N, ...]: training data, never the test split.
        loss: (outputs, targets) -> scalar; cross-entropy if None.
        batch_size: examples a gradient; what does not fill a batch is left out unless it
            is all there is.
    """
    if loss is None:
        outputs = jax.eval_shape(network.apply, network.params, inputs)
        check_labels(targets, outputs.shape[-1])
        loss = cross_entropy
    count = max(len(inputs) // batch_size, 1)
    size = min(batch_size, len(inputs))

    measure = loss

    def gated(gates: Float[Array, " units"], x: Array, y: Array) -> Float[Array, ""]:
        known = jnp.concatenate([gates, jnp.ones(1, gates.dtype)])

        def gate(step: Step, operands: list[Array]) -> list[Array]:
            for position, dim, column in network.consumed(step):
                for units in column.units:
                    shape = [1] * operands[position].ndim
                    shape[dim] = column.size
                    line = known[units].reshape(shape).astype(operands[position].dtype)
                    operands[position] = operands[position] * line
            return operands

        return measure(network.interpret(network.params, x, before=gate), y)

    def body(total: Array, batch: tuple[Array, Array]) -> tuple[Array, None]:
        return total + jnp.abs(jax.grad(gated)(gates, *batch)), None

    gates = jnp.ones(network.layout.count, jnp.float32)
    x, y = jnp.asarray(inputs)[: count * size], jnp.asarray(targets)[: count * size]
    batches = (
        x.reshape(count, size, *x.shape[1:]),
        y.reshape(count, size, *y.shape[1:]),
    )
    total, _ = jax.jit(lambda b: jax.lax.scan(body, jnp.zeros_like(gates), b))(batches)
    scores = np.asarray(total, np.float64) / count
    return {group.name: scores[group.units] for group in network.prunable}
