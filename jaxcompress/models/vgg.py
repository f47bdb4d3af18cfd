"""VGG with batch normalisation and one linear layer, for small images."""

from flax import nnx
from jaxtyping import Array, Float

from jaxcompress.data import Task

WIDTHS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
MOMENTUM = 0.9


class VGG(nnx.Module):
    """Five stages of 3x3 convolutions, each with batch normalisation and ReLU.

    Each stage ends with 2x2 max pooling; a mean over what is left of the image and one
    linear layer replace the three large ones of the original, as is usual for CIFAR.

    Source: K. Simonyan and A. Zisserman, "Very Deep Convolutional Networks for
    Large-Scale Image Recognition", ICLR 2015; for CIFAR as in H. Li et al., "Pruning
    Filters for Efficient ConvNets", ICLR 2017, with one linear layer.

    Args:
        task: the shapes of images, 32x32 or larger, and classes.
        depth: 16 or 19, which counts the original's three linear layers.
        widths: channels of the stages.

    Raises:
        ValueError: another depth, or images that are too small.

    Example:
        >>> module = VGG(Task((32, 32, 3), 10), 16, rngs=nnx.Rngs(0))
        >>> module(jnp.zeros((2, 32, 32, 3))).shape
        (2, 10)
    """

    def __init__(
        self,
        task: Task,
        depth: int,
        widths: tuple[int, ...] = WIDTHS,
        *,
        rngs: nnx.Rngs,
    ):
        """Initialises the weights for images and classes of `task`."""
        if depth not in CONVOLUTIONS:
            raise ValueError(f"depth = {depth}: allowed are {sorted(CONVOLUTIONS)}")
        if min(task.input_shape[:2]) < 32:
            raise ValueError(
                f"images of {task.input_shape[:2]} pixels: VGG halves them five times, so "
                "allowed are 32 x 32 or larger"
            )
        channels, stages = task.input_shape[-1], []
        for width, count in zip(widths, CONVOLUTIONS[depth], strict=True):
            stage = []
            for _ in range(count):
                conv = nnx.Conv(
                    channels, width, (3, 3), padding=1, use_bias=False, rngs=rngs
                )
                norm = nnx.BatchNorm(width, momentum=MOMENTUM, epsilon=1e-5, rngs=rngs)
                stage.append(nnx.List([conv, norm]))
                channels = width
            stages.append(nnx.List(stage))
        self.stages = nnx.List(stages)
        self.linear = nnx.Linear(channels, task.num_classes, rngs=rngs)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n k"]:
        """Maps normalised images [N, H, W, C] to logits [N, classes]."""
        for stage in self.stages:
            for conv, norm in stage:
                x = nnx.relu(norm(conv(x)))
            x = nnx.max_pool(x, (2, 2), (2, 2))
        return self.linear(x.mean((1, 2)))
