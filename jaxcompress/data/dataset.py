"""What a data set is: three splits of labelled images and how to normalise them."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Shaped, UInt8


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled images, on the host.

    Attributes:
        inputs: [N, H, W, C], in the native dtype and unit (uint8 0..255 for most).
        targets: int32 [N], class labels.

    Raises:
        ValueError: if shapes do not fit, a label is negative or an input not finite.

    Example:
        >>> Split(np.zeros((2, 8, 8, 1), np.uint8), np.array([0, 1], np.int32)).targets
        array([0, 1], dtype=int32)
    """

    # Without shapes in the annotations: the checks below answer with a message that
    # says how to mend it, and a run-time type checker would come before them.
    inputs: np.ndarray
    targets: np.ndarray

    def __post_init__(self) -> None:
        if self.inputs.ndim != 4 or self.inputs.size == 0:
            raise ValueError(
                f"inputs have shape {self.inputs.shape}: allowed is [N, H, W, C] "
                "without an empty axis; add a channel axis with inputs[..., None]"
            )
        if self.targets.shape != self.inputs.shape[:1]:
            raise ValueError(
                f"targets have shape {self.targets.shape} for {len(self.inputs)} "
                f"inputs: allowed is ({len(self.inputs)},); give one label per image"
            )
        if self.targets.dtype != np.int32:
            raise ValueError(
                f"targets have dtype {self.targets.dtype}: allowed is int32; "
                "convert with targets.astype(np.int32)"
            )
        if self.targets.min() < 0:
            raise ValueError(
                f"targets hold the label {self.targets.min()}: allowed are 0 and "
                "above; drop the unlabelled images or number the classes from 0"
            )
        if not np.issubdtype(self.inputs.dtype, np.integer):
            bad = int(np.count_nonzero(~np.isfinite(self.inputs)))
            if bad:
                raise ValueError(
                    f"inputs hold {bad} values that are NaN or infinite: allowed are "
                    "finite numbers; drop those images or replace the values"
                )

    def __len__(self) -> int:
        """Number of images."""
        return len(self.targets)


@dataclass(frozen=True)
class Task:
    """The shapes a network is made for.

    Attributes:
        input_shape: (H, W, C) of one image.
        num_classes: number of classes, at least 2.
    """

    input_shape: tuple[int, int, int]
    num_classes: int


@dataclass(frozen=True, eq=False)
class Dataset:
    """A classification data set with three disjoint splits.

    Attributes:
        name: what messages and reports call it.
        train: what weights are fitted to.
        validation: what every choice is made by.
        test: read once, for the final numbers.
        num_classes: labels are 0..num_classes-1.
        mean: per channel, in the native unit of the inputs, of the training split.
        std: per channel, likewise, positive.

    Raises:
        ValueError: if the splits, the labels, the mean or the std do not fit together.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        for split_name in ("train", "validation", "test"):
            split: Split = getattr(self, split_name)
            if split.inputs.shape[1:] != self.input_shape:
                raise ValueError(
                    f"{self.name}: {split_name} images have shape "
                    f"{split.inputs.shape[1:]} and train images {self.input_shape}: "
                    "allowed is one shape; resize them first"
                )
            if split.targets.max() >= self.num_classes:
                raise ValueError(
                    f"{self.name}: {split_name} targets hold the label "
                    f"{split.targets.max()}: allowed are 0..{self.num_classes - 1}; "
                    "correct the labels or num_classes"
                )
        channels = self.input_shape[-1]
        if not len(self.mean) == len(self.std) == channels:
            raise ValueError(
                f"{self.name}: mean has {len(self.mean)} and std {len(self.std)} "
                f"entries: allowed is one per channel, {channels}; "
                "take both from channel_statistics(train.inputs)"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all()) or (
            min(self.std) <= 0
        ):
            raise ValueError(
                f"{self.name}: mean = {self.mean}, std = {self.std}: allowed are "
                "finite means and positive finite stds; drop constant channels"
            )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one image."""
        height, width, channels = self.train.inputs.shape[1:]
        return height, width, channels

    @property
    def task(self) -> Task:
        """The shapes a network for this data set is made for."""
        return Task(self.input_shape, self.num_classes)

    def normalize(
        self, inputs: Shaped[Array | np.ndarray, "... c"]
    ) -> Float32[Array, "... c"]:
        """Maps images in the native unit to what networks take: `(x - mean) / std`.

        Pure, so it may be called inside `jit`.

        Args:
            inputs: [..., C], any real dtype, in the native unit.

        Returns:
            float32 [..., C], without unit.

        Example:
            >>> from jaxcompress.data import digits
            >>> dataset = digits()
            >>> dataset.normalize(dataset.test.inputs[:2]).shape
            (2, 8, 8, 1)
        """
        mean = jnp.asarray(self.mean, jnp.float32)
        std = jnp.asarray(self.std, jnp.float32)
        return (jnp.asarray(inputs, jnp.float32) - mean) / std


def channel_statistics(
    inputs: UInt8[np.ndarray, "n h w c"],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of every channel.

    Exact up to one rounding: computed from the counts of the 256 values, without a
    float copy of the images.

    Args:
        inputs: uint8 [N, H, W, C].

    Returns:
        (mean, std): C floats each, in the unit of the inputs.

    Example:
        >>> channel_statistics(np.array([0, 2], np.uint8).reshape(2, 1, 1, 1))
        ((1.0,), (1.0,))
    """
    values = np.arange(256)
    mean, std = [], []
    for channel in range(inputs.shape[-1]):
        counts = np.bincount(inputs[..., channel].ravel(), minlength=256)
        mean.append(float(np.average(values, weights=counts)))
        variance = np.average((values - mean[-1]) ** 2, weights=counts)
        std.append(float(np.sqrt(variance)))
    return tuple(mean), tuple(std)
