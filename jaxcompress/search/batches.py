"""The examples of an evaluation, cut into batches that run fast, and run in them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jaxtyping import Array, Int, Shaped

from jaxcompress.network import Network

# Bytes of the largest activation of one forward pass. A CPU is fastest while that stays
# in its cache; elsewhere large passes are as fast as any, and only memory bounds them.
STEP_BYTES, STEP_BYTES_CPU = 1 << 28, 2 << 20


class Batches(struct.PyTreeNode):
    """Examples on the host in equal batches; the last is filled up with the first examples.

    Attributes:
        inputs: a pytree of [batches, size, ...].
        targets: [N, ...], in the order of the inputs.
    """

    inputs: Any
    targets: Shaped[np.ndarray, "n ..."]

    def reordered(self, order: Int[np.ndarray, " n"]) -> "Batches":
        """Returns the same examples in another order."""
        rows, size = self.shape
        filled = order[np.arange(rows * size) % len(order)]

        def taken(x: np.ndarray) -> np.ndarray:
            return x.reshape(rows * size, *x.shape[2:])[filled].reshape(x.shape)

        return Batches(jax.tree.map(taken, self.inputs), self.targets[order])

    @property
    def shape(self) -> tuple[int, int]:
        """The number of batches and their size."""
        rows, size, *_ = jax.tree.leaves(self.inputs)[0].shape
        return rows, size


def cut(network: Network, inputs: Any, targets: Any, splits: int) -> Batches:
    """Cuts examples into at least `splits` batches.

    Args:
        inputs: a pytree of [N, ...]; targets: [N, ...].

    Raises:
        ValueError: inputs and targets disagree on N, or N is 0, or below `splits`.
    """
    targets = np.asarray(targets)
    count = targets.shape[0]
    lengths = {np.shape(x)[0] for x in jax.tree.leaves(inputs)}
    if lengths != {count} or count == 0:
        raise ValueError(
            f"Evaluator: inputs have {sorted(lengths)} rows, targets {count}; they must "
            "be equal and not 0"
        )
    if not 1 <= splits <= count:
        raise ValueError(f"Evaluator: splits is {splits}; allowed: 1..{count}, the inputs")
    limit = STEP_BYTES_CPU if jax.default_backend() == "cpu" else STEP_BYTES
    rows = max(splits, -(-count * network.activation_bytes // limit))
    size = -(-count // rows)
    if network.batch_reason is not None:
        size = jax.tree.leaves(network.example)[0].shape[0]
    rows = -(-count // size)
    filled = np.arange(rows * size) % count
    taken = jax.tree.map(
        lambda x: np.asarray(x)[filled].reshape(rows, size, *np.shape(x)[1:]), inputs
    )
    return Batches(taken, targets)


def over(
    run: Callable[[Any], Any], batches: Any, window: Int[Array, "2"], axis: str | None
) -> Any:
    """Runs the batches window[0]..window[1] - 1; the outputs of the others are 0.

    Args:
        axis: of the mesh, along which batches are dealt out in turn; None: all are here.
    """
    count = jax.tree.leaves(batches)[0].shape[0]
    shapes = jax.eval_shape(run, jax.tree.map(lambda x: x[0], batches))
    empty = jax.tree.map(lambda y: jnp.zeros((count, *y.shape), y.dtype), shapes)
    if axis is not None:
        columns = lax.axis_size(axis)
        window = (window - lax.axis_index(axis) + columns - 1) // columns

    def step(i: Int[Array, ""], outputs: Any) -> Any:
        found = run(jax.tree.map(lambda x: x[i], batches))
        return jax.tree.map(lambda all_, one: all_.at[i].set(one), outputs, found)

    outputs = lax.fori_loop(window[0], window[1], step, empty)
    if axis is not None:
        # The batches of a device are every `columns`th: [count, columns, ...] is in order.
        outputs = jax.tree.map(lambda y: lax.all_gather(y, axis, axis=1), outputs)
        outputs = jax.tree.map(lambda y: y.reshape(-1, *y.shape[2:]), outputs)
    return outputs
