"""What a configuration chooses: data, network, genes and objectives."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Key, PyTree

from jaxcompress import data as datasets, models
from jaxcompress.compress import calibrate
from jaxcompress.config import Config
from jaxcompress.data import Dataset
from jaxcompress.models import published
from jaxcompress.network import Network, trace
from jaxcompress.objectives import (
    Bops,
    Constraint,
    Cost,
    Energy,
    Error,
    Latency,
    Macs,
    Parameters,
    Quality,
    Size,
    measure_latency,
)
from jaxcompress.space import Space, genes, importance
from jaxcompress.user_code import called, is_function, user_function

CALIBRATION = 1024  # training examples that say in which range activations lie
SCORED = 4096  # training examples by which channels are ranked


@dataclass(frozen=True, eq=False)
class Given:
    """What a run begins with.

    Attributes:
        data: what networks are trained, searched and tested with.
        apply, params: a trained network; None, None: `module` is to be trained.
        module: a Flax network with random weights, or None.
        quality: what the error is, on validation and test examples.
        loss: (outputs, targets) -> scalar, what gradient steps minimise; None: the
            cross-entropy of classifiers.
    """

    data: Dataset
    apply: Callable[[Any, Any], Any] | None
    params: PyTree
    module: nnx.Module | None
    quality: Error
    loss: Callable[[Any, Any], Any] | None


def given(config: Config, key: Key[Array, ""]) -> Given:
    """Loads what a configuration names; trains and writes nothing.

    Args:
        key: decides the random weights of a network that is to be trained.

    Raises:
        ValueError: something is missing, or does not fit.
    """
    chosen = config.data
    if is_function(chosen.name):
        data = called("data.name", chosen.name)
        if not isinstance(data, Dataset):
            raise ValueError(
                f"data.name = {chosen.name!r}: returned a {type(data).__name__}; it must "
                "return a jaxcompress.data.Dataset"
            )
    else:
        data = datasets.load(chosen.name, data_dir=chosen.directory, seed=chosen.seed)
    data = data.some(chosen.train_examples, chosen.validation_examples, chosen.seed)
    loss = None if config.loss is None else user_function("loss", config.loss)
    if loss is None and data.num_classes is None:
        raise ValueError(
            f"{data.name} has no classes, so a loss is needed; name one, "
            "loss: module:function of (outputs, targets)"
        )
    kind = config.quality
    quality = Error(user_function("quality", kind) if is_function(kind) else kind)
    if is_function(config.model):
        network = called("model", config.model)
        if not isinstance(network, tuple) or len(network) != 2 or not callable(network[0]):
            raise ValueError(
                f"model = {config.model!r}: returned a {type(network).__name__}; it must "
                "return the pair (apply, params), apply(params, inputs) -> outputs"
            )
        return Given(data, *network, None, quality, loss)
    if config.weights is None:
        module = models.create(config.model, key, data)
        return Given(data, None, None, module, quality, loss)
    path = published.find(config.weights)
    how = published.PUBLISHED.get(path.stem)
    if how is not None:
        if config.model != how.model:
            raise ValueError(
                f"weights = {config.weights!r}: are of the network {how.model}, and "
                f"model = {config.model!r}; set model to {how.model}"
            )
        if data.num_classes != published.CIFAR10.num_classes:
            raise ValueError(
                f"weights = {config.weights!r}: are for "
                f"{published.CIFAR10.num_classes} classes, and {data.name} has "
                f"{data.num_classes}; choose the data they were trained on"
            )
        data = replace(data, mean=how.mean, std=how.std)
    module = published.restored(config.model, data.task, path)
    return Given(data, *models.as_function(module), None, quality, loss)


def traced(start: Given, apply: Callable[[Any, Any], Any], params: PyTree) -> Network:
    """Traces the network of a run on its data.

    Raises:
        ValueError: it cannot be traced, or its outputs do not fit the data.
    """
    data = start.data
    network = trace(apply, params, data.normalize(data.validation.inputs[:2]))
    outputs = jax.eval_shape(apply, params, network.example)
    if not hasattr(outputs, "shape"):
        raise ValueError(
            f"the network returns a {type(outputs).__name__}; a run needs one array of "
            "outputs, so wrap apply"
        )
    if start.loss is None and outputs.shape[-1] != data.num_classes:
        raise ValueError(
            f"the network has {outputs.shape[-1]} outputs, and {data.name} has "
            f"{data.num_classes} classes; they must be equal where no loss is named"
        )
    return network


def space_of(
    config: Config,
    network: Network,
    data: Dataset,
    loss: Callable[[Any, Any], Any] | None = None,
) -> Space:
    """Returns the space in which a network is searched.

    Args:
        loss: by which channels are ranked, where that needs one; cross-entropy if None.

    Raises:
        ValueError: nothing may be chosen, or a choice does not fit the network.
    """
    chosen = config.space
    kinds: list[genes.Gene] = []
    if chosen.blocks and network.blocks:
        kinds.append(genes.KeepBlock())
    if chosen.channels:
        scores = _scores(config, network, data, loss)
        kinds.append(genes.ChannelCount(scores, chosen.multiple_of, chosen.minimum))
    if chosen.ranks:
        kinds.append(genes.Rank(chosen.ranks))
    if chosen.kernel_sparsity:
        kinds.append(genes.KernelMask(chosen.kernel_sparsity))
    if chosen.sparsity:
        kinds.append(genes.Sparsity(chosen.sparsity, chosen.sparsity_scope))
    if chosen.codebook != "none":
        sizes, scope = chosen.codebook_sizes, chosen.codebook_scope
        kinds.append(genes.Codebook(sizes, chosen.codebook, scope))
    if chosen.weight_bits:
        kinds.append(
            genes.WeightBits(chosen.weight_bits, chosen.granularity, chosen.scale_by)
        )
    if chosen.activation_bits:
        inputs = data.train.some(CALIBRATION, config.data.seed).inputs
        ranges = calibrate(network, data.normalize(inputs))
        kinds.append(genes.ActivationBits(ranges, chosen.activation_bits))
    return Space(network, kinds)


def _scores(
    config: Config,
    network: Network,
    data: Dataset,
    loss: Callable[[Any, Any], Any] | None,
) -> dict[str, np.ndarray]:
    criterion = getattr(importance, config.space.importance)
    if config.space.importance in ("taylor", "gradient_at_mask"):
        split = data.train.some(SCORED, config.data.seed)
        inputs = data.normalize(split.inputs)
        return criterion(network, inputs, jnp.asarray(split.targets), loss=loss)
    if config.space.importance == "random":
        return criterion(network, jax.random.fold_in(jax.random.key(config.seed), 5))
    return criterion(network)


def objectives_of(
    config: Config, network: Network, params: PyTree, quality: Error, directory: Path
) -> tuple[list[Cost | Quality], list[Constraint]]:
    """Returns what a search minimises, and the bounds that it keeps.

    Args:
        params: what is compressed.
        quality: the error.
        directory: where a table of latencies is written.
    """
    chosen = config.search
    size = Size(chosen.coding, params)
    known: dict[str, Cost | Quality] = {
        "error": quality,
        "size": size,
        "macs": Macs(),
        "parameters": Parameters(),
        "bops": Bops(),
        "energy": Energy(chosen.dataflow, chosen.energy_table),
    }
    if "latency" in chosen.objectives:
        table = measure_latency(network)
        (directory / "latency.json").write_text(json.dumps(table), encoding="utf-8")
        known["latency"] = Latency(table)
    constraints = []
    if chosen.max_size is not None:
        constraints.append(size <= chosen.max_size)
    if chosen.max_macs is not None:
        constraints.append(Macs() <= chosen.max_macs)
    return [known[name] for name in chosen.objectives], constraints
