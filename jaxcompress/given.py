"""What a run begins with: the data, network and quality that a configuration names."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Key, PyTree

from jaxcompress import data as datasets, models
from jaxcompress.config import Config
from jaxcompress.data import Dataset
from jaxcompress.models import published
from jaxcompress.network import Network, trace
from jaxcompress.objectives import Error
from jaxcompress.user_code import called, is_function, user_function


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
    # Before the data, which can take long to load.
    path = how = None
    if config.weights is not None:
        path = published.find(config.weights)
        how = published.PUBLISHED.get(path.stem)
    if how is not None and config.model != how.model:
        raise ValueError(
            f"weights = {config.weights!r}: these are of the network {how.model}, and "
            f"model = {config.model!r}; set model to {how.model}"
        )
    chosen = config.data
    if is_function(chosen.name):
        data = called("data.name", chosen.name)
        if not isinstance(data, Dataset):
            raise ValueError(
                f"data.name = {chosen.name!r}: returned a {type(data).__name__}; it must "
                "return a jaxcompress.data.Dataset"
            )
        data = data.some(chosen.train_examples, chosen.validation_examples, chosen.seed)
        data = data.streamed_above(chosen.stream_above)
    else:
        data = datasets.load(
            chosen.name,
            data_dir=chosen.directory,
            seed=chosen.seed,
            validation_fraction=chosen.validation_fraction,
            train_examples=chosen.train_examples,
            validation_examples=chosen.validation_examples,
            stream_above=chosen.stream_above,
        )
    loss = None if config.loss is None else user_function("loss", config.loss)
    if loss is None and data.num_classes is None:
        raise ValueError(
            f"{data.name} has no classes, so a loss is needed; name one, "
            "loss: module:function of (outputs, targets)"
        )
    kind = config.quality
    if data.num_classes is None and not is_function(kind):
        raise ValueError(
            f"quality = {kind!r}: {data.name} has no classes; name a measure of your own, "
            "quality: module:function of (outputs, targets)"
        )
    quality = Error(user_function("quality", kind) if is_function(kind) else kind)
    if is_function(config.model):
        network = called("model", config.model)
        if not isinstance(network, tuple) or len(network) != 2 or not callable(network[0]):
            raise ValueError(
                f"model = {config.model!r}: returned a {type(network).__name__}; it must "
                "return the pair (apply, params), apply(params, inputs) -> outputs"
            )
        return Given(data, *network, None, quality, loss)
    if path is None:
        module = models.create(config.model, key, data)
        return Given(data, None, None, module, quality, loss)
    if how is not None:
        if data.input_shape != published.CIFAR10.input_shape:
            raise ValueError(
                f"weights = {config.weights!r}: are for images "
                f"{published.CIFAR10.input_shape}, and those of {data.name} are "
                f"{data.input_shape}; choose the data they were trained on"
            )
        if data.num_classes != published.CIFAR10.num_classes:
            raise ValueError(
                f"weights = {config.weights!r}: are for "
                f"{published.CIFAR10.num_classes} classes, and {data.name} has "
                f"{data.num_classes}; choose the data they were trained on"
            )
        data = replace(data, mean=how.mean, std=how.std)
    if chosen.mean or chosen.std:
        data = replace(data, mean=chosen.mean, std=chosen.std)
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
