"""Images and labels: what networks are trained, searched and tested with."""

import os

from jaxcompress.config.data import STREAM_ABOVE
from jaxcompress.data.dataset import Dataset, Task, channel_statistics
from jaxcompress.data.digits import digits
from jaxcompress.data.split import Split, stratified_split
from jaxcompress.data.stream import Source, Stream

__all__ = [
    "Dataset",
    "Source",
    "Split",
    "Stream",
    "Task",
    "channel_statistics",
    "digits",
    "load",
    "stratified_split",
]

_TFDS_NAMES = ("mnist", "cifar10")
_TFDS_PREFIX = "tfds:"


def load(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    validation_fraction: float | None = None,
    train_examples: int | None = None,
    validation_examples: int | None = None,
    stream_above: int = STREAM_ABOVE,
) -> Dataset:
    """Loads a data set by its name.

    Args:
        name: "digits", "mnist", "cifar10", or "tfds:NAME" for any other image
            classification set of TensorFlow Datasets.
        data_dir: where TFDS has prepared it; see `jaxcompress.data.tfds`. Digits come
            with scikit-learn and need none.
        seed: chooses the validation images, and for digits the test images too.
        validation_fraction: in (0, 1), of the images that are not in the test split;
            None is 0.25 for digits and 0.1 for the others.
        train_examples, validation_examples: at most so many, see `Dataset.some`.
        stream_above: bytes; where training images take more they are not held, but
            streamed: `Dataset.stream`, which needs grain.

    Returns:
        The data set.

    Raises:
        ValueError: if the name is unknown, the data is not there or the fraction is
            not allowed.

    Example:
        >>> dataset = load("digits")
        >>> len(dataset.train), len(dataset.validation), len(dataset.test)
        (1081, 357, 359)
    """
    if validation_fraction is not None and not 0 < validation_fraction < 1:
        raise ValueError(
            f"validation_fraction = {validation_fraction}: allowed is a number between "
            "0 and 1, both excluded; 0.1 keeps a tenth of the images for validation"
        )
    chosen: dict[str, float] = {}
    if validation_fraction is not None:
        chosen["validation_fraction"] = validation_fraction
    if name == "digits":
        found = digits(seed, **chosen)
    elif name in _TFDS_NAMES or name.startswith(_TFDS_PREFIX):
        # Imported here, for TFDS takes half a second that digits need not pay.
        from jaxcompress.data.tfds import tfds_dataset

        tfds_name = name.removeprefix(_TFDS_PREFIX)
        found = tfds_dataset(
            tfds_name,
            data_dir=data_dir,
            seed=seed,
            validation_examples=validation_examples,
            stream_above=stream_above,
            **chosen,
        )
    else:
        raise ValueError(
            f"data set {name!r} is unknown: allowed are 'digits', 'mnist', 'cifar10' and "
            "'tfds:NAME' for another image classification set of TensorFlow Datasets"
        )
    fewer = found.some(train_examples, validation_examples, seed)
    return fewer.streamed_above(stream_above)
