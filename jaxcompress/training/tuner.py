"""Batches of training examples, each with the teacher's outputs, and steps on them."""

from collections import deque
from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int32, Key, PyTree, Shaped

from jaxcompress.config import TuneConfig
from jaxcompress.data import Dataset
from jaxcompress.network import Network
from jaxcompress.search import POPULATION
from jaxcompress.space import Plan
from jaxcompress.training.augment import augment
from jaxcompress.training.batches import AHEAD, Batch, Batches
from jaxcompress.training.member import Member
from jaxcompress.training.step import Rates, compiled_steps
from jaxcompress.training.train import Loss

Taught = tuple[PyTree, Shaped[Array, "b ..."], PyTree, Rates]


class Tuner:
    """Compiled steps for one network, one data set and one configuration.

    Members are trained side by side, one on each device of a mesh: all arrays of members
    and plans have a leading axis of as many rows as there are devices.

    Attributes:
        epoch_steps: batches an epoch; steps: of all epochs.
        rows: members that are trained side by side.
    """

    def __init__(
        self,
        network: Network,
        data: Dataset,
        config: TuneConfig,
        loss: Loss | None = None,
        mesh: Mesh | None = None,
    ) -> None:
        """Compiles nothing yet.

        Args:
            network: its own parameters make the dense network, the teacher.
            loss: (outputs, targets) -> scalar; of classifiers if None, see `pure_steps`.
            mesh: devices along an axis "population"; one device if None.
        """
        self._network, self._data, self._config = network, data, config
        self._batches = Batches(data, config.batch_size)
        self.epoch_steps = self._batches.steps
        self.steps = self.epoch_steps * config.epochs
        self._mesh = mesh
        self.rows = 1 if mesh is None else mesh.size
        statistics, scales = config.batch_norm == "trained", config.scales == "learned"
        self._compiled = compiled_steps(network, loss, statistics, scales, mesh)
        self._everywhere = self._spread = None
        if mesh is not None:
            self._everywhere = NamedSharding(mesh, PartitionSpec())
            self._spread = NamedSharding(mesh, PartitionSpec(POPULATION))
        self._teach = jax.jit(self._one_batch)

    def groups(self, tree: PyTree) -> list[PyTree]:
        """Returns plans or members [P, ...] in groups [rows, ...], where they are run.

        Where the members do not divide among the devices the last is trained twice.
        """
        tree = jax.tree.map(np.asarray, tree)  # rows of host arrays compile nothing
        count = jax.tree.leaves(tree)[0].shape[0]
        order = np.minimum(np.arange(-(-count // self.rows) * self.rows), count - 1)
        return [
            jax.device_put(jax.tree.map(lambda x, r=r: x[r], tree), self._spread)
            for r in order.reshape(-1, self.rows)
        ]

    def start(self, plans: Plan, params: PyTree) -> Member:
        """Returns members [rows, ...] that begin with these parameters."""
        return self._compiled.start(plans, params)

    def step(self, plans: Plan, members: Member, batch: Taught) -> Member:
        """Returns members [rows, ...] after one step each."""
        return self._compiled.step(plans, members, *batch)

    def result(self, plans: Plan, members: Member) -> tuple[PyTree, Plan]:
        """Returns uncoded parameters [rows, ...], and plans with what was learned."""
        return self._compiled.result(plans, members)

    def batches(self, key: Key[Array, ""], epoch: int) -> Iterator[Taught]:
        """Yields inputs, targets, the dense network's outputs and rates of one epoch.

        Args:
            key: of the whole training; epoch: counted from 0.
        """
        config = self._config
        epoch_key = jax.random.fold_in(key, epoch)
        waiting: deque[Array] = deque(maxlen=AHEAD)
        for number, examples in enumerate(self._batches.epoch(epoch_key)):
            count = epoch * self.epoch_steps + number
            cosine = 0.5 * (1.0 + np.cos(np.pi * count / self.steps))
            rates = (
                config.learning_rate * cosine,
                config.weight_decay,
                config.distillation,
                config.temperature,
                config.label_smoothing,
                config.ema,
            )
            # One device, and copies of what it gives: were the batch spread over all, they
            # would have to wait for each other, and those of a CPU share its threads.
            batch = self._teach(epoch_key, number, examples)
            waiting.append(batch[-1])
            jax.block_until_ready(waiting[0])
            if self._everywhere is not None:
                batch = jax.device_put(batch, self._everywhere)
            yield (*batch, jax.tree.map(np.float32, Rates(*rates)))  # type: ignore[arg-type]

    def _one_batch(
        self,
        key: Key[Array, ""],
        number: Int32[Array, ""],
        batch: Batch,
    ) -> tuple[Array, Shaped[Array, "b ..."], Float[Array, "b ..."]]:
        config, key = self._config, jax.random.fold_in(key, number)
        rows, inputs, targets = batch
        changed = augment(key, inputs[rows], config.shift, config.flip, config.cutout)
        x = self._data.normalize(changed)
        return x, targets[rows], self._network.apply(self._network.params, x)
