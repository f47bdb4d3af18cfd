"""One set of weights for all plans, so that a search sees what fine-tuning would give."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from jaxcompress.config import TuneConfig
from jaxcompress.data import Dataset
from jaxcompress.network import Network
from jaxcompress.space import Plan, Space
from jaxcompress.training.train import Loss
from jaxcompress.training.tuner import Tuner

RANDOM = 2  # random plans a batch


def adapt(
    key: Key[Array, ""],
    network: Network,
    space: Space,
    data: Dataset,
    config: TuneConfig | None = None,
    loss: Loss | None = None,
) -> PyTree:
    """Trains shared weights under the plans of a space.

    On every batch a step is taken under the least compressing plan, the most
    compressing one and two random ones (the sandwich rule: Yu & Huang 2019, Universally
    Slimmable Networks). Weights that were trained for no compression lose all accuracy
    under most plans, however good those would be after fine-tuning; these do not.

    Args:
        key: decides order, augmentation and plans.
        network: its own parameters are where training starts, and the teacher.
        data: its training split is used, and no other.
        config: how to train; 0 epochs return the network's own parameters. With
            batch_norm "trained" plans of every size train well, but the averages are of
            no plan: estimate them anew for each (`Evaluator(calibration=)`,
            `reestimate`).
        loss: what the steps minimise, see `finetune`.

    Returns:
        Parameters like the network's.

    Example:
        >>> params = adapt(key, network, space, dataset)  # doctest: +SKIP
        >>> evaluate = Evaluator(network, space, ..., params=params)  # doctest: +SKIP
    """
    config = TuneConfig() if config is None else config
    if config.scales == "learned":
        raise ValueError(
            "adapt: one set of weights serves all plans, and each has scales of its own; "
            "set scales to 'fitted'"
        )
    if not config.epochs:
        return network.params
    tuner = Tuner(network, data, config, loss)
    order, draw = jax.random.split(key)
    ends = [jnp.asarray(space.dense), jnp.zeros(len(space), jnp.int32)]

    @jax.jit
    def plan_of(genotype: np.ndarray | Array) -> Plan:
        return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], space.decode(genotype))

    fixed = [plan_of(genotype) for genotype in ends]
    sample = jax.jit(lambda number: space.sample(jax.random.fold_in(draw, number), RANDOM))
    state = tuner.start(fixed[0], network.params)
    going, number = jnp.zeros(1, bool), 0
    for epoch in range(config.epochs):
        for batch in tuner.batches(order, epoch):
            drawn = [plan_of(genotype) for genotype in np.asarray(sample(number))]
            for plan in [fixed[0], *drawn, fixed[1]]:
                # A plan under which a step is not finite is passed over.
                state = tuner.step(plan, state, batch).replace(stopped=going)
            number += 1
    params, _ = tuner.result(fixed[0], state)
    return jax.tree.map(lambda leaf: leaf[0], params)
