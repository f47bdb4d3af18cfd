"""Each family has its paper's number of parameters, and is compressed exactly."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from network.exact import check_exact, random_inputs

import jaxcompress as jc
from jaxcompress.data import Task
from jaxcompress.models import (
    VGG,
    DenseNet,
    LeNet5,
    MobileNetV1,
    MobileNetV2,
    ResNet,
    ViT,
    abstract,
    as_function,
)

CIFAR10, IMAGENET = Task((32, 32, 3), 10), Task((224, 224, 3), 1000)


def numbers(module: nnx.Module) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))


def vgg(*counts: int) -> int:
    """Convolutions without bias, two numbers a channel of batch norm, one linear layer."""
    total, channels = 512 * 10 + 10, 3
    for width, count in zip((64, 128, 256, 512, 512), counts, strict=True):
        for _ in range(count):
            total += 9 * channels * width + 2 * width
            channels = width
    return total


def densenet40() -> int:
    total, channels = 9 * 3 * 16, 16
    for block in range(3):
        for _ in range(12):
            total += 2 * channels + 9 * channels * 12
            channels += 12
        if block < 2:
            total += 2 * channels + channels * channels
    return total + 2 * channels + channels * 10 + 10


@pytest.mark.parametrize(
    ("name", "task", "count"),
    [
        # (5*5*1+1)*20 + (5*5*20+1)*50 + (4*4*50+1)*500 + 501*10
        ("lenet5", Task((28, 28, 1), 10), 520 + 25_050 + 400_500 + 5_010),
        ("vgg16_bn", CIFAR10, vgg(2, 2, 3, 3, 3)),
        ("vgg19_bn", CIFAR10, vgg(2, 2, 4, 4, 4)),
        ("densenet40", CIFAR10, densenet40()),
    ],
)
def test_parameters_by_hand(name: str, task: Task, count: int) -> None:
    assert numbers(abstract(name, task)) == count


@pytest.mark.parametrize(
    ("name", "task", "millions", "digits"),
    [
        ("lenet5", Task((28, 28, 1), 10), 0.431, 3),  # Han et al. 2015, table 3
        ("densenet40", CIFAR10, 1.0, 1),  # Huang et al. 2017, table 2
        ("mobilenet_v1", IMAGENET, 4.2, 1),  # Howard et al. 2017, table 4
        ("mobilenet_v2", IMAGENET, 3.5, 1),  # Sandler et al. 2018: 3.4 in table 4,
        # 3,504,872 in the implementations that follow its table 2
        ("vit_tiny", IMAGENET, 5.7, 1),  # Touvron et al. 2021, table 1: DeiT-Ti, 5 M
    ],
)
def test_parameters_are_those_of_the_paper(
    name: str, task: Task, millions: float, digits: int
) -> None:
    assert round(numbers(abstract(name, task)) / 1e6, digits) == millions


SMALL = Task((16, 16, 2), 3)
FAMILIES: dict[str, tuple[Callable[..., nnx.Module], Task]] = {
    "lenet5": (LeNet5, SMALL),
    "vgg16_bn": (partial(VGG, depth=16, widths=(2, 3, 2, 3, 2)), Task((32, 32, 2), 3)),
    "mobilenet_v1": (partial(MobileNetV1, width=1 / 16), SMALL),
    "mobilenet_v2": (partial(MobileNetV2, width=1 / 16), SMALL),
    "densenet": (partial(DenseNet, depth=10, growth=3), SMALL),
    "vit": (partial(ViT, width=8, depth=2, heads=2, hidden=6), SMALL),
    "resnet": (partial(ResNet, depth=8), Task((8, 8, 2), 3)),
}


def traced(make: Callable[..., nnx.Module], task: Task) -> jc.Network:
    """A network with random positive statistics; nothing is compiled."""
    module = nnx.eval_shape(lambda: make(task, rngs=nnx.Rngs(0)))
    apply, shapes = as_function(module)
    rng = np.random.default_rng(0)

    def draw(path: Any, leaf: Any) -> jax.Array:
        positive = jax.tree_util.keystr(path).endswith(("['var']", "['scale']"))
        fan_in = max(int(np.prod(leaf.shape[:-1])), 1)
        values = rng.normal(0, fan_in**-0.5, leaf.shape)
        return jnp.asarray(rng.uniform(0.5, 1.5, leaf.shape) if positive else values, "f4")

    params = jax.tree_util.tree_map_with_path(draw, shapes)
    return jc.trace(apply, params, jnp.ones((2, *task.input_shape)))


@pytest.mark.parametrize(
    "name",
    [
        # The second version has all that the first has.
        pytest.param(n, marks=pytest.mark.slow) if n == "mobilenet_v1" else n
        for n in FAMILIES
    ],
)
def test_masked_is_compact(name: str) -> None:
    network = traced(*FAMILIES[name])
    assert not network.unused and network.batch_reason is None
    assert len(network.prunable) >= 2
    check_exact(network, random_inputs(network.example, 3), plans=1, tolerance=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["vgg16_bn", "vgg19_bn", "mobilenet_v1", "mobilenet_v2", "densenet40", "vit_tiny"],
)
def test_masked_is_compact_at_full_size(name: str) -> None:
    network = traced(lambda task, rngs: abstract(name, task), CIFAR10)
    check_exact(network, random_inputs(network.example, 3), plans=2, tolerance=1e-4)


@pytest.mark.parametrize(
    ("make", "task", "words"),
    [
        (LeNet5, Task((12, 28, 1), 10), "LeNet-5 takes 16 x 16"),
        (partial(VGG, depth=13), CIFAR10, r"depth = 13: allowed are \[16, 19\]"),
        (partial(VGG, depth=16), SMALL, "allowed are 32 x 32 or larger"),
        (partial(DenseNet, depth=41), CIFAR10, r"depth = 41: allowed is 3 n \+ 4"),
        (ViT, Task((30, 32, 3), 10), "multiples of the patch, 4 pixels"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, task: Task, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(task, rngs=nnx.Rngs(0))
