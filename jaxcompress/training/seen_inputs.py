"""A few training inputs as steps of training see them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from jaxcompress.config import TuneConfig
from jaxcompress.data import Dataset
from jaxcompress.training.augment import augment


def seen_inputs(
    data: Dataset, count: int, seed: int, config: TuneConfig
) -> Shaped[Array, "n ..."]:
    """Returns training inputs, normalised and augmented, to estimate batch norm by.

    Images that are not shifted have other statistics than those that the weights were
    trained with, of which the running averages are: published ResNet-20 under four bits
    and averages of 256 images that are not shifted has five times the error.

    Args:
        count: how many, at most as many as there are.
        seed: chooses them, and decides their augmentation.
        config: its shift, flip and cutout are taken.

    Example:
        >>> x = seen_inputs(dataset, 256, 0, TuneConfig(shift=4))  # doctest: +SKIP
        >>> evaluate = Evaluator(network, space, ..., calibration=x)  # doctest: +SKIP
    """
    inputs = jnp.asarray(data.train.some(count, seed).inputs)
    changed = augment(
        jax.random.key(seed), inputs, config.shift, config.flip, config.cutout
    )
    return data.normalize(changed)
