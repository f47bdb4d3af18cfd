"""Augmentation does what it says to each image, inside jit, in the native type."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcompress.training.augment import augment, random_cutout, random_flip

IMAGES = np.arange(1, 301, dtype=np.uint16).reshape(5, 6, 5, 2)


def test_flip_mirrors_some_images_and_keeps_the_others() -> None:
    images = np.broadcast_to(IMAGES[:1], (200, 6, 5, 2))
    found = np.asarray(jax.jit(random_flip)(jax.random.key(0), images))
    mirrored = (found == images[:, :, ::-1]).all((1, 2, 3))
    kept = (found == images).all((1, 2, 3))
    assert (mirrored ^ kept).all() and 60 < mirrored.sum() < 140


@pytest.mark.parametrize("side", [1, 2, 3, 7])
def test_cutout_zeroes_one_square_around_any_pixel(side: int) -> None:
    images = np.broadcast_to(IMAGES[:1], (400, 6, 5, 2))
    cut = jax.jit(random_cutout, static_argnums=2)
    found = np.asarray(cut(jax.random.key(1), images, side))
    expected = set()
    for row in range(6):
        for column in range(5):
            image = IMAGES[0].copy()
            top, left = max(row - side // 2, 0), max(column - side // 2, 0)
            bottom, right = row - side // 2 + side, column - side // 2 + side
            image[top:bottom, left:right] = 0
            expected.add(image.tobytes())
    assert {image.tobytes() for image in found} == expected


def test_everything_off_changes_nothing_and_on_needs_images() -> None:
    tokens = jnp.arange(12).reshape(3, 4)
    assert augment(jax.random.key(0), tokens) is tokens
    with pytest.raises(ValueError, match=r"shift = 1, .*the inputs have shape \(3, 4\)"):
        augment(jax.random.key(0), tokens, shift=1)
    both = augment(jax.random.key(0), jnp.asarray(IMAGES), 1, True, 2)
    assert both.shape == IMAGES.shape and both.dtype == IMAGES.dtype
    assert (both == 0).any() and not (both == augment(jax.random.key(1), both, 1)).all()
