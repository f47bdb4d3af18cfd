"""Adam: the networks of the examples must be trained before they are compressed."""

from collections.abc import Callable
from typing import Any

import jax
import optax
from jax import lax


def descend(
    loss: Callable[[Any, Any, Any], Any],
    params: Any,
    x: Any,
    y: Any,
    steps: int,
    batch: int,
) -> Any:
    """Returns params after some steps on random batches of x [N, ...] and y [N, ...]."""
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-2, steps))

    def step(state: Any, key: Any) -> tuple[Any, None]:
        params, moments = state
        rows = jax.random.randint(key, (batch,), 0, len(x))
        gradients = jax.grad(loss)(params, x[rows], y[rows])
        updates, moments = optimizer.update(gradients, moments, params)
        return (optax.apply_updates(params, updates), moments), None

    @jax.jit
    def run(params: Any) -> Any:
        keys = jax.random.split(jax.random.key(0), steps)
        return lax.scan(step, (params, optimizer.init(params)), keys)[0][0]

    return run(params)
