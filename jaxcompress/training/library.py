"""A library of pruned networks: each is pruned step by step, and trained between."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from jaxcompress.config import LibraryConfig
from jaxcompress.data import Dataset
from jaxcompress.network import Network
from jaxcompress.space import Plan, importance
from jaxcompress.training.finetune import warn_of_stopped
from jaxcompress.training.progress import Progress, training_digest
from jaxcompress.training.train import Loss, OnBatch, untold
from jaxcompress.training.tuner import Tuner


def shares_kept(config: LibraryConfig) -> Float[np.ndarray, "members steps"]:
    """Returns which share every member keeps after each step, most pruned members first.

    A step keeps the same share of what is left, so that the last one leaves the share
    that a member is for (geometric pruning in many steps: Wang et al. 2021).
    """
    last = np.linspace(config.least, config.most, config.members)
    return last[:, None] ** (np.arange(1, config.steps + 1) / config.steps)


def pruned_library(
    key: Key[Array, ""],
    network: Network,
    data: Dataset,
    config: LibraryConfig,
    loss: Loss | None = None,
    checkpoint_dir: str | Path | None = None,
    on_batch: OnBatch = untold,
) -> tuple[Plan, PyTree]:
    """Prunes a network to some shares, each in many steps with training after each.

    In a step of "weights" every layer keeps its share of entries, those of largest
    magnitude; of "channels" every prunable group its share of channels, one at least,
    those of largest l1 norm among what is left. A weight that is zero is trained like any
    other (its gradient passes straight through) and may return.

    Args:
        key: decides order and augmentation, the same for all members.
        network: its own parameters are where every member starts, and the teacher.
        data: its training split is used, and no other.
        config: how many members and steps, and how each step trains.
        loss: what the steps minimise, see `finetune`.
        checkpoint_dir: where the members are saved after every step; pruning goes on from
            what lies there. None: nowhere.
        on_batch: called after each batch, see `OnBatch`.

    Returns:
        Plans and uncoded parameters, every leaf [L, ...], most pruned members first: what
        `genes.Library` and `Evaluator` take.

    Raises:
        ValueError: what lies in `checkpoint_dir` is of another library.
        OSError: a checkpoint cannot be written.

    Example:
        >>> plans, params = pruned_library(key, network, dataset, config)  # doctest: +SKIP
        >>> space = Space(network, (genes.Library(plans),))  # doctest: +SKIP
        >>> evaluate = Evaluator(network, space, ..., params=params)  # doctest: +SKIP
    """
    tuner = Tuner(network, data, config, loss)
    shares = shares_kept(config)
    plans, params = [Plan()] * config.members, [network.params] * config.members
    training = training_digest(key, network.params, data, config, loss)
    with Progress(checkpoint_dir, training) as progress:
        first, leaves = progress.latest()
        if leaves:
            like = _cut(config, network, shares[:, 0], plans, params), params
            plans, params = jax.tree.unflatten(jax.tree.structure(like), leaves)
        for step in range(first, config.steps):
            plans = _cut(config, network, shares[:, step], plans, params)
            params = _trained(key, step, tuner, config, plans, params, on_batch)
            progress.save(step + 1, partial(jax.device_get, (plans, params)))
    every, own = (jax.tree.map(lambda *x: np.stack(x), *trees) for trees in (plans, params))
    return every, own


def _cut(
    config: LibraryConfig,
    network: Network,
    shares: Float[np.ndarray, " members"],
    plans: list[Plan],
    params: list[PyTree],
) -> list[Plan]:
    """Returns the members' plans after one more cut."""
    cut = _CUTS[config.prune]
    return [
        cut(network, float(share), plan, own)
        for share, plan, own in zip(shares, plans, params, strict=True)
    ]


def _trained(
    key: Key[Array, ""],
    step: int,
    tuner: Tuner,
    config: LibraryConfig,
    plans: list[Plan],
    params: list[PyTree],
    on_batch: OnBatch,
) -> list[PyTree]:
    """Returns the members' parameters after the training of one step."""
    rows = [jax.tree.map(lambda leaf: leaf[None], plan) for plan in plans]
    states = [tuner.start(*pair) for pair in zip(rows, params, strict=True)]
    key, begun = jax.random.fold_in(key, step), step * tuner.steps
    for epoch in range(config.epochs):
        before = begun + epoch * tuner.epoch_steps

        def tell(done: int, before: int = before) -> None:
            on_batch(before + done, config.steps * tuner.steps)

        states = tuner.epoch(key, epoch, rows, states, tell)
    stopped, steps = (
        np.concatenate([np.asarray(getattr(state, name)) for state in states])
        for name in ("stopped", "steps")
    )
    warn_of_stopped(stopped, steps)
    results = [tuner.result(*pair) for pair in zip(rows, states, strict=True)]
    return [jax.tree.map(lambda leaf: leaf[0], own) for own, _ in results]


def _weights(network: Network, share: float, plan: Plan, params: PyTree) -> Plan:
    paths = [
        layer.weight
        for layer in network.layers
        if network.leaves()[layer.weight].dtype == jnp.float32
    ]
    return Plan(sparsity=dict.fromkeys(paths, np.asarray(1.0 - share, np.float32)))


def _channels(network: Network, share: float, plan: Plan, params: PyTree) -> Plan:
    scores, kept = importance.l1(replace(network, params=params)), {}
    for group in network.prunable:
        # A channel that is gone stays so, whatever the others have become.
        left = plan.channels.get(group.name, np.ones(group.size, bool))
        ranked = np.argsort(-np.where(left, scores[group.name], -1.0), kind="stable")
        kept[group.name] = np.zeros(group.size, bool)
        kept[group.name][ranked[: max(1, round(share * group.size))]] = True
    return Plan(channels=kept)


_CUTS = {"weights": _weights, "channels": _channels}
