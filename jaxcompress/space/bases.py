"""Low rank: the bases in which a network's weights are cut, each computed once.

A weight is projected on the leading directions of a fixed basis: for two factors W V V^T,
the truncated singular value decomposition; for a convolution's window Tucker-2, W times
A A^T in the inputs and B B^T in the outputs (De Lathauwer et al. 2000, the truncated
higher-order SVD; Kim et al. 2016). The basis is that of the network's own parameters and
stays when other parameters are compressed, so that all of it is linear in the weight.
"""

from dataclasses import dataclass
from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcompress.network import Layer, Matrix, Network, Tucker
from jaxcompress.network.factored import EXACT, Factors, multiplied


@dataclass(frozen=True, eq=False)
class Basis:
    """The directions in which one layer's weight is cut, the strongest first.

    Attributes:
        layer: whose weight it is.
        outputs: float32 [output channels (all axes of outputs), rank].
        inputs: float32 [input channels, rank] for Tucker-2; None for two factors.
    """

    layer: Layer
    outputs: np.ndarray
    inputs: np.ndarray | None = None

    @property
    def full(self) -> tuple[int, ...]:
        """The ranks at which nothing is lost."""
        ranks = () if self.inputs is None else (self.inputs.shape[1],)
        return (*ranks, self.outputs.shape[1])

    @property
    def form(self) -> type[Factors]:
        """What its factors are."""
        return Matrix if self.inputs is None else Tucker

    def factors(self, weight: Float[Array, "..."]) -> Factors:
        """Returns a weight in this basis, at full rank."""
        layer, right = self.layer, jnp.asarray(self.outputs)
        if self.inputs is None:
            shape = [layer.shape[d] for d in layer.out_axes]
            right = right.reshape(*shape, -1)
            along = tuple(range(len(shape)))
            left = jnp.tensordot(weight, right, (layer.out_axes, along), precision=EXACT)
            return Matrix(left, jnp.moveaxis(right, -1, 0))
        (into,), (out,) = layer.in_axes, layer.out_axes
        left = jnp.asarray(self.inputs)
        core = jnp.moveaxis(
            jnp.tensordot(weight, left, ((into,), (0,)), precision=EXACT), -1, into
        )
        core = jnp.moveaxis(
            jnp.tensordot(core, right, ((out,), (0,)), precision=EXACT), -1, out
        )
        return Tucker(left, core, right.T)

    def weight(self, factors: Factors) -> Float[Array, "..."]:
        """Returns the weight that factors stand for."""
        return multiplied(factors, self.layer.in_axes, self.layer.out_axes)


@lru_cache(maxsize=8)
def bases(network: Network) -> dict[str, Basis]:
    """Returns by parameter path the basis of every weight that can be factorised.

    Those are the float32 weights of dense layers and ungrouped convolutions that are
    multiplied as they are and only once (`Layer.plain`).
    """
    leaves = network.leaves()
    found = {}
    for layer in network.layers:
        weight = np.asarray(leaves[layer.weight])
        if _fits(layer) and weight.dtype == np.float32 and np.isfinite(weight).all():
            found[layer.weight] = _basis(layer, weight.astype(np.float64))
    return found


def _fits(layer: Layer) -> bool:
    if not layer.plain or not layer.in_axes or not layer.out_axes:
        return False
    channels = layer.in_axes + layer.out_axes
    if layer.kind == "convolution":
        return len(channels) == 2
    rest = [n for d, n in enumerate(layer.shape) if d not in channels]
    return layer.kind == "dense" and all(n == 1 for n in rest)


def _basis(layer: Layer, weight: np.ndarray) -> Basis:
    if not layer.kernel_axes:
        return Basis(layer, _directions(weight, layer.out_axes))
    inputs = _directions(weight, layer.in_axes)
    return Basis(layer, _directions(weight, layer.out_axes), inputs)


def _directions(weight: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Returns the left singular vectors of a tensor unfolded along axes."""
    rows = int(np.prod([weight.shape[d] for d in axes]))
    unfolded = np.moveaxis(weight, axes, range(len(axes))).reshape(rows, -1)
    u, _, _ = np.linalg.svd(unfolded, full_matrices=False)
    return u.astype(np.float32)
