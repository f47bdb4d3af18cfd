"""MobileNet, version 1 and version 2."""

from collections.abc import Callable
from functools import partial

from flax import nnx
from jaxtyping import Array, Float

from jaxcompress.data import Task

# Of version 1: channels and stride; of version 2: expansion, channels, repeats, stride.
SEPARABLE = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)
INVERTED = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)
MOMENTUM = 0.9
SMALL = 64  # images up to this size keep it for longer: the first halvings are left out


class ConvNorm(nnx.Module):
    """A convolution without bias, batch normalisation and, if wanted, an activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        *,
        activation: Callable[[Array], Array] | None = nnx.relu,
        rngs: nnx.Rngs,
    ):
        """Initialises the weights: `inputs` channels to `outputs` channels."""
        self.conv = nnx.Conv(
            inputs,
            outputs,
            (kernel, kernel),
            strides=stride,
            padding=kernel // 2,
            feature_group_count=groups,
            use_bias=False,
            rngs=rngs,
        )
        self.norm = nnx.BatchNorm(outputs, momentum=MOMENTUM, epsilon=1e-5, rngs=rngs)
        self.activation = activation

    def __call__(self, x: Float[Array, "n h w i"]) -> Float[Array, "n p q o"]:
        """Maps [N, H, W, inputs] to [N, H / stride, W / stride, outputs]."""
        x = self.norm(self.conv(x))
        return x if self.activation is None else self.activation(x)


class MobileNetV1(nnx.Module):
    """Thirteen depthwise separable convolutions.

    Images of up to 64 pixels keep their size in the stem and in the first halving.

    Source: A. Howard et al., "MobileNets: Efficient Convolutional Neural Networks for
    Mobile Vision Applications", arXiv:1704.04861, table 1.

    Args:
        task: the shapes of images and classes.
        width: multiplies all numbers of channels (the paper's alpha).

    Example:
        >>> module = MobileNetV1(Task((32, 32, 3), 10), rngs=nnx.Rngs(0))
        >>> module(jnp.zeros((2, 32, 32, 3))).shape
        (2, 10)
    """

    def __init__(self, task: Task, width: float = 1.0, *, rngs: nnx.Rngs):
        """Initialises the weights for images and classes of `task`."""
        make, small = partial(ConvNorm, rngs=rngs), max(task.input_shape[:2]) <= SMALL
        channels = _scaled(32, width)
        layers = [make(task.input_shape[-1], channels, 3, 1 if small else 2)]
        for number, (base, stride) in enumerate(SEPARABLE):
            outputs = _scaled(base, width)
            stride = 1 if small and number == 1 else stride
            layers.append(make(channels, channels, 3, stride, channels))
            layers.append(make(channels, outputs))
            channels = outputs
        self.layers = nnx.List(layers)
        self.linear = nnx.Linear(channels, task.num_classes, rngs=rngs)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n k"]:
        """Maps normalised images [N, H, W, C] to logits [N, classes]."""
        for layer in self.layers:
            x = layer(x)
        return self.linear(x.mean((1, 2)))


class InvertedResidual(nnx.Module):
    """Widens with a 1x1 convolution, filters each channel, narrows without activation."""

    def __init__(
        self, inputs: int, outputs: int, expansion: int, stride: int, *, rngs: nnx.Rngs
    ):
        """Initialises the weights: `inputs` channels to `outputs` channels."""
        make, hidden = partial(ConvNorm, rngs=rngs), inputs * expansion
        layers = [make(inputs, hidden, activation=nnx.relu6)] if expansion > 1 else []
        layers.append(make(hidden, hidden, 3, stride, hidden, activation=nnx.relu6))
        layers.append(make(hidden, outputs, activation=None))
        self.layers = nnx.List(layers)
        self.residual = stride == 1 and inputs == outputs

    def __call__(self, x: Float[Array, "n h w i"]) -> Float[Array, "n p q o"]:
        """Maps [N, H, W, inputs] to [N, H / stride, W / stride, outputs]."""
        y = x
        for layer in self.layers:
            y = layer(y)
        return x + y if self.residual else y


class MobileNetV2(nnx.Module):
    """Seventeen inverted residual blocks with linear bottlenecks.

    Images of up to 64 pixels keep their size in the stem and in the first halving.

    Source: M. Sandler, A. Howard, M. Zhu, A. Zhmoginov and L.-C. Chen, "MobileNetV2:
    Inverted Residuals and Linear Bottlenecks", CVPR 2018, table 2.

    Args:
        task: the shapes of images and classes.
        width: multiplies numbers of channels; those of the last layer from 1 on only.

    Example:
        >>> module = MobileNetV2(Task((32, 32, 3), 10), rngs=nnx.Rngs(0))
        >>> module(jnp.zeros((2, 32, 32, 3))).shape
        (2, 10)
    """

    def __init__(self, task: Task, width: float = 1.0, *, rngs: nnx.Rngs):
        """Initialises the weights for images and classes of `task`."""
        small, last = max(task.input_shape[:2]) <= SMALL, _scaled(1280, max(width, 1.0))
        channels = _scaled(32, width)
        self.stem = ConvNorm(
            task.input_shape[-1],
            channels,
            3,
            1 if small else 2,
            activation=nnx.relu6,
            rngs=rngs,
        )
        blocks = []
        for number, (expansion, base, repeats, stride) in enumerate(INVERTED):
            outputs = _scaled(base, width)
            stride = 1 if small and number == 1 else stride
            for repeat in range(repeats):
                step = 1 if repeat else stride
                blocks.append(
                    InvertedResidual(channels, outputs, expansion, step, rngs=rngs)
                )
                channels = outputs
        self.blocks = nnx.List(blocks)
        self.last = ConvNorm(channels, last, activation=nnx.relu6, rngs=rngs)
        self.linear = nnx.Linear(last, task.num_classes, rngs=rngs)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n k"]:
        """Maps normalised images [N, H, W, C] to logits [N, classes]."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.linear(self.last(x).mean((1, 2)))


def _scaled(channels: int, width: float) -> int:
    """Returns the nearest multiple of 8, never a tenth below; below 1/2 of any number."""
    wanted = channels * width
    if wanted < 8:
        return max(int(wanted), 1)
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded
