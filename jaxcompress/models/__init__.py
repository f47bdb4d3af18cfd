"""Flax networks by name, and the pure function that compression takes."""

from collections.abc import Callable
from functools import partial

import jax
from flax import nnx
from jaxtyping import Array, Float, Key, PyTree

from jaxcompress.data import Dataset, Task
from jaxcompress.models.densenet import DenseNet
from jaxcompress.models.digits_cnn import DigitsCNN
from jaxcompress.models.lenet import LeNet5
from jaxcompress.models.mobilenet import MobileNetV1, MobileNetV2
from jaxcompress.models.resnet import MLPerfResNet8, ResNet
from jaxcompress.models.vgg import VGG
from jaxcompress.models.vit import ViT

__all__ = [
    "VGG",
    "DenseNet",
    "DigitsCNN",
    "LeNet5",
    "MLPerfResNet8",
    "MobileNetV1",
    "MobileNetV2",
    "ResNet",
    "ViT",
    "abstract",
    "as_function",
    "create",
]

_MODELS: dict[str, Callable[..., nnx.Module]] = {
    "digits_cnn": DigitsCNN,
    "lenet5": LeNet5,
    **{f"vgg{d}_bn": partial(VGG, depth=d) for d in (16, 19)},
    "mobilenet_v1": MobileNetV1,
    "mobilenet_v2": MobileNetV2,
    "densenet40": DenseNet,
    "vit_tiny": ViT,
    "mlperf_resnet8": MLPerfResNet8,
    **{f"resnet{d}": partial(ResNet, depth=d) for d in (8, 20, 32, 44, 56, 110)},
}


def create(name: str, key: Key[Array, ""] | int, task: Dataset | Task) -> nnx.Module:
    """Makes a network with random weights.

    Args:
        name: "digits_cnn", "lenet5", "vgg16_bn", "vgg19_bn", "mobilenet_v1",
            "mobilenet_v2", "densenet40", "vit_tiny", "mlperf_resnet8", or "resnet" with
            the depth 8, 20, 32, 44, 56 or 110. `jaxcompress.models.published` has trained
            weights.
        key: a typed key or a seed; the same one gives the same weights.
        task: the data set it is for, or only its shapes.

    Returns:
        The Flax NNX module; it maps normalised images float32 [N, H, W, C] to logits
        float32 [N, classes].

    Raises:
        ValueError: if the name is unknown.

    Example:
        >>> module = create("digits_cnn", 0, Task((8, 8, 1), num_classes=10))
    """
    make = _maker(name)
    shapes = task.task if isinstance(task, Dataset) else task
    key = jax.random.key(key) if isinstance(key, int) else key
    # One compilation, and not one for each initialiser.
    return nnx.jit(lambda key: make(shapes, rngs=nnx.Rngs(key)))(key)


def abstract(name: str, task: Task) -> nnx.Module:
    """Returns a network that has shapes and no values, in no time.

    Arguments and errors are those of `create`.
    """
    make = _maker(name)
    return nnx.eval_shape(lambda: make(task, rngs=nnx.Rngs(0)))


def _maker(name: str) -> Callable[..., nnx.Module]:
    if name not in _MODELS:
        raise ValueError(
            f"network {name!r} is unknown: allowed are {sorted(_MODELS)}; for another "
            "one give your own function to jaxcompress.trace, or name it in a "
            "configuration, model: module:function"
        )
    return _MODELS[name]


def as_function(
    module: nnx.Module,
) -> tuple[Callable[[PyTree, Float[Array, "n ..."]], PyTree], PyTree]:
    """Turns a module into the pure inference function that `jaxcompress.trace` takes.

    Batch normalisation uses its running averages and dropout is off, whatever mode
    the module is in; the module itself stays as it is.

    Args:
        module: any Flax NNX module that maps one array to outputs.

    Returns:
        (apply, params): `apply(params, x)` is the module's output for `x`; params is a
        plain nested dict of arrays, running averages included.

    Example:
        >>> apply, params = as_function(create("digits_cnn", 0, Task((8, 8, 1), 10)))
        >>> apply(params, jnp.zeros((2, 8, 8, 1))).shape
        (2, 10)
    """
    inference = nnx.view(
        module,
        use_running_average=True,
        deterministic=True,
        raise_if_not_found=False,
    )
    # A dropout's key is not a weight: it stays out of what is compressed.
    graph, random_state, state = nnx.split(inference, nnx.RngState, ...)

    def apply(params: PyTree, x: Float[Array, "n ..."]) -> PyTree:
        return nnx.merge(graph, random_state, params)(x)

    return apply, nnx.to_pure_dict(state)
