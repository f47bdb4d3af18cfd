"""Networks of which only the shapes matter, and costs of them counted in float64."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from network.zoo.base import conv

import jaxcompress as jc


@dataclass(frozen=True)
class Shape:
    """A layer: kernel side (0: dense), channels of a group, groups, output positions."""

    side: int
    inputs: int
    outputs: int
    positions: int
    groups: int = 1


def vgg16() -> jc.Network:
    """The 13 convolutions of VGG-16 on 32x32 images, and one dense layer."""
    widths = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
    channels = [3, *filter(None, widths)]
    shapes = [(3, 3, i, o) for i, o in pairwise(channels)]
    params = {f"c{n:02}": _weight(*shape) for n, shape in enumerate(shapes)}
    params["d"] = _weight(512, 10)

    def apply(p: Any, x: Any) -> Any:
        names = iter(sorted(p))
        for width in widths:
            x = jax.nn.relu(conv(x, p[next(names)])) if width else _halved(x)
        return x.reshape(x.shape[0], -1) @ p["d"]

    return jc.trace(apply, params, jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32))


def lenet5() -> jc.Network:
    """LeCun et al. 1998 on 28x28 images: C5 is a convolution that ends in one position."""
    params = {
        "c1": _weight(5, 5, 1, 6),
        "c3": _weight(5, 5, 6, 16),
        "c5": _weight(5, 5, 16, 120),
        "f6": _weight(120, 84),
        "out": _weight(84, 10),
    }

    def apply(p: Any, x: Any) -> Any:
        x = _halved(jnp.tanh(conv(x, p["c1"])))
        x = _halved(jnp.tanh(_valid(x, p["c3"])))
        x = jnp.tanh(_valid(x, p["c5"]))
        return jnp.tanh(x.reshape(x.shape[0], -1) @ p["f6"]) @ p["out"]

    return jc.trace(apply, params, jax.ShapeDtypeStruct((2, 28, 28, 1), jnp.float32))


def one_memory(layers: Sequence[Shape], dataflow: str, density: float, bits: int) -> float:
    """Energy by the published table, unit 0.01 mJ, a line for each of its entries."""
    energy = 0.0
    for layer in layers:
        area, side = max(layer.side, 1) ** 2, max(layer.side, 1)
        m = area * layer.inputs * layer.outputs * layer.positions
        inputs, outputs = layer.inputs, layer.outputs // layer.groups
        zero = 1.0 - density

        def busy(n: int, zero: float = zero) -> float:
            return 1.0 - zero**n

        reads, weights, writes, again = m, m / layer.positions, m / (area * inputs), 0.0
        f_in, f_out = density, 1.0
        if layer.side and dataflow == "CI:CO":
            reads, weights, writes, again = m / outputs, m, m / inputs, m / inputs
            f_in = busy(outputs) if outputs <= 24 else 1.0
            f_out = busy(inputs) if inputs <= 24 else 1.0
        if layer.side and dataflow == "FX:FY":
            writes = again = m / area
            f_out = busy(area)
        if layer.side and dataflow == "X:FX":
            reads, weights = m / side, m / np.sqrt(layer.positions)
            writes = again = m / side
            f_in = f_out = busy(side)
        energy += 0.102 * m * density * (bits + 1) + 0.728 * weights * (bits + 1) / 16
        energy += 0.728 * reads * f_in + 0.447 * writes * f_out + 0.728 * again * f_out
    return energy / 1e6


def _weight(*shape: int) -> np.ndarray:
    return np.broadcast_to(np.float32(0.5), shape)  # takes no memory


def _halved(x: jax.Array) -> jax.Array:
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))


def _valid(x: jax.Array, w: jax.Array) -> jax.Array:
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=numbers)


def uniform(network: jc.Network, density: float, bits: int) -> jc.Plan:
    paths = dict.fromkeys(layer.weight for layer in network.layers)
    return jc.Plan(
        sparsity={path: jnp.float32(1.0 - density) for path in paths},
        weight_bits={path: jnp.int32(bits) for path in paths},
    )


def costs(network: jc.Network, kinds: Sequence[Any]) -> Callable[[jc.Plan], jax.Array]:
    """All costs of a plan in one compiled program."""
    return jax.jit(lambda plan: jnp.stack([cost(network, plan) for cost in kinds]))
