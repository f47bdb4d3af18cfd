"""A network with random weights and images, for scripts that look at time alone."""

from dataclasses import dataclass

import numpy as np
from flax import nnx

import jaxcompress as jc
from jaxcompress.data import Task
from jaxcompress.models import VGG, ResNet, as_function

NETWORKS = {"resnet20": (ResNet, 20), "resnet56": (ResNet, 56), "vgg16": (VGG, 16)}


@dataclass(frozen=True, eq=False)
class Untrained:
    """One of `NETWORKS`, for CIFAR-10.

    Attributes:
        inputs: float32 [N, 32, 32, 3]; targets: int32 [N].
        joint: a space of channels and bits.
    """

    network: jc.Network
    joint: jc.Space
    inputs: np.ndarray
    targets: np.ndarray


def untrained(images: int, name: str = "resnet20") -> Untrained:
    """Returns the network with so many images."""
    kind, depth = NETWORKS[name]
    module = kind(Task((32, 32, 3), 10), depth, rngs=nnx.Rngs(0))
    apply, params = as_function(module)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(images, 32, 32, 3)).astype(np.float32)
    y = rng.integers(0, 10, images).astype(np.int32)
    network = jc.trace(apply, params, x[:2])
    kinds = (jc.genes.ChannelCount(), jc.genes.WeightBits((2, 3, 4, 6, 8)))
    return Untrained(network, jc.Space(network, kinds), x, y)
