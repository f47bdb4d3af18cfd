"""A small vision transformer."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxcompress.data import Task


class EncoderBlock(nnx.Module):
    """Attention and a hidden layer, each after a normalisation and beside a shortcut."""

    def __init__(self, width: int, heads: int, hidden: int, *, rngs: nnx.Rngs):
        """Initialises the weights for tokens of `width` features."""
        self.norm1 = nnx.LayerNorm(width, rngs=rngs)
        self.attend = nnx.MultiHeadAttention(heads, width, decode=False, rngs=rngs)
        self.norm2 = nnx.LayerNorm(width, rngs=rngs)
        self.up = nnx.Linear(width, hidden, rngs=rngs)
        self.down = nnx.Linear(hidden, width, rngs=rngs)

    def __call__(self, x: Float[Array, "n t w"]) -> Float[Array, "n t w"]:
        """Maps tokens [N, T, width] to tokens."""
        x = x + self.attend(self.norm1(x))
        return x + self.down(nnx.gelu(self.up(self.norm2(x))))


class ViT(nnx.Module):
    """Patches as tokens, a class token, learned positions, pre-norm encoder blocks.

    The defaults are DeiT-Ti's: 5.7 M parameters for ImageNet. Images of up to 64 pixels
    are cut into patches of 4 pixels, larger ones of 16.

    Source: A. Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021; sizes of
    H. Touvron et al., "Training data-efficient image transformers", ICML 2021, table 1.

    Args:
        task: the shapes of images and classes.
        width: features of a token; heads divide it.
        depth: number of blocks.
        heads: of the attention.
        hidden: features of the hidden layer; 4 widths if None.

    Raises:
        ValueError: if patches do not fill the image.

    Example:
        >>> module = ViT(Task((32, 32, 3), 10), rngs=nnx.Rngs(0))
        >>> module(jnp.zeros((2, 32, 32, 3))).shape
        (2, 10)
    """

    def __init__(
        self,
        task: Task,
        width: int = 192,
        depth: int = 12,
        heads: int = 3,
        hidden: int | None = None,
        *,
        rngs: nnx.Rngs,
    ):
        """Initialises the weights for images and classes of `task`."""
        rows, columns, channels = task.input_shape
        patch = 4 if max(rows, columns) <= 64 else 16
        if rows % patch or columns % patch:
            raise ValueError(
                f"images of {rows} x {columns} pixels: allowed are multiples of the patch, "
                f"{patch} pixels; resize them"
            )
        self.patches = nnx.Conv(
            channels,
            width,
            (patch, patch),
            strides=patch,
            padding="VALID",
            rngs=rngs,
        )
        tokens = rows // patch * (columns // patch) + 1
        draw = nnx.initializers.normal(0.02)
        self.token = nnx.Param(draw(rngs.params(), (1, 1, width)))
        self.positions = nnx.Param(draw(rngs.params(), (1, tokens, width)))
        hidden = 4 * width if hidden is None else hidden
        self.blocks = nnx.List(
            [EncoderBlock(width, heads, hidden, rngs=rngs) for _ in range(depth)]
        )
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.linear = nnx.Linear(width, task.num_classes, rngs=rngs)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n k"]:
        """Maps normalised images [N, H, W, C] to logits [N, classes]."""
        x = self.patches(x)
        x = x.reshape(x.shape[0], -1, x.shape[-1])
        first = jnp.broadcast_to(self.token[...], (x.shape[0], 1, x.shape[-1]))
        x = jnp.concatenate([first, x], axis=1) + self.positions[...]
        for block in self.blocks:
            x = block(x)
        return self.linear(self.norm(x)[:, 0])
