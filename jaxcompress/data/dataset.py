"""What a data set is: three splits of examples, and how their inputs are normalised."""

from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped, UInt8

from jaxcompress.data.split import Split
from jaxcompress.data.stream import SAMPLE, Stream

COUNTED = 4096  # images at a time whose values are counted


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
    """Three disjoint splits.

    Attributes:
        name: what messages and reports call it.
        train: what weights are fitted to; of a streamed set those of these examples that
            are held, for all that needs but a few.
        validation: what every choice is made by.
        test: read once, for the final numbers.
        num_classes: targets are class labels 0..num_classes-1, int32 (one an example, or
            one a position of it); None: they are something else.
        mean: of each channel (the last axis of the inputs), in their native unit, of the
            training split; (): inputs are taken as they are.
        std: likewise, positive.
        stream: what weights are fitted to, where these examples are too many to be held.

    Raises:
        ValueError: if the splits, the labels, the mean or the std do not fit together.

    Example:
        >>> x, y = np.zeros((4, 3), np.float32), np.zeros((4, 1), np.float32)
        >>> Dataset("line", Split(x, y), Split(x, y), Split(x, y)).num_classes is None
        True
    """

    name: str
    train: Split
    validation: Split
    test: Split
    num_classes: int | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    stream: Stream | None = None

    def __post_init__(self) -> None:
        for split_name in ("train", "validation", "test"):
            self.check(split_name, getattr(self, split_name))
        if not self.mean and not self.std:
            return
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

    def check(self, name: str, split: Split) -> None:
        """Checks that examples are those of this data set, by shapes and labels.

        Args:
            name: of the split, for the message.

        Raises:
            ValueError: they are not.
        """
        if split.inputs.shape[1:] != self.input_shape:
            raise ValueError(
                f"{self.name}: {name} inputs have shape "
                f"{split.inputs.shape[1:]} and train inputs {self.input_shape}: "
                "allowed is one shape; resize them first"
            )
        if self.num_classes is not None:
            _check_labels(f"{self.name}: {name}", split, self.num_classes)

    @property
    def fitted(self) -> Split | Stream:
        """What weights are fitted to: the stream where there is one, else `train`."""
        return self.train if self.stream is None else self.stream

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example, such as (H, W, C)."""
        return self.train.inputs.shape[1:]

    @property
    def task(self) -> Task:
        """The shapes a network for this data set is made for.

        Raises:
            ValueError: if it does not hold images and class labels.
        """
        if len(self.input_shape) != 3 or self.num_classes is None:
            raise ValueError(
                f"{self.name}: inputs of shape {self.input_shape} and num_classes = "
                f"{self.num_classes}: the bundled networks take images [N, H, W, C] and "
                "class labels; name a network of your own, model: module:function"
            )
        height, width, channels = self.input_shape
        return Task((height, width, channels), self.num_classes)

    def some(self, train: int | None, validation: int | None, seed: int) -> "Dataset":
        """Returns the data set with at most so many training and validation examples.

        The test split, the mean and the std stay; arguments are those of `Split.some`.
        """
        if train is None and validation is None:
            return self
        fewer = replace(self, validation=self.validation.some(validation, seed))
        if self.stream is None or train is None:
            return replace(fewer, train=self.train.some(train, seed))
        stream = self.stream.some(train, seed)
        return replace(fewer, stream=stream, train=stream.some(SAMPLE, seed).read())

    def streamed_above(self, limit: int) -> "Dataset":
        """Returns the data set streamed where its training inputs take more bytes.

        Those of a streamed set that take less are read, and held.
        """
        large = self.fitted.nbytes > limit
        if self.stream is not None and not large:
            return replace(self, train=self.stream.read(), stream=None)
        if self.stream is None and large:
            return replace(self, stream=Stream.of(self.train))
        return self

    def normalize(self, inputs: Shaped[Array | np.ndarray, "..."]) -> Shaped[Array, "..."]:
        """Maps inputs in the native unit to what networks take: `(x - mean) / std`.

        Pure, so it may be called inside `jit`.

        Args:
            inputs: [..., C], any real dtype, in the native unit.

        Returns:
            float32 [..., C], without unit; without mean and std the inputs as they are.

        Example:
            >>> from jaxcompress.data import digits
            >>> dataset = digits()
            >>> dataset.normalize(dataset.test.inputs[:2]).shape
            (2, 8, 8, 1)
        """
        if not self.mean:
            return jnp.asarray(inputs)
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
        # A part at a time, for bincount makes int64 of what it counts.
        counts = np.zeros(256, np.int64)
        for start in range(0, len(inputs), COUNTED):
            part = inputs[start : start + COUNTED, ..., channel]
            counts += np.bincount(part.ravel(), minlength=256)
        mean.append(float(np.average(values, weights=counts)))
        variance = np.average((values - mean[-1]) ** 2, weights=counts)
        std.append(float(np.sqrt(variance)))
    return tuple(mean), tuple(std)


def _check_labels(what: str, split: Split, num_classes: int) -> None:
    targets = split.targets
    if targets.dtype != np.int32:
        raise ValueError(
            f"{what} targets have dtype {targets.dtype}: allowed is int32; "
            "convert with targets.astype(np.int32)"
        )
    if targets.min() < 0:
        raise ValueError(
            f"{what} targets hold the label {targets.min()}: allowed are 0 and "
            "above; drop the unlabelled examples or number the classes from 0"
        )
    if targets.max() >= num_classes:
        raise ValueError(
            f"{what} targets hold the label {targets.max()}: allowed are "
            f"0..{num_classes - 1}; correct the labels or num_classes"
        )
