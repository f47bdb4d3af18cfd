"""Image classification sets of TensorFlow Datasets, read without TensorFlow."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Int32, Int64, UInt8
from tensorflow_datasets.core import constants

from jaxcompress.data.dataset import Dataset, channel_statistics
from jaxcompress.data.split import Split, stratified_split
from jaxcompress.data.stream import SAMPLE, Stream

# Records are decoded in chunks: all of CIFAR-10 as Python objects at once would need
# several times the memory of the array they end up in.
CHUNK = 4096


def tfds_dataset(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    validation_fraction: float = 0.1,
    validation_examples: int | None = None,
    stream_above: int | None = None,
) -> Dataset:
    """Loads an image classification set that TFDS has prepared as array_record.

    The validation split is taken from the published training split; the published
    test split stays whole; where none is published (ImageNet), the published validation
    split takes its place. Records are put in the order of their `id`, where they have
    one, so the splits do not depend on how TFDS shuffled the files.

    Args:
        name: a TFDS name, such as "mnist" or "cifar10"; its splits must include train,
            and test or validation, its features an image of one size (uint8) and a class
            label.
        data_dir: where TFDS has prepared it; None is the environment's TFDS_DATA_DIR,
            or TFDS' default where that is not set.
        seed: chooses the validation images.
        validation_fraction: in (0, 1), of the published training split.
        validation_examples: at most so many of these, as `Dataset.some` draws them; all
            if None.
        stream_above: bytes; a published training split that takes more is streamed. Its
            mean and std are those of the examples that are held.

    Returns:
        The data set; inputs uint8 [N, H, W, C], 0..255.

    Raises:
        ValueError: if the set is not prepared there, or is not of that kind, or it is
            streamed and its validation split takes more than `stream_above`.

    Example:
        >>> tfds_dataset("mnist", data_dir="data").train.inputs.shape  # doctest: +SKIP
        (54000, 28, 28, 1)
    """
    directory = _data_directory(data_dir)
    source, num_classes = _open(name, "train", directory)
    fractions, stream = (1 - validation_fraction, validation_fraction), None
    size = len(source) * source[0]["image"].nbytes
    if stream_above is None or size <= stream_above:
        inputs, targets, _ = read_split(name, "train", directory)
        train, validation = (
            Split(inputs[rows], targets[rows])
            for rows in stratified_split(targets, fractions, seed)
        )
        validation = validation.some(validation_examples, seed)
    else:
        targets, order = _labels(name, directory)
        stream, held = (
            Stream(_Examples(source), order[rows])
            for rows in stratified_split(targets, fractions, seed)
        )
        held = held.some(validation_examples, seed)
        if held.nbytes > stream_above:
            raise ValueError(
                f"{name}: {len(held)} validation images take {held.nbytes:,} bytes, more "
                f"than stream_above = {stream_above:,}, and they must be held; choose "
                "fewer, with validation_examples"
            )
        train, validation = stream.some(SAMPLE, seed).read(), held.read()
    test_inputs, test_targets, _ = read_split(name, "test", directory)
    mean, std = channel_statistics(train.inputs)
    return Dataset(
        name=name,
        train=train,
        validation=validation,
        test=Split(test_inputs, test_targets),
        num_classes=num_classes,
        mean=mean,
        std=std,
        stream=stream,
    )


def _data_directory(data_dir: str | os.PathLike[str] | None) -> str:
    # TFDS reads the variable once, at import; here it counts at the call.
    directory = data_dir or os.environ.get("TFDS_DATA_DIR") or constants.DATA_DIR
    # A string and not a Path, which would break gs://bucket addresses.
    return os.path.expanduser(os.fspath(directory))


def read_split(
    name: str, split: str, directory: str | os.PathLike[str]
) -> tuple[UInt8[np.ndarray, "n h w c"], Int32[np.ndarray, " n"], int]:
    """Reads one published split whole, as `tfds_dataset` does.

    Args:
        name: a TFDS name.
        split: a published split, such as "train" or "test".
        directory: where TFDS has prepared it.

    Returns:
        (inputs, targets, number of classes): uint8 [N, H, W, C] and int32 [N], in the
        order of the records' `id`, or of the files where they have none.

    Raises:
        ValueError: as `tfds_dataset`.
    """
    source, num_classes = _open(name, split, directory)
    inputs: list[np.ndarray] = []
    targets: list[int] = []
    identities: list[bytes] = []
    for records in _chunks(source):
        shapes = {record["image"].shape for record in records}
        if len(shapes | {chunk.shape[1:] for chunk in inputs}) > 1:
            raise ValueError(
                f"{name}: the images have different shapes, such as "
                f"{sorted(shapes)[:2]}: allowed is one shape; "
                "choose a data set of resized images"
            )
        inputs.append(np.stack([record["image"] for record in records]))
        targets.extend(int(record["label"]) for record in records)
        identities.extend(record.get("id", b"") for record in records)
    order = _order(identities)
    labels = np.array(targets, np.int32)
    return np.concatenate(inputs)[order], labels[order], num_classes


@dataclass(frozen=True)
class _Examples:
    """Records of a published split as inputs and targets, for a `Stream`."""

    records: Any

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.int32]:
        record = self.records[index]
        return record["image"], np.int32(record["label"])


def _labels(
    name: str, directory: str | os.PathLike[str]
) -> tuple[Int32[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Reads the training labels as `read_split` does, and which record has each.

    No image is decoded.
    """
    skip = {"image": tfds.decode.SkipDecoding()}
    source, _ = _open(name, "train", directory, decoders=skip)
    targets: list[int] = []
    identities: list[bytes] = []
    for records in _chunks(source):
        targets.extend(int(record["label"]) for record in records)
        identities.extend(record.get("id", b"") for record in records)
    order = _order(identities)
    return np.array(targets, np.int32)[order], order


def _chunks(source: Any) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(source), CHUNK):
        stop = min(start + CHUNK, len(source))
        yield source.__getitems__(list(range(start, stop)))


def _order(identities: list[bytes]) -> Int64[np.ndarray, " n"]:
    # A stable sort keeps the records' position where they have no id.
    return np.argsort(np.array(identities), kind="stable")


def _open(
    name: str, split: str, directory: str | os.PathLike[str], **options: Any
) -> tuple[Any, int]:
    """Opens a published split for random access; returns it and the class count."""
    try:
        # With a version pattern TFDS trusts the files it finds, and not the version
        # that its own code would write today.
        sources: Any = tfds.data_source(
            name if ":" in name else f"{name}:*.*.*",
            data_dir=directory,
            download=False,
            **options,
        )
    except (ValueError, NotImplementedError, AssertionError, OSError) as error:
        raise ValueError(
            f"data set {name!r} is not prepared as array_record in {directory}; give "
            "the right data_dir (--data.directory, or TFDS_DATA_DIR), or prepare it there, "
            'which needs TensorFlow: pip install "jaxcompress[prepare]" && tfds build '
            f"{name} --file_format=array_record --data_dir={directory}"
        ) from error
    if split == "test" and "test" not in sources and "validation" in sources:
        split = "validation"
    if split not in sources:
        raise ValueError(
            f"{name}: has the splits {sorted(sources)}: needed is {split!r}; "
            "choose a data set with train and test"
        )
    features = sources[split].dataset_info.features
    if not (
        {"image", "label"} <= set(features)
        and features["image"].np_dtype == np.uint8
        and isinstance(features["label"], tfds.features.ClassLabel)
    ):
        raise ValueError(
            f"{name}: has the features {sorted(features)}: needed are 'image' (uint8) "
            "and 'label' (class label); choose an image classification set"
        )
    return sources[split], features["label"].num_classes
