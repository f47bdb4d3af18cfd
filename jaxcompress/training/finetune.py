"""Fine-tuning of compressed networks: every member of a front, on the same batches."""

import warnings
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Int32, Key, PyTree

from jaxcompress.config import TuneConfig
from jaxcompress.data import Dataset
from jaxcompress.network import Network
from jaxcompress.search import POPULATION
from jaxcompress.space import Plan
from jaxcompress.training.member import scaled
from jaxcompress.training.progress import Progress, training_digest
from jaxcompress.training.train import Loss, OnBatch, untold
from jaxcompress.training.tuner import Tuner


class Tuned(NamedTuple):
    """Fine-tuned members, every leaf [P, ...], on the host.

    Attributes:
        params: uncoded parameters; give a member's slice to `forward` or `compact`.
        plans: those given; with the scales and ranges that were learned, and without the
            member of a library, for each has its own parameters now.
        steps: int32 [P], how many steps each took.
        stopped: bool [P], whether it stopped, for its loss or gradient was not finite.
    """

    params: PyTree
    plans: Plan
    steps: Int32[np.ndarray, " p"]
    stopped: Bool[np.ndarray, " p"]


def finetune(
    key: Key[Array, ""],
    network: Network,
    plans: Plan,
    data: Dataset,
    config: TuneConfig | None = None,
    params: PyTree = None,
    loss: Loss | None = None,
    mesh: Mesh | None = None,
    on_batch: OnBatch = untold,
) -> PyTree:
    """Trains the parameters of compressed networks, all members on the same batches.

    Args:
        key: decides order and augmentation.
        network: its own parameters make the teacher of the distillation.
        plans: stacked plans, every leaf [P, ...], as from `jax.vmap(space.decode)`.
        data: its training split is used, and no other.
        config: how to train; the defaults of `TuneConfig` if None.
        params: where every member starts; the network's own parameters if None; those of
            all members of a library, stacked, where plans name one of these.
        loss: (outputs, targets) -> scalar to minimise; if None, smoothed cross-entropy.
        mesh: devices along an axis "population", over which members are spread; one
            device if None.
        on_batch: called after each batch, see `OnBatch`.

    Returns:
        `Tuned.params` of `tune`.

    Raises:
        ValueError: the configuration learns scales, which parameters do not hold.

    Example:
        >>> plans = jax.vmap(space.decode)(result.genotypes)  # doctest: +SKIP
        >>> params = finetune(key, network, plans, dataset)  # doctest: +SKIP
    """
    if config is not None and config.scales == "learned":
        raise ValueError(
            "finetune: scales is 'learned', and learned scales are in plans: call "
            "jaxcompress.tune, which returns both, or set scales to 'fitted'"
        )
    tuned = tune(key, network, plans, data, config, params, loss, mesh, on_batch=on_batch)
    return tuned.params


def tune(
    key: Key[Array, ""],
    network: Network,
    plans: Plan,
    data: Dataset,
    config: TuneConfig | None = None,
    params: PyTree = None,
    loss: Loss | None = None,
    mesh: Mesh | None = None,
    checkpoint_dir: str | Path | None = None,
    on_batch: OnBatch = untold,
) -> Tuned:
    """Trains compressed networks: parameters, and scales where they are learned.

    Parameters that only make sense when positive (the variances of batch normalisation)
    are not moved by gradients. A member whose loss or gradient is not finite stops there,
    with a warning that says which; the others go on.

    Args:
        key, network, plans, data, config, params, loss, mesh, on_batch: see `finetune`.
        checkpoint_dir: where the members are saved after every epoch; training goes on
            from what lies there. None: nowhere.

    Returns:
        Parameters and plans, and how far each member came.

    Raises:
        ValueError: plans are not stacked, or what lies in `checkpoint_dir` is of another
            training.
        OSError: a checkpoint cannot be written.
    """
    config = TuneConfig() if config is None else config
    shapes = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(plans)}
    if len(shapes) != 1 or () in shapes:
        raise ValueError(
            "tune: plans are not stacked: every leaf has the same first axis, as from "
            "jax.vmap(space.decode)(genotypes); for one plan, give genotypes[None]"
        )
    params = network.params if params is None else params
    if config.scales == "learned":
        plans = scaled_plans(network, plans, params)
    count = jax.tree.leaves(plans)[0].shape[0]
    tuner = Tuner(network, data, config, loss, mesh)
    groups = tuner.groups(plans)
    members = [tuner.start(group, params) for group in groups]
    groups = [group.replace(member=None) for group in groups]
    began = (plans, params, network.params)
    training = training_digest(key, began, data, config, loss)
    with Progress(checkpoint_dir, training) as progress:
        first, leaves = progress.latest()
        if leaves:
            members = tuner.groups(
                jax.tree.unflatten(jax.tree.structure(members[0]), leaves)
            )
        for epoch in range(first, config.epochs):
            before = epoch * tuner.epoch_steps

            def tell(done: int, before: int = before) -> None:
                on_batch(before + done, tuner.steps)

            members = tuner.epoch(key, epoch, groups, members, tell)
            progress.save(epoch + 1, partial(_joined, members, count))
    rows = _joined(members, count)
    warn_of_stopped(rows.stopped, rows.steps)
    results = [tuner.result(*pair) for pair in zip(groups, members, strict=True)]
    params, plans = _joined(results, count)
    return Tuned(params, plans, rows.steps, rows.stopped)


def _joined(groups: list[Any], count: int) -> Any:
    """Returns the first rows of trees [rows, ...], all together on the host."""
    parts = jax.device_get(groups)
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)


def scaled_plans(network: Network, plans: Plan, params: PyTree) -> Plan:
    """Returns stacked plans that give their scales, one after the other: see `scaled`."""
    one = jax.jit(lambda plan, params: scaled(network, plan, params))
    count = jax.tree.leaves(plans)[0].shape[0]
    rows = [one(jax.tree.map(lambda x, i=i: x[i], plans), params) for i in range(count)]
    return jax.tree.map(lambda *leaves: np.stack(jax.device_get(leaves)), *rows)


def warn_of_stopped(
    stopped: Bool[np.ndarray, " p"], steps: Int32[np.ndarray, " p"]
) -> None:
    """Warns of every member that stopped."""
    for place in np.flatnonzero(stopped):
        warnings.warn(
            f"member {place + 1} of {len(stopped)} stopped: its loss or gradient was "
            f"not finite after {steps[place]} steps; lower the learning rate",
            RuntimeWarning,
            stacklevel=3,
        )


def members_mesh(count: int) -> Mesh | None:
    """Returns a mesh of this process's devices for so many members; None: of one."""
    devices = jax.local_devices()[:count]
    if len(devices) == 1:
        return None
    return Mesh(np.asarray(devices), (POPULATION,))
