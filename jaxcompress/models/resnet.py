"""Residual networks for CIFAR: He et al.'s, and the one of MLPerf Tiny."""

from functools import partial

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxcompress.data import Task

WIDTHS = (16, 32, 64)
MOMENTUM = 0.9


class PaddedBlock(nnx.Module):
    """Two 3x3 convolutions and a shortcut without parameters (option A)."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, rngs: nnx.Rngs):
        """Initialises the weights: `inputs` channels to `outputs` channels."""
        conv = partial(nnx.Conv, kernel_size=(3, 3), padding=1, use_bias=False, rngs=rngs)
        norm = partial(nnx.BatchNorm, momentum=MOMENTUM, epsilon=1e-5, rngs=rngs)
        self.conv1, self.bn1 = conv(inputs, outputs, strides=stride), norm(outputs)
        self.conv2, self.bn2 = conv(outputs, outputs), norm(outputs)
        self.stride = stride
        self.padding = (outputs - inputs) // 2

    def __call__(self, x: Float[Array, "n h w i"]) -> Float[Array, "n p q o"]:
        """Maps [N, H, W, inputs] to [N, H / stride, W / stride, outputs]."""
        y = self.bn2(self.conv2(nnx.relu(self.bn1(self.conv1(x)))))
        if self.padding:
            channels = (self.padding, self.padding)
            x = x[:, :: self.stride, :: self.stride]
            x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), channels))
        return nnx.relu(y + x)


class ResNet(nnx.Module):
    """The CIFAR networks of He et al.: three stages of (depth - 2) / 6 blocks.

    Where a stage halves the image and doubles the channels, the shortcut takes every
    second pixel and pads zero channels, half of them before and half behind (option A).
    The names of the layers are those of the published weights.

    Source: K. He, X. Zhang, S. Ren and J. Sun, "Deep Residual Learning for Image
    Recognition", CVPR 2016, section 4.2.

    Args:
        task: the shapes of images and classes.
        depth: number of layers with weights: 8, 20, 32, 44, 56, 110, or any 6 n + 2.

    Raises:
        ValueError: if the depth is not 6 n + 2 with n >= 1.

    Example:
        >>> module = ResNet(Task((32, 32, 3), 10), 8, rngs=nnx.Rngs(0))
        >>> module(jnp.zeros((2, 32, 32, 3))).shape
        (2, 10)
    """

    def __init__(self, task: Task, depth: int, *, rngs: nnx.Rngs):
        """Initialises the weights for images and classes of `task`."""
        if depth < 8 or depth % 6 != 2:
            raise ValueError(
                f"depth = {depth}: allowed is 6 n + 2 with n >= 1, such as 8, 20 or 56"
            )
        count = (depth - 2) // 6
        width = WIDTHS[0]
        self.conv1 = nnx.Conv(
            task.input_shape[-1], width, (3, 3), padding=1, use_bias=False, rngs=rngs
        )
        self.bn1 = nnx.BatchNorm(width, momentum=MOMENTUM, epsilon=1e-5, rngs=rngs)

        def stage(inputs: int, outputs: int) -> list[PaddedBlock]:
            stride = 1 if inputs == outputs else 2
            first = PaddedBlock(inputs, outputs, stride, rngs=rngs)
            rest = [PaddedBlock(outputs, outputs, 1, rngs=rngs) for _ in range(count - 1)]
            return [first, *rest]

        self.layer1 = nnx.List(stage(width, WIDTHS[0]))
        self.layer2 = nnx.List(stage(WIDTHS[0], WIDTHS[1]))
        self.layer3 = nnx.List(stage(WIDTHS[1], WIDTHS[2]))
        self.linear = nnx.Linear(WIDTHS[2], task.num_classes, rngs=rngs)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n k"]:
        """Maps normalised images [N, H, W, C] to logits [N, classes]."""
        x = nnx.relu(self.bn1(self.conv1(x)))
        for block in (*self.layer1, *self.layer2, *self.layer3):
            x = block(x)
        return self.linear(x.mean((1, 2)))


class ProjectedBlock(nnx.Module):
    """Two 3x3 convolutions with biases; a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        """Initialises the weights: `inputs` channels to `outputs` channels."""
        stride = 1 if inputs == outputs else 2
        norm = partial(nnx.BatchNorm, momentum=MOMENTUM, epsilon=1e-3, rngs=rngs)
        self.conv1 = nnx.Conv(inputs, outputs, (3, 3), strides=stride, rngs=rngs)
        self.bn1 = norm(outputs)
        self.conv2 = nnx.Conv(outputs, outputs, (3, 3), rngs=rngs)
        self.bn2 = norm(outputs)
        if stride > 1:
            self.shortcut = nnx.Conv(inputs, outputs, (1, 1), strides=stride, rngs=rngs)

    def __call__(self, x: Float[Array, "n h w i"]) -> Float[Array, "n p q o"]:
        """Maps [N, H, W, inputs] to [N, H / stride, W / stride, outputs]."""
        y = self.bn2(self.conv2(nnx.relu(self.bn1(self.conv1(x)))))
        return nnx.relu(y + (self.shortcut(x) if hasattr(self, "shortcut") else x))


class MLPerfResNet8(nnx.Module):
    """The image classification network of MLPerf Tiny: three blocks, projections.

    It differs from `ResNet` of depth 8 in its 1x1 shortcuts, in the biases of its
    convolutions, and in padding as TensorFlow does. The published weights take pixel
    values 0..255 as they are.

    Source: C. Banbury et al., "MLPerf Tiny Benchmark", NeurIPS 2021.

    Args:
        task: the shapes of images and classes.

    Example:
        >>> module = MLPerfResNet8(Task((32, 32, 3), 10), rngs=nnx.Rngs(0))
        >>> module(jnp.zeros((2, 32, 32, 3))).shape
        (2, 10)
    """

    def __init__(self, task: Task, *, rngs: nnx.Rngs):
        """Initialises the weights for images and classes of `task`."""
        width = WIDTHS[0]
        self.conv1 = nnx.Conv(task.input_shape[-1], width, (3, 3), rngs=rngs)
        self.bn1 = nnx.BatchNorm(width, momentum=MOMENTUM, epsilon=1e-3, rngs=rngs)
        self.layer1 = ProjectedBlock(width, WIDTHS[0], rngs=rngs)
        self.layer2 = ProjectedBlock(WIDTHS[0], WIDTHS[1], rngs=rngs)
        self.layer3 = ProjectedBlock(WIDTHS[1], WIDTHS[2], rngs=rngs)
        self.linear = nnx.Linear(WIDTHS[2], task.num_classes, rngs=rngs)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n k"]:
        """Maps images [N, H, W, C] to logits [N, classes]."""
        x = nnx.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((1, 2)))
