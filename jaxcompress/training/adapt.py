"""One set of weights for all plans, so that a search sees what fine-tuning would give."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key, PyTree

from jaxcompress.config import TuneConfig
from jaxcompress.data import Dataset
from jaxcompress.network import Network
from jaxcompress.space import Plan, Space
from jaxcompress.training.train import Loss, OnBatch, untold
from jaxcompress.training.tuner import Tuner

RANDOM = 2  # random plans a batch


def adapt(
    key: Key[Array, ""],
    network: Network,
    space: Space,
    data: Dataset,
    config: TuneConfig | None = None,
    loss: Loss | None = None,
    on_batch: OnBatch = untold,
) -> PyTree:
    """Trains shared weights under the plans of a space; see `Adapter`.

    Args:
        key: decides order, augmentation and plans.
        network: its own parameters are where training starts, and the teacher.
        data: its training split is used, and no other.
        config: how to train; 0 epochs return the network's own parameters. With
            batch_norm "trained" plans of every size train well, but the averages are of
            no plan: estimate them anew for each (`Evaluator(calibration=)`,
            `reestimate`).
        loss: what the steps minimise, see `finetune`.
        on_batch: called after each batch, see `OnBatch`.

    Returns:
        Parameters like the network's.

    Example:
        >>> params = adapt(key, network, space, dataset)  # doctest: +SKIP
        >>> evaluate = Evaluator(network, space, ..., params=params)  # doctest: +SKIP
    """
    return Adapter(network, space, data, config, loss)(key, on_batch=on_batch)


class Adapter:
    """Trains shared weights under plans; called again it compiles nothing new.

    On every batch a step is taken under the least compressing plan, then two random ones,
    then the most compressing one (the sandwich rule of Yu & Huang 2019, Universally
    Slimmable Networks, who add up the gradients of all for one step). Weights that were
    trained for no compression lose all accuracy under most plans, however good those would
    be after fine-tuning; these do not.

    Example:
        >>> train = Adapter(network, space, dataset)  # doctest: +SKIP
        >>> params = train(key)  # doctest: +SKIP
        >>> params = train(key, params, result.genotypes)  # doctest: +SKIP
    """

    def __init__(
        self,
        network: Network,
        space: Space,
        data: Dataset,
        config: TuneConfig | None = None,
        loss: Loss | None = None,
    ) -> None:
        """Trains nothing yet; see `adapt` for the arguments.

        Raises:
            ValueError: the configuration is for one plan alone.
        """
        config = TuneConfig() if config is None else config
        if config.scales == "learned":
            raise ValueError(
                "adapt: one set of weights serves all plans, and each has scales of its "
                "own; set scales to 'fitted'"
            )
        self._network, self._space, self._epochs = network, space, config.epochs
        self._tuner = Tuner(network, data, config, loss) if config.epochs else None
        self._plan = jax.jit(self._decoded)
        self._sample = jax.jit(self._of_space)
        self._draw = jax.jit(self._of_rows)
        self._repair = jax.jit(space.repair)

    def __call__(
        self,
        key: Key[Array, ""],
        params: PyTree = None,
        genotypes: Int[Array | np.ndarray, "n genes"] | None = None,
        on_batch: OnBatch = untold,
        mixed: float = 0.0,
    ) -> PyTree:
        """Returns parameters that were trained for all epochs.

        Args:
            key: decides order, augmentation and plans.
            params: where training starts; the network's own if None.
            genotypes: int32 [n, D], n >= 1, from the least to the most compressing: the
                plans under which to train, the first and last on every batch, in the
                place of the whole space. Of a space almost all is far from any front,
                and steps under it pull the weights away from what a front needs.
            on_batch: see `adapt`.
            mixed: share of the genes of each of these plans, the ends included, that are
                taken from a random one of them instead, anew on every batch. Weights that
                were always trained under the same few plans favour these over all others.
        """
        params = self._network.params if params is None else params
        if self._tuner is None:
            return params
        tuner = self._tuner
        order, draw = jax.random.split(key)
        rows = None if genotypes is None else np.asarray(genotypes, np.int32)
        least = self._plan(np.asarray(self._space.dense) if rows is None else rows[0])
        state = tuner.start(least, params)
        going, number = jnp.zeros(1, bool), 0
        for epoch in range(self._epochs):
            for batch in tuner.batches(order, epoch):
                if rows is None:
                    chosen = np.asarray(self._sample(draw, number))
                else:
                    told = self._draw(draw, number, len(rows), mixed)
                    places, others, swapped = map(np.asarray, told)
                    chosen = np.where(swapped, rows[others], rows[places])
                    chosen = np.asarray(self._repair(chosen))
                for genotype in chosen:
                    # A plan under which a step is not finite is passed over.
                    plan = self._plan(genotype)
                    state = tuner.step(plan, state, batch).replace(stopped=going)
                number += 1
                on_batch(number, tuner.steps)
        wanted, taken = number * (RANDOM + 2), int(np.asarray(state.steps)[0])
        if taken < wanted:
            warnings.warn(
                f"adapt: {wanted - taken} of {wanted} steps were passed over, for their "
                "loss or gradient was not finite; lower learning_rate",
                RuntimeWarning,
                stacklevel=2,
            )
        found, _ = tuner.result(least, state)
        return jax.tree.map(lambda leaf: leaf[0], found)

    def _decoded(self, genotype: Int[Array, " genes"]) -> Plan:
        plan = self._space.decode(genotype)
        return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], plan)

    def _of_space(self, draw: Key[Array, ""], number: Array) -> Int[Array, "r genes"]:
        """Returns the least compressing plan, random ones, and the most compressing."""
        drawn = self._space.sample(jax.random.fold_in(draw, number), RANDOM)
        least = jnp.asarray(self._space.dense)[None]
        return jnp.concatenate([least, drawn, jnp.zeros_like(least)])

    def _of_rows(
        self, draw: Key[Array, ""], number: Array, count: Array, mixed: Array
    ) -> tuple[Int[Array, " r"], Int[Array, " r"], Bool[Array, "r genes"]]:
        """Returns which of so many plans to take, and which genes from which instead."""
        one, two, three = jax.random.split(jax.random.fold_in(draw, number), 3)
        drawn = jax.random.randint(one, (RANDOM,), 0, count)
        places = jnp.concatenate([jnp.zeros(1, int), drawn, jnp.asarray([count - 1])])
        others = jax.random.randint(two, places.shape, 0, count)
        swapped = jax.random.bernoulli(three, mixed, (len(places), len(self._space)))
        return places, others, swapped
