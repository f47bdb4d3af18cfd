"""What a run begins with: published weights, a user's own code, and what is refused."""

import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from models.test_published import tensors
from safetensors.numpy import save_file

from jaxcompress.config import Config
from jaxcompress.config_file import bundled, find, read
from jaxcompress.data import Dataset
from jaxcompress.given import given, traced

OWN = """
import jax.numpy as jnp
import numpy as np
from jaxcompress.data import Dataset, Split

def split(count, labels=10, shape=(32, 32, 3)):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    return Split(x, rng.integers(0, labels, count).astype(np.int32))

def ten(): return Dataset("ten", split(8), split(6), split(4), 10)
def grey(): return Dataset("grey", *[split(4, shape=(28, 28, 1)) for _ in "abc"], 10)
def hundred(): return Dataset("hundred", split(8, 100), split(6), split(4), 100)
def wide(): return (lambda params, x: x.mean((1, 2)) @ params["w"], {"w": jnp.ones((3, 7))})
def pair(): return (lambda params, x: (x @ params["w"],), {"w": jnp.ones((3, 1))})
def plain():
    s = Split(np.ones((4, 3), np.float32), np.ones((4, 1), np.float32))
    return Dataset("plain", s, s, s)
def network(): return (lambda params, x: x @ params["w"], {"w": jnp.ones((3, 1))})
def squared(outputs, targets): return jnp.square(outputs - targets).mean()
def nothing(): return None
def fails(): raise RuntimeError("no luck\\ntoday")
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a module of the user's and weights of ResNet-8."""
    (tmp_path / "own_code.py").write_text(OWN)
    (tmp_path / "broken_code.py").write_text("import nowhere_at_all")
    save_file(tensors(), tmp_path / "resnet8_cifar10.safetensors")
    save_file(tensors(), tmp_path / "mine.safetensors")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_code", raising=False)
    monkeypatch.delenv("JAXCOMPRESS_WEIGHTS", raising=False)
    return tmp_path


def start(**values: Any) -> Config:
    tree: dict[str, Any] = {"data": {"name": values.pop("data", "own_code:ten")}}
    return Config(**tree, **values)


def test_published_weights_bring_their_normalisation(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = jax.random.key(0)
    by_file = given(
        start(model="mlperf_resnet8", weights="resnet8_cifar10.safetensors"), key
    )
    monkeypatch.setenv("JAXCOMPRESS_WEIGHTS", str(own))
    by_name = given(start(model="mlperf_resnet8", weights="resnet8_cifar10"), key)
    for found in (by_file, by_name):
        assert found.module is None and found.apply is not None
        assert found.data.mean == (0.0,) * 3 and found.data.std == (1.0,) * 3
        kernel = np.asarray(found.params["linear"]["kernel"])
        np.testing.assert_array_equal(kernel, tensors()["linear.weight"].T)
    others = given(start(model="mlperf_resnet8", weights="mine.safetensors"), key)
    assert others.data.mean == ()  # of weights that nobody published nothing is known
    told = {"name": "own_code:ten", "mean": (1.0, 2.0, 3.0), "std": (4.0, 5.0, 6.0)}
    tree: dict[str, Any] = {"data": told, "model": "mlperf_resnet8"}
    mine = given(Config(**tree, weights="mine.safetensors"), key)
    assert (mine.data.mean, mine.data.std) == (told["mean"], told["std"])
    with pytest.raises(ValueError, match="set weights, or leave both out"):
        Config(data=told)  # type: ignore[arg-type]


def test_an_own_network_with_own_data_and_loss(own: Path) -> None:
    config = start(
        data="own_code:plain",
        model="own_code:network",
        loss="own_code:squared",
        quality="own_code:squared",
    )
    found = given(config, jax.random.key(0))
    assert isinstance(found.data, Dataset) and found.module is None
    assert found.apply is not None and found.loss is not None
    outputs = found.apply(found.params, found.data.test.inputs)
    targets = jax.numpy.asarray(found.data.test.targets)
    assert float(found.quality(outputs, targets)) == 4.0  # (3 - 1)^2
    assert found.quality.unit == ""


def test_training_images_above_the_limit_are_streamed(own: Path) -> None:
    pytest.importorskip("grain", reason='pip install -e ".[stream]"')
    for limit, count, streamed in ((0, 3, True), (10_000, 8, True), (10_000, 3, False)):
        named = {"name": "own_code:ten", "train_examples": count, "stream_above": limit}
        tree: dict[str, Any] = {"data": named, "model": "own_code:network"}
        data = given(Config(**tree), jax.random.key(0)).data
        assert len(data.fitted) == count and (data.stream is not None) == streamed


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"weights": "resnet8_cifar10"}, "set JAXCOMPRESS_WEIGHTS to the directory"),
        ({"weights": "gone.safetensors"}, "there is no file gone.safetensors"),
        # Before the data, which may take long to load.
        ({"weights": "gone.safetensors", "data": "own_code:fails"}, "there is no file"),
        (
            {"weights": "resnet8_cifar10.safetensors", "data": "own_code:fails"},
            "are of the network mlperf_resnet8",
        ),
        ({"weights": "own_code.py"}, "cannot be read as safetensors"),
        ({"weights": "resnet8_cifar10.safetensors"}, "are of the network mlperf_resnet8"),
        (
            {
                "weights": "resnet8_cifar10.safetensors",
                "model": "mlperf_resnet8",
                "data": "own_code:hundred",
            },
            "are for 10 classes, and hundred has 100",
        ),
        (
            {
                "weights": "mine.safetensors",
                "model": "mlperf_resnet8",
                "data": "own_code:hundred",
            },
            "linear.weight has shape (10, 64), needed (100, 64)",
        ),
        ({"data": "own_code:plain"}, "plain has no classes, so a loss is needed"),
        (
            {
                "data": "own_code:plain",
                "loss": "own_code:squared",
                "quality": "own_code:squared",
            },
            "name a network of your own",
        ),
        (
            {
                "data": "own_code:plain",
                "model": "own_code:network",
                "loss": "own_code:squared",
            },
            "quality = 'top1': plain has no classes; name a measure of your own",
        ),
        (
            {"data": "own_code:grey", "weights": "resnet8_cifar10.safetensors"}
            | {"model": "mlperf_resnet8"},
            "are for images (32, 32, 3), and those of grey are (28, 28, 1)",
        ),
        ({"data": "own_code:nothing"}, "returned a NoneType; it must return a jax"),
        ({"data": "own_code:gone"}, "has no function 'gone'; it has ['Dataset', 'Split'"),
        ({"model": "own_code:nothing"}, "return the pair (apply, params)"),
        (
            {"model": "own_code:fails"},
            "RuntimeError: no luck\ntoday (own_code.py, line 22)",
        ),
        ({"model": "gone_code:network"}, "No module named 'gone_code'"),
        ({"model": "broken_code:network"}, "No module named 'nowhere_at_all'"),
        ({"model": "own_code:network", "weights": "mine"}, "brings its own; leave one out"),
        ({"loss": "squared"}, "loss = 'squared': allowed is module:function"),
        ({"quality": "best"}, "quality = 'best': allowed are top1, cross_entropy and"),
    ],
)
def test_what_is_wrong_is_said(own: Path, values: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        given(start(**values), jax.random.key(0))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("wide", "the network has 7 outputs, and ten has 10 classes"),
        ("pair", "returns a tuple; a run needs one array"),
    ],
)
def test_outputs_that_do_not_fit_are_refused(own: Path, network: str, words: str) -> None:
    found = given(start(model=f"own_code:{network}"), jax.random.key(0))
    assert found.apply is not None
    with pytest.raises(ValueError, match=words):
        traced(found, found.apply, found.params)


@pytest.mark.parametrize("name", bundled("configs"))
def test_bundled_configurations_are_sound(name: str) -> None:
    assert read(find(name)).name == name


@pytest.mark.parametrize("name", bundled("profiles"))
def test_profiles_replace_what_they_hold(name: str) -> None:
    plain = read(find("cifar10_resnet8"))
    found = read(find("cifar10_resnet8"), find(name, "profiles"))
    assert found != plain and found.model_copy(update={"space": plain.space}) == plain
    bits = found.space.activation_bits
    assert (max(bits) <= 8) if name.startswith("integer") else not bits
    assert found.space.blocks == plain.space.blocks  # what it does not hold stays
    with pytest.raises(ValueError, match="profile 'toaster' is no file and no bundled"):
        find("toaster", "profiles")
