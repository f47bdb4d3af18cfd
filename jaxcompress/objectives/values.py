"""Cost: how many values the weights share."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcompress.compress import code
from jaxcompress.network import Network
from jaxcompress.objectives.objective import Cost
from jaxcompress.space import Plan


@dataclass(frozen=True, eq=False)
class Values(Cost):
    """How many values the codebooks of a plan hold that some weight has.

    The second objective of Khosrowshahli et al. 2025 (arXiv 2501.03095), who have one
    codebook for the network; of codebooks of layers the values of all are counted.

    Attributes:
        params: whose values are shared; the network's own if None.

    Raises:
        ValueError: the plan has no codebook.
    """

    params: Any = None
    name = "values"
    unit = "values"

    def __call__(self, network: Network, plan: Plan) -> Float[Array, ""]:
        coded = code(network, plan, self.params).values()
        used = [each.used for each in coded if each.used is not None]
        if not used:
            raise ValueError("Values: the plan has no codebook; add genes.Codebook()")
        if plan.codebook_scope == "network":
            used = used[:1]
        return jnp.stack(used).sum().astype(jnp.float32)
