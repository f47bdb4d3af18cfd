"""Batches of training examples, each with the teacher's outputs, and steps on them."""

from collections import deque
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jaxtyping import Array, Float, Int, Int32, Key, PyTree, Shaped

from jaxcompress.config import TuneConfig
from jaxcompress.data import Dataset
from jaxcompress.network import Network
from jaxcompress.space import Plan
from jaxcompress.training.augment import augment
from jaxcompress.training.batches import AHEAD, Batch, Batches
from jaxcompress.training.member import Member
from jaxcompress.training.step import (
    OWN,
    WHOLE,
    Rates,
    by_rows,
    compiled_steps,
    pure_steps,
)
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
        at_once: bool | None = None,
    ) -> None:
        """Compiles nothing yet.

        Args:
            network: its own parameters make the dense network, the teacher.
            loss: (outputs, targets) -> scalar; of classifiers if None, see `pure_steps`.
            mesh: devices along an axis "population"; one device if None.
            at_once: whether an epoch is one call, see `epoch`; None: on what is no CPU.
        """
        self._network, self._data, self._config = network, data, config
        self._batches = Batches(data, config.batch_size)
        self.epoch_steps = self._batches.steps
        self.steps = self.epoch_steps * config.epochs
        self._mesh = mesh
        self.rows = 1 if mesh is None else mesh.size
        how = network, loss, config.batch_norm == "trained", config.scales == "learned"
        self._compiled = compiled_steps(*how, mesh)
        self._step = pure_steps(*how).step
        if at_once is None:
            at_once = jax.default_backend() != "cpu"
        self._at_once = at_once and self._batches.held
        self._scanned = by_rows(mesh, self._all_steps, OWN, OWN, WHOLE, WHOLE, WHOLE)
        self._everywhere = self._spread = None
        if mesh is not None:
            self._everywhere = NamedSharding(mesh, WHOLE)
            self._spread = NamedSharding(mesh, OWN)
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

    def epoch(
        self,
        key: Key[Array, ""],
        epoch: int,
        plans: list[Plan],
        members: list[Member],
        on_batch: Callable[[int], None] = lambda done: None,
    ) -> list[Member]:
        """Returns members after all steps of an epoch.

        On an accelerator in one call: to start the hundreds of small kernels of a step on
        a small batch takes longer than they run. On a CPU one call for each batch: within
        a scan the backward pass of convolutions runs without its fast kernels. So too
        where examples are streamed.

        Args:
            key: of the whole training; epoch: counted from 0.
            plans, members: groups [rows, ...].
            on_batch: called with the batches of this epoch that are done.
        """
        if self._at_once:
            rates = self._rates(epoch * self.epoch_steps + np.arange(self.epoch_steps))
            key = jax.random.fold_in(key, epoch)
            batches = self._batches.together(key)
            members = self._scanned(plans, members, key, batches, rates)
            jax.block_until_ready(members)
            on_batch(self.epoch_steps)
            return members
        for number, batch in enumerate(self.batches(key, epoch), 1):
            members = [
                self.step(plan, member, batch)
                for plan, member in zip(plans, members, strict=True)
            ]
            on_batch(number)
        return members

    def batches(self, key: Key[Array, ""], epoch: int) -> Iterator[Taught]:
        """Yields inputs, targets, the dense network's outputs and rates of one epoch.

        Args:
            key, epoch: see `epoch`.
        """
        epoch_key = jax.random.fold_in(key, epoch)
        waiting: deque[Array] = deque(maxlen=AHEAD)
        for number, examples in enumerate(self._batches.epoch(epoch_key)):
            # One device, and copies of what it gives: were the batch spread over all, they
            # would have to wait for each other, and those of a CPU share its threads.
            batch = self._teach(epoch_key, number, examples)
            waiting.append(batch[-1])
            jax.block_until_ready(waiting[0])
            if self._everywhere is not None:
                batch = jax.device_put(batch, self._everywhere)
            yield (*batch, self._rates(np.asarray(epoch * self.epoch_steps + number)))

    def _rates(self, count: Int[np.ndarray, " *s"]) -> Rates:
        """Returns the rates of steps, counted from 0 over all epochs; float32 [*s]."""
        config = self._config
        rates = (
            config.learning_rate * 0.5 * (1.0 + np.cos(np.pi * count / self.steps)),
            config.weight_decay,
            config.distillation,
            config.temperature,
            config.label_smoothing,
            config.ema,
        )
        return Rates(*(np.full(count.shape, rate, np.float32) for rate in rates))  # type: ignore[arg-type]

    def _all_steps(
        self,
        plans: list[Plan],
        members: list[Member],
        key: Key[Array, ""],
        batches: Batch,
        rates: Rates,
    ) -> list[Member]:
        """Returns members after all batches of an epoch, of every group the own one."""

        def one(members: Member, given: tuple[Array, Array, Rates]) -> tuple[Member, None]:
            number, rows, rate = given
            taught = self._one_batch(key, number, batches._replace(rows=rows))

            def own(pair: tuple[Plan, Member]) -> Member:
                return self._step(*pair, *taught, rate)

            # One after the other: a vmap over weights would group convolutions.
            return jax.lax.map(own, (every, members)), None

        every, members_of_all = (
            jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
            for trees in (plans, members)
        )
        numbers = jnp.arange(len(batches.rows))
        steps = numbers, jnp.asarray(batches.rows), rates
        found, _ = jax.lax.scan(one, members_of_all, steps)
        return [jax.tree.map(lambda x, i=i: x[i], found) for i in range(len(plans))]

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
