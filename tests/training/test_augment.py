"""Augmentation does what it says to each image, inside jit, in the native type."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcompress.config import TuneConfig
from jaxcompress.data import digits
from jaxcompress.training import seen_inputs
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


def test_seen_inputs_are_training_images_as_steps_of_training_see_them() -> None:
    data = digits()
    plain = np.asarray(seen_inputs(data, 40, 0, TuneConfig()))
    drawn = data.train.some(40, 0).inputs
    np.testing.assert_array_equal(plain, np.asarray(data.normalize(drawn)))
    assert len(seen_inputs(data, 10**6, 0, TuneConfig())) == len(data.train)
    moved = np.asarray(seen_inputs(data, 40, 0, TuneConfig(shift=1, flip=True)))
    empty = np.asarray(data.normalize(np.zeros_like(drawn[:1])))[0]
    for image, found in zip(plain, moved, strict=True):
        wide = np.pad(image, ((1, 1), (1, 1), (0, 0)))
        wide[0], wide[-1], wide[:, 0], wide[:, -1] = (empty[0, 0],) * 4
        places = [wide[r : r + 8, c : c + 8] for r in range(3) for c in range(3)]
        assert any(
            np.array_equal(found, p) or np.array_equal(found, p[:, ::-1]) for p in places
        )
    assert (moved != plain).any(axis=(1, 2, 3)).sum() > 25
