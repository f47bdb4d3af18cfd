"""LeNet-5, as the compression literature knows it."""

from flax import nnx
from jaxtyping import Array, Float

from jaxcompress.data import Task


class LeNet5(nnx.Module):
    """Two 5x5 convolutions with max pooling, then 500 hidden units.

    The form that pruning papers report on (431,080 parameters on MNIST): 20 and 50
    channels, no padding, and a ReLU after the hidden layer only.

    Source: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-Based Learning Applied
    to Document Recognition", Proc. IEEE 1998; in the form of S. Han et al., "Learning both
    Weights and Connections for Efficient Neural Networks", NeurIPS 2015, table 3.

    Args:
        task: the shapes of images, 16x16 or larger, and classes.

    Example:
        >>> module = LeNet5(Task((28, 28, 1), 10), rngs=nnx.Rngs(0))
        >>> module(jnp.zeros((2, 28, 28, 1))).shape
        (2, 10)
    """

    def __init__(self, task: Task, *, rngs: nnx.Rngs):
        """Initialises the weights for images and classes of `task`."""
        height, width, channels = task.input_shape
        left = [((side - 4) // 2 - 4) // 2 for side in (height, width)]
        if min(left) < 1:
            raise ValueError(
                f"images of {height} x {width} pixels: LeNet-5 takes 16 x 16 or larger"
            )
        self.conv1 = nnx.Conv(channels, 20, (5, 5), padding="VALID", rngs=rngs)
        self.conv2 = nnx.Conv(20, 50, (5, 5), padding="VALID", rngs=rngs)
        self.hidden = nnx.Linear(left[0] * left[1] * 50, 500, rngs=rngs)
        self.linear = nnx.Linear(500, task.num_classes, rngs=rngs)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n k"]:
        """Maps normalised images [N, H, W, C] to logits [N, classes]."""
        for conv in (self.conv1, self.conv2):
            x = nnx.max_pool(conv(x), (2, 2), (2, 2))
        return self.linear(nnx.relu(self.hidden(x.reshape(x.shape[0], -1))))
