"""Where the tests find real data and published weights, and skip without them."""

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared/data"
DATA_DIR = Path(os.environ.get("TFDS_DATA_DIR") or SHARED / "tfds")
WEIGHTS_DIR = Path(os.environ.get("JAXCOMPRESS_WEIGHTS") or SHARED / "weights")


def skip_without_data(name: str) -> None:
    if not (DATA_DIR / name).is_dir():
        pytest.skip(f"{name} is not prepared in {DATA_DIR}; set TFDS_DATA_DIR")


def skip_without_weights(name: str) -> None:
    if not (WEIGHTS_DIR / f"{name}.safetensors").is_file():
        pytest.skip(f"{name} is not in {WEIGHTS_DIR}; set JAXCOMPRESS_WEIGHTS")


@cache
def images_for_testing(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The published test split: images uint8 [N, H, W, C], labels int32 [N]."""
    from jaxcompress.data.tfds import read_split

    skip_without_data(name)
    inputs, targets, _ = read_split(name, "test", DATA_DIR)
    return inputs, targets
