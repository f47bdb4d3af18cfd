"""Cost: parameters."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcompress.compress import work
from jaxcompress.network import Network
from jaxcompress.network.blocks import needed_each
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
        paths: list[str] = []
        entries: list[Array | np.ndarray] = []
        for each in work(network, plan):
            # A weight that a second layer uses is there once.
            own = [
                owners.setdefault(path, layer) == layer
                for path, layer in zip(each.paths, each.layers, strict=True)
            ]
            paths += each.paths
            entries.append(jnp.where(np.asarray(own), each.weights, 0.0))
        others = [path for path in network.paths if path not in owners]
        axes = [network.columns(path) for path in others]
        paths += others
        entries.append(network.layout.entries(axes, alive))
        ways = dict(zip(network.paths, network.liveness.leaves, strict=True))
        needed = needed_each([ways[path] for path in paths], alive)
        return jnp.where(needed, jnp.concatenate(entries), 0.0).sum()
