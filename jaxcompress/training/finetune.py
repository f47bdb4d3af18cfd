"""Fine-tuning of compressed networks: every member of a front, on the same batches."""

import jax
import numpy as np
from jaxtyping import Array, Key, PyTree

from jaxcompress.config import TuneConfig
from jaxcompress.data import Dataset
from jaxcompress.network import Network
from jaxcompress.space import Plan
from jaxcompress.training.train import Loss
from jaxcompress.training.tuner import Tuner


def finetune(
    key: Key[Array, ""],
    network: Network,
    plans: Plan,
    data: Dataset,
    config: TuneConfig | None = None,
    params: PyTree = None,
    loss: Loss | None = None,
) -> PyTree:
    """Trains the parameters of compressed networks, all members on the same batches.

    Parameters that only make sense when positive (the variances of batch normalisation)
    stay as they are. A step that would make a member's loss or gradient NaN is left out.

    Args:
        key: decides order and augmentation.
        network: its own parameters make the teacher of the distillation.
        plans: stacked plans, every leaf [P, ...], as from `jax.vmap(space.decode)`.
        data: its training split is used, and no other.
        config: how to train; the defaults of `TuneConfig` if None.
        params: where every member starts; the network's own parameters if None.
        loss: (outputs, targets) -> scalar to minimise; if None, smoothed cross-entropy.

    Returns:
        Uncoded parameters on the host, every leaf [P, ...]; give a member's slice to
        `forward` or `compact` as `params`.

    Example:
        >>> plans = jax.vmap(space.decode)(result.genotypes)  # doctest: +SKIP
        >>> params = finetune(key, network, plans, dataset)  # doctest: +SKIP
    """
    tuner = Tuner(network, data, TuneConfig() if config is None else config, loss)
    plans = jax.tree.map(np.asarray, plans)  # rows of host arrays compile nothing
    count = jax.tree.leaves(plans)[0].shape[0]
    rows = [jax.tree.map(lambda x, m=m: x[m], plans) for m in range(count)]
    members = [tuner.start(network.params if params is None else params) for _ in rows]
    # A loop of calls and no scan or vmap: inside a scan the CPU backend runs gradients
    # of convolutions without its fast kernels, and a vmap over weights groups them.
    for batch in tuner.batches(key):
        members = [
            tuner.step(plan, member, batch)
            for plan, member in zip(rows, members, strict=True)
        ]
    trees = [jax.device_get(tuner.params(member)) for member in members]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
