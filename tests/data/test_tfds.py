"""Prepared TFDS sets are read whole, in a fixed order, without TensorFlow."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxcompress.data import Dataset, load
from jaxcompress.data.tfds import read_split

ROOT = Path(__file__).parents[2]
DATA_DIR = Path(os.environ.get("TFDS_DATA_DIR") or ROOT.parent / "shared/data/tfds")


def skip_where_missing(name: str) -> None:
    if not (DATA_DIR / name).is_dir():
        pytest.skip(f"{name} is not prepared in {DATA_DIR}; set TFDS_DATA_DIR")


def records(name: str) -> Any:
    """The test split as TFDS itself gives it."""
    return tfds.data_source(name, data_dir=DATA_DIR, split="test", download=False)


@pytest.fixture(scope="module")
def cifar10() -> Dataset:
    skip_where_missing("cifar10")
    return load("cifar10", data_dir=DATA_DIR)


def test_cifar10_counts_and_balance(cifar10):
    parts = (cifar10.train, 4500), (cifar10.validation, 500), (cifar10.test, 1000)
    for split, per_class in parts:
        assert split.inputs.shape == (10 * per_class, 32, 32, 3)
        assert split.inputs.dtype == np.uint8
        assert np.bincount(split.targets).tolist() == [per_class] * 10


def test_cifar10_mean_and_std_are_the_published_ones(cifar10):
    pixels = np.concatenate([cifar10.train.inputs, cifar10.validation.inputs])
    channels = [pixels[..., channel] / np.float32(255) for channel in range(3)]
    mean = [channel.mean(dtype=np.float64) for channel in channels]
    std = [channel.std(dtype=np.float64) for channel in channels]
    np.testing.assert_allclose(mean, (0.4914, 0.4822, 0.4465), atol=6e-5)
    np.testing.assert_allclose(std, (0.2470, 0.2435, 0.2616), atol=6e-5)
    # The data set's own are of its training split alone, nine tenths of the images.
    np.testing.assert_allclose(np.divide(cifar10.mean, 255), mean, atol=1e-3)
    np.testing.assert_allclose(np.divide(cifar10.std, 255), std, atol=1e-3)


def test_cifar10_is_in_the_order_of_the_ids(cifar10):
    """Records lie shuffled in the files; `id` gives their place in the original."""
    source = records("cifar10")
    for position in (0, 1, 5000, 9999):
        record = source[position]
        index = int(record["id"].decode().removeprefix("test_"))
        np.testing.assert_array_equal(cifar10.test.inputs[index], record["image"])
        assert cifar10.test.targets[index] == record["label"]


def test_mnist_without_ids_keeps_the_order_of_the_records():
    skip_where_missing("mnist")
    inputs, targets, num_classes = read_split("mnist", "test", DATA_DIR)
    assert inputs.shape == (10_000, 28, 28, 1)
    assert (inputs.dtype, targets.dtype, num_classes) == (np.uint8, np.int32, 10)
    source = records("mnist")
    for position in (0, 4097, 9999):
        np.testing.assert_array_equal(inputs[position], source[position]["image"])
        assert targets[position] == source[position]["label"]


def test_a_published_validation_split_takes_the_place_of_a_test_split(tmp_path):
    skip_where_missing("mnist")
    (version,) = (DATA_DIR / "mnist").iterdir()
    folder = tmp_path / "mnist" / version.name
    folder.mkdir(parents=True)
    for path in version.iterdir():
        if path.name == "dataset_info.json":
            text = path.read_text().replace('"name": "test"', '"name": "validation"')
            (folder / path.name).write_text(text)
        else:
            (folder / path.name.replace("test", "validation")).symlink_to(path)
    found, expected = (read_split("mnist", "test", d)[1] for d in (tmp_path, DATA_DIR))
    np.testing.assert_array_equal(found, expected)


def test_a_streamed_set_holds_the_images_that_the_other_would(tmp_path):
    skip_where_missing("mnist")
    pytest.importorskip("grain", reason='pip install -e ".[stream]"')
    folder = few_of_mnist(tmp_path, 400)
    held = load("mnist", data_dir=folder, validation_examples=30)
    limit = held.train.nbytes - 1
    streamed = load("mnist", data_dir=folder, validation_examples=30, stream_above=limit)
    assert held.stream is None and streamed.stream is not None
    read = streamed.stream.read()
    for name, found in (("train", read), ("validation", streamed.validation)):
        expected = getattr(held, name)
        np.testing.assert_array_equal(found.inputs, expected.inputs)
        np.testing.assert_array_equal(found.targets, expected.targets)
    assert (held.mean, held.std) == (streamed.mean, streamed.std)  # of so few, all are held
    (batch,) = streamed.stream.batches(seed=0, size=len(read))
    assert np.bincount(batch.targets).tolist() == np.bincount(read.targets).tolist()
    assert batch.inputs.dtype == np.uint8 and batch.targets.dtype == np.int32
    with pytest.raises(ValueError, match=r"10 validation images take 7,840 bytes, more"):
        load("mnist", data_dir=folder, validation_examples=10, stream_above=7839)


def few_of_mnist(tmp_path: Path, count: int) -> Path:
    """Prepares a set whose splits are the first records of MNIST's test split."""
    (version,) = (DATA_DIR / "mnist").iterdir()
    folder = tmp_path / "mnist" / version.name
    folder.mkdir(parents=True)
    (folder / "features.json").symlink_to(version / "features.json")
    info = json.loads((version / "dataset_info.json").read_text())
    (test,) = (split for split in info["splits"] if split["name"] == "test")
    few = {**test, "shardLengths": [str(count)]}
    info["splits"] = [{**few, "name": name} for name in ("train", "test")]
    (folder / "dataset_info.json").write_text(json.dumps(info))
    (file,) = version.glob("mnist-test*")
    for name in ("train", "test"):
        (folder / file.name.replace("test", name)).symlink_to(file)
    return tmp_path


def test_missing_data_names_the_directory_and_the_command(tmp_path):
    with pytest.raises(ValueError, match="not prepared as array_record") as caught:
        load("cifar10", data_dir=tmp_path)
    message = str(caught.value)
    assert f"in {tmp_path};" in message
    assert 'pip install "jaxcompress[prepare]"' in message
    assert "tfds build cifar10 --file_format=array_record" in message
    assert "\n" not in message


def test_environment_names_the_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(ValueError, match=f"in {tmp_path}; "):
        load("tfds:fashion_mnist")


def test_digits_do_not_import_tfds():
    """They are what a first run uses, and TFDS would double its start."""
    code = (
        "import sys; from jaxcompress import data; data.load('digits'); "
        "sys.exit('tensorflow_datasets' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
