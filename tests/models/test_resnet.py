"""The residual networks have the parameters and the cost of their papers."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from jaxcompress.data import Task
from jaxcompress.models import MLPerfResNet8, ResNet, create

CIFAR10 = Task((32, 32, 3), 10)


def numbers(module: nnx.Module) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))


@pytest.mark.parametrize(
    ("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)]
)
def test_parameters_are_those_of_the_paper(depth, millions):
    """He et al. 2016, table 6."""
    module = nnx.eval_shape(lambda: ResNet(CIFAR10, depth, rngs=nnx.Rngs(0)))
    assert numbers(module) == pytest.approx(millions * 1e6, rel=0.025)


def test_parameters_by_hand():
    module = nnx.eval_shape(lambda: ResNet(CIFAR10, 8, rngs=nnx.Rngs(0)))
    convolutions = 9 * (3 * 16 + 2 * 16 * 16 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64)
    assert numbers(module) == convolutions + 2 * (3 * 16 + 2 * 32 + 2 * 64) + 64 * 10 + 10
    tiny = nnx.eval_shape(lambda: MLPerfResNet8(CIFAR10, rngs=nnx.Rngs(0)))
    biases = 3 * 16 + 2 * 32 + 2 * 64
    shortcuts = 16 * 32 + 32 + 32 * 64 + 64
    assert numbers(tiny) == numbers(module) + biases + shortcuts


@pytest.mark.parametrize("name", ["resnet8", "mlperf_resnet8"])
def test_by_name_for_other_images(name):
    task = Task((28, 20, 1), 4)
    images = jnp.zeros((2, *task.input_shape))
    logits = nnx.eval_shape(lambda: create(name, 0, task)(images))
    assert logits.shape == (2, 4)


def test_the_shortcut_takes_every_second_pixel_between_zero_channels():
    """With all weights zero, a halving block is its shortcut."""
    network = nnx.eval_shape(lambda: ResNet(CIFAR10, 8, rngs=nnx.Rngs(0)))
    graph, state = nnx.split(nnx.view(network.layer2[0], use_running_average=True))
    block = nnx.merge(graph, jax.tree.map(lambda x: jnp.zeros(x.shape), state))
    x = jax.random.uniform(jax.random.key(0), (2, 6, 6, 16))
    expected = jnp.zeros((2, 3, 3, 32)).at[..., 8:24].set(x[:, ::2, ::2])
    assert jnp.array_equal(nnx.jit(block)(x), expected)


@pytest.mark.parametrize("depth", [2, 7, 18, 49])
def test_other_depths_are_refused(depth):
    with pytest.raises(ValueError, match=rf"depth = {depth}: allowed is 6 n \+ 2"):
        ResNet(CIFAR10, depth, rngs=nnx.Rngs(0))
