"""Cost: bit operations."""

from dataclasses import dataclass

from jaxtyping import Array, Float

from jaxcompress.compress import FLOAT_BITS, other_macs, total, work
from jaxcompress.network import Network
from jaxcompress.objectives.objective import Cost
from jaxcompress.space import Plan


@dataclass(frozen=True)
class Bops(Cost):
    """Bit operations of one example: each MAC times the bits of both its operands.

    What has no bits of its own counts with 32: layers that the plan does not name, the
    values of a codebook, and products of activations. Zeros are multiplied like others.

    Source: M. van Baalen et al., "Bayesian Bits: Unifying Quantization and Pruning",
    NeurIPS 2020.
    """

    name = "bops"
    unit = "bit operations"

    def __call__(self, network: Network, plan: Plan) -> Float[Array, ""]:
        layers = total(
            work(network, plan),
            lambda layer: layer.macs * layer.weight_bits * layer.activation_bits,
        )
        return layers + other_macs(network, plan) * FLOAT_BITS**2
