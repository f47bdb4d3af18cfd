"""What plans cost, without running them."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxcompress.evolution import compiled
from jaxcompress.network import Network
from jaxcompress.objectives import Constraint, Cost, Quality
from jaxcompress.space import Space

AT_ONCE = 8  # plans that are counted side by side; bounds the memory
CALL = 32  # plans of a call; one program counts any number

Counted = tuple[Float[Array, "n m"], Float[Array, " n"]]


def counting(
    network: Network,
    space: Space,
    objectives: Sequence[Cost | Quality],
    constraints: Sequence[Constraint],
) -> Callable[[Int[Array, "n genes"]], Counted]:
    """Returns a compiled function that counts what genotypes cost.

    Returns:
        int32 [n, D] -> objectives float32 [n, M], NaN where they are qualities, and
        violation float32 [n] of the bounds on costs.
    """
    bounds = [c for c in constraints if isinstance(c.objective, Cost)]

    def one(genotype: Int[Array, " genes"]) -> Any:
        plan = space.decode(genotype)
        values = [o(network, plan) if isinstance(o, Cost) else jnp.nan for o in objectives]
        violation = jnp.zeros((), jnp.float32)
        for bound in bounds:
            violation += jnp.maximum(bound.violation(network, plan), 0.0)
        return jnp.stack([jnp.asarray(v, jnp.float32) for v in values]), violation

    return compiled(lambda rows: jax.lax.map(one, rows, batch_size=AT_ONCE))
