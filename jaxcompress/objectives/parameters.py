"""Cost: parameters."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcompress.compress import work
from jaxcompress.network import Network
from jaxcompress.objectives.objective import Cost
from jaxcompress.space import Plan


@dataclass(frozen=True)
class Parameters(Cost):
    """Entries of all parameters that are left: weights, biases, normalisation.

    Zeros are entries like others, and so are values that many entries share.
    """

    name = "parameters"
    unit = "entries"

    def __call__(self, network: Network, plan: Plan) -> Float[Array, ""]:
        alive = network.alive(plan.channels, plan.blocks)
        owners: dict[str, str] = {}
        weights: dict[str, float | Float[Array, ""]] = {}
        for layer in work(network, plan):
            # A weight that a second layer uses is there once.
            if owners.setdefault(layer.weight, layer.layer) == layer.layer:
                weights[layer.weight] = weights.get(layer.weight, 0.0) + layer.weights
        total = jnp.zeros((), jnp.float32)
        for path in network.paths:
            entries = weights.get(path)
            if entries is None:
                entries = 1.0
                for column in network.columns(path):
                    entries = entries * network.layout.length(column, alive)
            total = total + jnp.where(network.needs(path, alive), entries, 0.0)
        return total
