"""Published weights give the published accuracies, and misfits are named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from real import WEIGHTS_DIR, images_for_testing, skip_without_weights
from safetensors.numpy import save_file

from jaxcompress.data import Task
from jaxcompress.models import MLPerfResNet8, abstract as abstract_model, as_function
from jaxcompress.models.published import CIFAR10, PUBLISHED, filled, load


@pytest.mark.parametrize(
    ("name", "correct"),
    [
        ("resnet8_cifar10", 8719),
        ("resnet20_cifar10", 9173),
        pytest.param("resnet56_cifar10", 9339, marks=pytest.mark.slow),
    ],
)
def test_accuracy_on_the_test_images_of_cifar10(name, correct):
    skip_without_weights(name)
    images, labels = images_for_testing("cifar10")
    apply, params = as_function(load(name, WEIGHTS_DIR))
    mean, std = jnp.asarray(PUBLISHED[name].mean), jnp.asarray(PUBLISHED[name].std)
    predict = jax.jit(lambda x: apply(params, (x - mean) / std).argmax(-1))
    batches = np.split(images, 20)
    found = [predict(jnp.asarray(batch, jnp.float32)) for batch in batches]
    assert int((np.concatenate(found) == labels).sum()) == correct


def abstract() -> nnx.Module:
    return nnx.eval_shape(lambda: MLPerfResNet8(Task((32, 32, 3), 10), rngs=nnx.Rngs(0)))


def tensors() -> dict[str, np.ndarray]:
    """Random values under the names and shapes of the published file."""
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (16, 3, 3, 3)}
    shapes |= {"linear.weight": (10, 64), "linear.bias": (10,)}
    widths = {"": 16, "layer1.": 16, "layer2.": 32, "layer3.": 64}
    previous = 16
    for stage, width in widths.items():
        for number in "12" if stage else "1":
            inputs = previous if number == "1" else width
            if stage:
                shapes[f"{stage}conv{number}.weight"] = (width, inputs, 3, 3)
            shapes[f"{stage}conv{number}.bias"] = (width,)
            for leaf in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{stage}bn{number}.{leaf}"] = (width,)
        if width != previous:
            shapes[f"{stage}shortcut.weight"] = (width, previous, 1, 1)
            shapes[f"{stage}shortcut.bias"] = (width,)
        previous = width
    return {k: rng.uniform(0.5, 1.5, s).astype(np.float32) for k, s in shapes.items()}


def test_layouts_are_turned():
    given = tensors()
    _, params = as_function(filled(abstract(), given))
    x = np.random.default_rng(1).normal(size=(5, 64)).astype(np.float32)
    np.testing.assert_allclose(
        x @ params["linear"]["kernel"], x @ given["linear.weight"].T, rtol=1e-5
    )
    kernel, theirs = params["layer2"]["conv1"]["kernel"], given["layer2.conv1.weight"]
    for o, i, h, w in [(0, 0, 0, 0), (31, 15, 2, 1), (7, 9, 1, 2)]:
        assert kernel[h, w, i, o] == theirs[o, i, h, w]
    np.testing.assert_array_equal(params["bn1"]["scale"], given["bn1.weight"])
    np.testing.assert_array_equal(params["bn1"]["var"], given["bn1.running_var"])


def test_every_misfit_is_named_in_one_line():
    given = tensors()
    given["extra.weight"] = given.pop("bn1.bias")
    given["linear.weight"] = given["linear.weight"].T
    with pytest.raises(ValueError, match="do not fit the network") as caught:
        filled(abstract(), given)
    message = str(caught.value)
    assert "missing: bn1.bias" in message
    assert "not of this network: extra.weight" in message
    assert "linear.weight has shape (64, 10), needed (10, 64)" in message
    assert "\n" not in message


def test_counters_of_batches_are_passed_over_and_nan_is_not():
    given = tensors() | {"bn1.num_batches_tracked": np.asarray(7)}
    filled(abstract(), given)
    given["bn1.bias"] = np.full_like(given["bn1.bias"], np.nan)
    with pytest.raises(ValueError, match=r"bn1\.bias holds numbers that are not finite"):
        filled(abstract(), given)


def test_what_pytorch_has_no_name_for_is_refused():
    module = abstract_model("vit_tiny", CIFAR10)
    with pytest.raises(ValueError, match=r"positions.* no name in PyTorch"):
        filled(module, tensors())


def test_files_and_names(tmp_path):
    with pytest.raises(ValueError, match=r"'vgg' is unknown: allowed are \['resnet20"):
        load("vgg", tmp_path)
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        load("resnet8_cifar10", tmp_path)
    (tmp_path / "resnet8_cifar10.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        load("resnet8_cifar10", tmp_path)
    save_file(tensors(), tmp_path / "resnet8_cifar10.safetensors")
    assert isinstance(load("resnet8_cifar10", tmp_path), MLPerfResNet8)
