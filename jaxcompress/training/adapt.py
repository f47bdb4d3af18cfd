"""One set of weights for all plans, so that a search sees what fine-tuning would give."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from jaxcompress.config import TuneConfig
from jaxcompress.data import Dataset
from jaxcompress.network import Network
from jaxcompress.space import Space
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
        config: how to train; 0 epochs return the network's own parameters.
        loss: what the steps minimise, see `finetune`.

    Returns:
        Parameters like the network's.

    Example:
        >>> params = adapt(key, network, space, dataset)  # doctest: +SKIP
        >>> evaluate = Evaluator(network, space, ..., params=params)  # doctest: +SKIP
    """
    config = TuneConfig() if config is None else config
    tuner = Tuner(network, data, config, loss)
    order, draw = jax.random.split(key)
    ends = [jnp.asarray(space.dense), jnp.zeros(len(space), jnp.int32)]
    decode = jax.jit(space.decode)
    fixed = [decode(genotype) for genotype in ends]
    sample = jax.jit(lambda number: space.sample(jax.random.fold_in(draw, number), RANDOM))
    state = tuner.start(network.params)
    for number, batch in enumerate(tuner.batches(order)):
        drawn = [decode(genotype) for genotype in np.asarray(sample(number))]
        for plan in [fixed[0], *drawn, fixed[1]]:
            state = tuner.step(plan, state, batch)
    return tuner.params(state)
