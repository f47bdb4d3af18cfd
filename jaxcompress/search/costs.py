"""What plans cost, without running them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxcompress.objectives import Cost
from jaxcompress.search.evaluator import Evaluator
from jaxcompress.search.racing import Racing

AT_ONCE = 8  # plans that are counted side by side; bounds the memory

Costs = Callable[
    [Int[np.ndarray, "n genes"]],
    tuple[Float[np.ndarray, "n m"], Float[np.ndarray, " n"]],
]


def costs_of(evaluate: Evaluator | Racing, most: int) -> Costs:
    """Returns a function that counts the costs of genotypes, compiled once.

    Args:
        most: genotypes of a call, at most.

    Returns:
        int32 [n, D] -> objectives float32 [n, M], NaN where they are qualities, and
        violation float32 [n] of the bounds on costs.
    """
    network, space = evaluate.network, evaluate.space

    def one(genotype: Int[Array, " genes"]) -> Any:
        plan = space.decode(genotype)
        values = [o(network, plan) if isinstance(o, Cost) else jnp.nan for o in objectives]
        violation = jnp.zeros((), jnp.float32)
        for bound in bounds:
            violation += jnp.maximum(bound.violation(network, plan), 0.0)
        return jnp.stack([jnp.asarray(v, jnp.float32) for v in values]), violation

    objectives = evaluate.objectives
    bounds = [c for c in evaluate.constraints if isinstance(c.objective, Cost)]
    mapped = jax.jit(lambda rows: jax.lax.map(one, rows, batch_size=AT_ONCE))

    def costs(
        rows: Int[np.ndarray, "n genes"],
    ) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, " n"]]:
        filled = np.concatenate([rows, np.repeat(rows[-1:], most - len(rows), 0)])
        values, violation = mapped(filled)
        return np.asarray(values)[: len(rows)], np.asarray(violation)[: len(rows)]

    return costs
