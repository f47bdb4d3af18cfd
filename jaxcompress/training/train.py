"""Supervised training from scratch: one step, compiled once, called for every batch."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Float32, Int32, Key, PyTree, Shaped

from jaxcompress.config import TrainConfig
from jaxcompress.data import Dataset
from jaxcompress.training.augment import augment
from jaxcompress.training.batches import AHEAD, Batch, Batches
from jaxcompress.training.kernel_gradients import with_quick_kernel_gradients

Module = TypeVar("Module", bound=nnx.Module)
Loss = Callable[[Any, Any], Any]  # (outputs, targets) -> scalar, differentiable
# (batches handed to the device so far, of all): after each one, or, where an epoch is one
# call (`Tuner.epoch`), after that.
OnBatch = Callable[[int, int], None]


def untold(done: int, total: int) -> None:
    """Tells nobody: an `OnBatch`."""


@dataclass(frozen=True, eq=False)
class History:
    """What happened during a training.

    Attributes:
        loss: float32 [epochs], mean training loss of every epoch, in nats.
        seconds: float32 [epochs], that each took; the first compiles.
    """

    loss: Float32[np.ndarray, " epochs"]
    seconds: Float32[np.ndarray, " epochs"]


def train(
    key: Key[Array, ""],
    module: Module,
    dataset: Dataset,
    config: TrainConfig,
    loss: Loss | None = None,
    on_batch: OnBatch = untold,
) -> tuple[Module, History]:
    """Fits a module to the training split of a data set.

    Only the training split is read. The given module stays as it is. AdamW; the
    learning rate rises over the first tenth of the steps and falls to zero along a
    cosine. An epoch is shuffled, and its last incomplete batch left out; images are
    shifted on their own, filled with zeros of the native unit.

    Args:
        key: decides order and augmentation; the same key gives the same result.
        module: maps normalised images [N, H, W, C] to logits [N, classes].
        dataset: its training split is held on the device in the native dtype, or
            streamed to it.
        config: how to train.
        loss: (outputs, targets) -> scalar to minimise; smoothed cross-entropy if None.
        on_batch: called after each batch, see `OnBatch`.

    Returns:
        The trained module, in the mode of the given one, and the history.

    Raises:
        ValueError: if the training split is smaller than a batch, or the loss of an
            epoch is not finite.

    Example:
        >>> dataset = jaxcompress.data.load("digits")
        >>> module = jaxcompress.models.create("digits_cnn", 0, dataset)
        >>> module, history = train(jax.random.key(0), module, dataset, TrainConfig())
    """
    if config.batch_size > len(dataset.fitted):
        raise ValueError(
            f"batch_size = {config.batch_size}: allowed is at most the "
            f"{len(dataset.fitted)} training images of {dataset.name}; make it smaller"
        )
    training = nnx.view(
        module,
        use_running_average=False,
        deterministic=False,
        raise_if_not_found=False,
    )
    graph, params, others = nnx.split(training, nnx.Param, ...)
    params, others = nnx.to_pure_dict(params), nnx.to_pure_dict(others)
    batches = Batches(dataset, config.batch_size)
    total = batches.steps * config.epochs
    optimizer = _optimizer(config, total)
    state = (params, others, optimizer.init(params))
    measure = loss or partial(smoothed_loss, smoothing=config.label_smoothing)
    step = jax.jit(partial(_step, graph, optimizer, dataset.normalize, config, measure))
    losses, seconds = [], []
    for epoch, epoch_key in enumerate(jax.random.split(key, config.epochs)):
        began = time.perf_counter()
        step_losses = []
        # A loop here and not lax.scan: inside a scan XLA's CPU backend runs the backward
        # pass of convolutions without its fast kernels, several times slower.
        for number, batch in enumerate(batches.epoch(epoch_key)):
            state, loss = step(epoch_key, number, state, batch)
            step_losses.append(loss)
            jax.block_until_ready(step_losses[-AHEAD:][0])
            on_batch(epoch * batches.steps + number + 1, total)
        losses.append(np.mean(jax.device_get(step_losses)))
        seconds.append(time.perf_counter() - began)
        if not np.isfinite(losses[-1]):
            raise ValueError(
                f"the loss is {losses[-1]} in epoch {epoch + 1} of {config.epochs}: "
                "allowed is a finite loss; lower learning_rate = "
                f"{config.learning_rate}"
            )
    params, others, _ = state
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.device_get(params))):
        raise ValueError(
            "the last step left parameters that are not finite: allowed are numbers; lower "
            f"learning_rate = {config.learning_rate}, or look at the gradient of the loss"
        )
    trained = nnx.merge(nnx.graphdef(module), params, others)
    return trained, History(*(np.asarray(x, np.float32) for x in (losses, seconds)))


def accuracy(
    apply: Callable[[PyTree, Float[Array, "n ..."]], Float[Array, "n k"]],
    params: PyTree,
    inputs: Shaped[Array | np.ndarray, "n ..."],
    targets: Int32[Array | np.ndarray, " _"],
    batch_size: int = 500,
) -> float:
    """Share of images whose largest logit is that of their label.

    Counts in integers, so the result is exact and the same for every batch size that
    gives the same logits.

    Args:
        apply: `apply(params, x)` -> logits [N, classes].
        params: its parameters.
        inputs: [N, ...], normalised, as `apply` takes them.
        targets: int32 [N], class labels.
        batch_size: images a call, at least 1; bounds the memory.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: if there are no images, the lengths differ, or a logit is NaN.

    Example:
        >>> accuracy(lambda params, x: x, {}, np.eye(2), np.array([0, 0], np.int32))
        0.5
    """
    if not 0 < len(inputs) == len(targets):
        raise ValueError(
            f"{len(inputs)} inputs and {len(targets)} targets: allowed are equal "
            "numbers above 0; give one label per image"
        )
    if batch_size < 1:
        raise ValueError(
            f"batch_size = {batch_size}: allowed is at least 1; the default is 500"
        )
    batch_size = min(batch_size, len(inputs))
    # The last batch is padded, so that one compilation serves all; no logit has the
    # index -1, so a padded image never counts.
    padding = -len(inputs) % batch_size
    labels = np.pad(np.asarray(targets), (0, padding), constant_values=-1)
    counts = []
    for start in range(0, len(inputs), batch_size):
        batch = inputs[start : start + batch_size]
        missing = batch_size - len(batch)
        if missing:
            batch = jnp.pad(batch, ((0, missing), *((0, 0),) * (batch.ndim - 1)))
        counts.append(_count(apply, params, batch, labels[start : start + batch_size]))
    correct, not_a_number = np.stack(jax.device_get(counts)).astype(np.int64).sum(0)
    if not_a_number:
        raise ValueError(
            f"the logits of {not_a_number} of {len(inputs)} images are NaN: allowed "
            "are numbers; check the parameters and the inputs"
        )
    return int(correct) / len(inputs)


@partial(jax.jit, static_argnames="apply")
def _count(
    apply: Callable[[PyTree, Float[Array, "n ..."]], Float[Array, "n k"]],
    params: PyTree,
    inputs: Shaped[Array, "n ..."],
    targets: Int32[Array, " n"],
) -> Int32[Array, "2"]:
    """Counts the images that are right, and those with a NaN among their logits."""
    logits = apply(params, inputs)
    correct = jnp.argmax(logits, axis=-1) == targets
    not_a_number = jnp.isnan(logits).any(axis=-1) & (targets >= 0)
    return jnp.stack([correct.sum(), not_a_number.sum()]).astype(jnp.int32)


def _optimizer(config: TrainConfig, steps: int) -> optax.GradientTransformation:
    schedule = optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=config.learning_rate,
        warmup_steps=steps // 10,
        decay_steps=steps,
    )
    return optax.adamw(
        schedule,
        weight_decay=config.weight_decay,
        mask=lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params),
    )


def _step(
    graph: nnx.GraphDef,
    optimizer: optax.GradientTransformation,
    normalize: Callable[[Shaped[Array, "..."]], Float32[Array, "..."]],
    config: TrainConfig,
    measure: Loss,
    key: Key[Array, ""],
    number: Int32[Array, ""],
    state: PyTree,
    batch: Batch,
) -> tuple[PyTree, Float32[Array, ""]]:
    """One gradient step, on batch `number` of the epoch; returns its loss."""
    params, others, optimizer_state = state
    rows, inputs, targets = batch
    # The epoch's key has shuffled; its descendants augment.
    key = jax.random.fold_in(key, number)
    changed = augment(key, inputs[rows], config.shift, config.flip, config.cutout)

    def loss(params: PyTree) -> tuple[Float32[Array, ""], PyTree]:
        module = nnx.merge(graph, params, others)
        logits = module(normalize(changed))
        value = measure(logits, targets[rows])
        _, _, updated = nnx.split(module, nnx.Param, ...)
        return value, nnx.to_pure_dict(updated)

    (value, others), gradients = jax.value_and_grad(
        with_quick_kernel_gradients(loss), has_aux=True
    )(params)
    updates, optimizer_state = optimizer.update(gradients, optimizer_state, params)
    return (optax.apply_updates(params, updates), others, optimizer_state), value


def smoothed_loss(
    logits: Float[Array, "*n k"],
    targets: Int32[Array, "*n"],
    smoothing: float | Float[Array, ""],
) -> Float32[Array, ""]:
    """Mean cross-entropy with the targets' `smoothing` spread over all classes.

    Args:
        logits: float [N, ..., classes].
        targets: int32 [N, ...], class labels.
        smoothing: in [0, 1); C. Szegedy et al., arXiv:1512.00567, section 7.

    Returns:
        float32 scalar, in nats.
    """
    one_hot = jax.nn.one_hot(targets, logits.shape[-1])
    labels = optax.smooth_labels(one_hot, smoothing)
    return optax.softmax_cross_entropy(logits, labels).mean()
