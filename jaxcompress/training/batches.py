"""Random batches of training examples, held on the device or streamed to it."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32, Key, Shaped

from jaxcompress.data import Dataset, Stream

AHEAD = 8  # steps that may wait for the device: of a stream, each with its own examples


class Batch(NamedTuple):
    """Some rows of arrays on the device.

    One compiled step serves every batch of a data set: the arrays are those of all
    examples where these are held, and else those of the batch.

    Attributes:
        rows: int32 [B]; of several batches [steps, B].
        inputs: [N, ...], in the native unit.
        targets: [N, ...].
    """

    rows: Int32[Array | np.ndarray, "... b"]
    inputs: Shaped[Array, "n ..."]
    targets: Shaped[Array, "n ..."]


class Batches:
    """Batches of what weights are fitted to.

    Attributes:
        size: examples a batch.
        steps: batches an epoch.
        held: whether the examples are on the device, and not streamed.
    """

    def __init__(self, data: Dataset, size: int) -> None:
        """Puts the examples on the device, if they are held.

        Args:
            size: examples a batch; all, if there are fewer.
        """
        self._data, self._fitted = data, data.fitted
        self.size = min(size, len(self._fitted))
        self.steps = len(self._fitted) // self.size
        self._shuffle = jax.jit(shuffled_batches, static_argnums=(1, 2))
        self.held = not isinstance(self._fitted, Stream)
        if not isinstance(self._fitted, Stream):
            self._inputs = jnp.asarray(self._fitted.inputs)
            self._targets = jnp.asarray(self._fitted.targets)

    def together(self, key: Key[Array, ""]) -> Batch:
        """Returns all batches of an epoch, with rows [steps, B]; the examples are held.

        Args:
            key: see `epoch`.
        """
        order = self._shuffle(key, len(self._fitted), self.size)
        return Batch(order, self._inputs, self._targets)

    def epoch(self, key: Key[Array, ""]) -> Iterator[Batch]:
        """Yields the batches of an epoch; examples that fill none are left out.

        Args:
            key: decides the order; the same key gives the same batches.

        Raises:
            ValueError: examples of a stream are not those of the data set.
        """
        if not isinstance(self._fitted, Stream):
            whole = self.together(key)
            for rows in np.asarray(whole.rows):
                yield whole._replace(rows=rows)
            return
        seed = int(jax.random.bits(key, dtype=jnp.uint32))
        rows = np.arange(self.size, dtype=np.int32)
        for split in self._fitted.batches(seed, self.size):
            self._data.check("stream", split)
            yield Batch(rows, *jax.device_put((split.inputs, split.targets)))


def shuffled_batches(
    key: Key[Array, ""], examples: int, batch_size: int
) -> Int32[Array, "steps b"]:
    """Divides example indices into random batches; the rest is left out.

    Args:
        key: decides the order.
        examples: how many there are; batch_size: how many a batch takes.

    Returns:
        int32 [examples // batch_size, batch_size].
    """
    steps = examples // batch_size
    order = jax.random.permutation(key, examples)
    return order[: steps * batch_size].reshape(steps, batch_size)
