"""Random changes of images on the device, each image on its own."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, Shaped


def augment(
    key: Key[Array, ""],
    inputs: Shaped[Array, "n ..."],
    shift: int = 0,
    flip: bool = False,
    cutout: int = 0,
) -> Shaped[Array, "n ..."]:
    """Shifts, mirrors and cuts out; everything that is off changes nothing.

    Args:
        key: decides all of it.
        inputs: images [N, H, W, C]; of any other shape if nothing is on.
        shift: the largest shift, pixels.
        flip: whether an image is mirrored, left to right, with probability 1/2.
        cutout: side of the square that is zero, pixels.

    Returns:
        Of the same shape and dtype.

    Raises:
        ValueError: something is on, and the inputs are no images.
    """
    if not (shift or flip or cutout):
        return inputs
    if inputs.ndim != 4:
        raise ValueError(
            f"shift = {shift}, flip = {flip}, cutout = {cutout}: are for images [N, H, W, "
            f"C], and the inputs have shape {inputs.shape}; set shift and cutout to 0 and "
            "flip to false"
        )
    images = random_shift(key, inputs, shift)
    if flip:
        images = random_flip(jax.random.fold_in(key, 1), images)
    return random_cutout(jax.random.fold_in(key, 2), images, cutout)


def random_shift(
    key: Key[Array, ""], images: Shaped[Array, "n h w c"], pixels: int
) -> Shaped[Array, "n h w c"]:
    """Shifts every image on its own by -pixels..pixels along both axes.

    Args:
        key: decides the shifts.
        images: [N, H, W, C].
        pixels: the largest shift, at least 0.

    Returns:
        [N, H, W, C], of the same dtype; what comes in from outside is zero.
    """
    if pixels == 0:
        return images
    around = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
    padded = jnp.pad(images, around)
    corners = jax.random.randint(key, (len(images), 2), 0, 2 * pixels + 1)

    def crop(image: Array, corner: Array) -> Array:
        start = (corner[0], corner[1], 0)
        return jax.lax.dynamic_slice(image, start, images.shape[1:])

    return jax.vmap(crop)(padded, corners)


def random_flip(
    key: Key[Array, ""], images: Shaped[Array, "n h w c"]
) -> Shaped[Array, "n h w c"]:
    """Mirrors every image on its own, left to right, with probability 1/2."""
    mirrored = jax.random.bernoulli(key, shape=(len(images), 1, 1, 1))
    return jnp.where(mirrored, images[:, :, ::-1], images)


def random_cutout(
    key: Key[Array, ""], images: Shaped[Array, "n h w c"], side: int
) -> Shaped[Array, "n h w c"]:
    """Sets a random square of every image to zero; part of it may lie outside.

    T. DeVries and G. W. Taylor, arXiv:1708.04552: the centre is any pixel.

    Args:
        key: decides the centres.
        images: [N, H, W, C].
        side: of the square, pixels, at least 0.

    Returns:
        [N, H, W, C], of the same dtype.
    """
    if side == 0:
        return images
    count, height, width, _ = images.shape
    centres = jax.random.randint(key, (count, 2), 0, jnp.asarray([height, width]))
    first = centres - side // 2

    def inside(line: int, axis: int) -> Array:
        places = jnp.arange(line) - first[:, axis, None]
        return (places >= 0) & (places < side)

    square = inside(height, 0)[:, :, None, None] & inside(width, 1)[:, None, :, None]
    return jnp.where(square, jnp.zeros((), images.dtype), images)
