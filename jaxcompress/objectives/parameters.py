"""Cost: parameters."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcompress.compress import counts
from jaxcompress.network import Network
from jaxcompress.objectives.objective import Cost
from jaxcompress.space import Plan


@dataclass(frozen=True)
class Parameters(Cost):
    """Entries of all parameters that are left: weights, biases, normalisation.

    Zeros are entries like others, and so are values that many entries share; of a
    factorised weight those of its factors count.
    """

    name = "parameters"
    unit = "entries"

    def __call__(self, network: Network, plan: Plan) -> Float[Array, ""]:
        found = counts(network, plan)
        return jnp.where(found.stored, found.entries.astype(jnp.float32), 0.0).sum()
