"""DenseNet for CIFAR: every layer sees the outputs of all before it."""

from functools import partial

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxcompress.data import Task

BLOCKS = 3
STEM_CHANNELS = 16
MOMENTUM = 0.9


class NormConv(nnx.Module):
    """Batch normalisation, ReLU, then a convolution without bias."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, rngs: nnx.Rngs):
        """Initialises the weights: `inputs` channels to `outputs` channels."""
        self.norm = nnx.BatchNorm(inputs, momentum=MOMENTUM, epsilon=1e-5, rngs=rngs)
        self.conv = nnx.Conv(inputs, outputs, (kernel, kernel), use_bias=False, rngs=rngs)

    def __call__(self, x: Float[Array, "n h w i"]) -> Float[Array, "n h w o"]:
        """Maps [N, H, W, inputs] to [N, H, W, outputs]."""
        return self.conv(nnx.relu(self.norm(x)))


class DenseNet(nnx.Module):
    """Three dense blocks of 3x3 convolutions, with a 1x1 one and pooling in between.

    Without bottlenecks and compression (1.0 M parameters at depth 40 and growth 12).

    Source: G. Huang, Z. Liu, L. van der Maaten and K. Weinberger, "Densely Connected
    Convolutional Networks", CVPR 2017, section 3 and table 2.

    Args:
        task: the shapes of images and classes.
        depth: number of layers with weights, 3 n + 4.
        growth: channels that a layer adds.

    Raises:
        ValueError: if the depth is not 3 n + 4 with n >= 1.

    Example:
        >>> module = DenseNet(Task((32, 32, 3), 10), rngs=nnx.Rngs(0))
        >>> module(jnp.zeros((2, 32, 32, 3))).shape
        (2, 10)
    """

    def __init__(self, task: Task, depth: int = 40, growth: int = 12, *, rngs: nnx.Rngs):
        """Initialises the weights for images and classes of `task`."""
        if depth < 7 or depth % BLOCKS != 1:
            raise ValueError(f"depth = {depth}: allowed is 3 n + 4, such as 7, 22 or 40")
        make, channels = partial(NormConv, rngs=rngs), STEM_CHANNELS
        self.stem = nnx.Conv(
            task.input_shape[-1], channels, (3, 3), use_bias=False, rngs=rngs
        )
        blocks, transitions = [], []
        for number in range(BLOCKS):
            block = []
            for _ in range((depth - 4) // BLOCKS):
                block.append(make(channels, growth, 3))
                channels += growth
            blocks.append(nnx.List(block))
            if number < BLOCKS - 1:
                transitions.append(make(channels, channels, 1))
        self.blocks, self.transitions = nnx.List(blocks), nnx.List(transitions)
        self.norm = nnx.BatchNorm(channels, momentum=MOMENTUM, epsilon=1e-5, rngs=rngs)
        self.linear = nnx.Linear(channels, task.num_classes, rngs=rngs)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n k"]:
        """Maps normalised images [N, H, W, C] to logits [N, classes]."""
        x = self.stem(x)
        for number, block in enumerate(self.blocks):
            for layer in block:
                x = jnp.concatenate([x, layer(x)], axis=-1)
            if number < BLOCKS - 1:
                x = nnx.avg_pool(self.transitions[number](x), (2, 2), (2, 2))
        return self.linear(nnx.relu(self.norm(x)).mean((1, 2)))
