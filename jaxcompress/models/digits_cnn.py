"""A small residual network for 8x8 digits, fast enough to search on a laptop."""

from flax import nnx
from jaxtyping import Array, Float

from jaxcompress.data import Task

STEM_CHANNELS = 16
CHANNELS = 24
# The running averages must settle within the few hundred steps of a training that
# takes seconds; Flax' default of 0.99 is made for longer ones.
MOMENTUM = 0.9


class ConvNorm(nnx.Module):
    """A 3x3 convolution without bias, then batch normalisation."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, rngs: nnx.Rngs):
        """Initialises the weights: `inputs` channels to `outputs` channels."""
        self.conv = nnx.Conv(
            inputs, outputs, (3, 3), strides=stride, use_bias=False, rngs=rngs
        )
        self.norm = nnx.BatchNorm(outputs, momentum=MOMENTUM, rngs=rngs)

    def __call__(self, x: Float[Array, "n h w i"]) -> Float[Array, "n p q o"]:
        """Maps [N, H, W, inputs] to [N, H / stride, W / stride, outputs]."""
        return self.norm(self.conv(x))


class DigitsCNN(nnx.Module):
    """Stem, a stride-2 convolution, one residual block, flatten, linear.

    On digits (8x8x1, 10 classes): 18,170 numbers, the 176 of the running averages
    among them, and 234,240 MACs an image.

    Example:
        >>> module = DigitsCNN(Task((8, 8, 1), 10), rngs=nnx.Rngs(0))
        >>> module(jnp.zeros((2, 8, 8, 1))).shape
        (2, 10)
    """

    def __init__(self, task: Task, *, rngs: nnx.Rngs):
        """Initialises the weights for images and classes of `task`."""
        height, width, channels = task.input_shape
        self.stem = ConvNorm(channels, STEM_CHANNELS, rngs=rngs)
        self.down = ConvNorm(STEM_CHANNELS, CHANNELS, stride=2, rngs=rngs)
        self.block1 = ConvNorm(CHANNELS, CHANNELS, rngs=rngs)
        self.block2 = ConvNorm(CHANNELS, CHANNELS, rngs=rngs)
        features = -(-height // 2) * -(-width // 2) * CHANNELS
        self.head = nnx.Linear(features, task.num_classes, rngs=rngs)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n k"]:
        """Maps normalised images [N, H, W, C] to logits [N, classes]."""
        x = nnx.relu(self.stem(x))
        x = nnx.relu(self.down(x))
        residual = self.block2(nnx.relu(self.block1(x)))
        x = nnx.relu(x + residual)
        return self.head(x.reshape(x.shape[0], -1))
