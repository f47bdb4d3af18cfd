"""Cost: multiply-accumulates."""

from dataclasses import dataclass

from jaxtyping import Array, Float

from jaxcompress.compress import other_macs, total, work
from jaxcompress.network import Network
from jaxcompress.objectives.objective import Cost
from jaxcompress.space import Plan


@dataclass(frozen=True)
class Macs(Cost):
    """Multiply-accumulates of all convolutions and dots, for one example.

    A convolution counts every output position times the whole kernel, padding included.
    """

    name = "macs"
    unit = "MACs"

    def __call__(self, network: Network, plan: Plan) -> Float[Array, ""]:
        layers = total(work(network, plan), lambda layer: layer.macs)
        return layers + other_macs(network, plan)
