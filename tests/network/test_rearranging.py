"""Stacks, tiles and scatters: exact, and nothing frozen that need not be."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network.exact import close, random_plan

import jaxcompress as jc

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(3, 4)), jnp.float32)


def drawn(*shape: int) -> jax.Array:
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


P = {"a": drawn(4, 5), "b": drawn(4, 5), "c": drawn(5, 3), "wide": drawn(10, 3)}


def stacked_paths(p: Any, x: Any) -> Any:
    """Two widths that are stacked have to agree."""
    both = jnp.stack([jnp.tanh(x @ p["a"]), jnp.sin(x @ p["b"])], axis=1)
    return both.sum(1) @ p["c"]


def stacked_then_flat(p: Any, x: Any) -> Any:
    """Interleaved: each channel owns two neighbouring rows of the next layer."""
    both = jnp.stack([jnp.tanh(x @ p["a"]), jnp.sin(x @ p["b"])], axis=2)
    return both.reshape(x.shape[0], -1) @ p["wide"]


def unstacked(p: Any, x: Any) -> Any:
    """Query and key of one weight: the same channels of both go."""
    both = (x @ jnp.concatenate([p["a"], p["b"]], 1)).reshape(x.shape[0], 2, 5)
    query, key = jnp.unstack(both, axis=1)
    return (jnp.tanh(query) * key) @ p["c"]


def tiled_channels(p: Any, x: Any) -> Any:
    """Twice the same channels: each owns two rows of the next layer."""
    return jnp.tile(jnp.tanh(x @ p["a"]), (1, 2)) @ p["wide"]


def tiled_one(p: Any, x: Any) -> Any:
    """A single value on every channel."""
    h = jnp.tanh(x @ p["a"])
    return (h * jnp.tile(x[:, :1], (1, 5))) @ p["c"]


def scattered_position(p: Any, x: Any) -> Any:
    """Written along positions: channels pass."""
    h = jnp.tanh(x[:, :, None] * p["c"][:3, 0])  # [batch, 4 positions, 3]
    h = h.at[:, 1].set(0.5).at[:, 2:].add(h[:, :2])
    return h.sum(1) @ p["c"][:3]


def scattered_channels(p: Any, x: Any) -> Any:
    h = jnp.tanh(x @ p["a"])
    return h.at[:, 1].set(0.0) @ p["c"]


def scattered_parameter(p: Any, x: Any) -> Any:
    """A row of a weight is overwritten by computed values of all channels."""
    a = p["a"].at[0].set(p["b"][1])
    return jnp.tanh(x @ a) @ p["c"]


def single_channel(p: Any, x: Any) -> Any:
    """One channel gates the others: it stays, and they go."""
    h = jnp.tanh(x @ p["a"])
    return (h * h[:, 2:3] + h[:, 4, None]) @ p["c"]


@pytest.mark.parametrize(
    ("apply", "prunable"),
    [
        (stacked_paths, 5),
        (stacked_then_flat, 5),
        (unstacked, 5),
        (tiled_channels, 5),
        (tiled_one, 5),
        (scattered_position, 3 + 2),  # and two rows of c that nobody reads
        (scattered_channels, 0),
        (scattered_parameter, 5 + 3),  # and the rows of b that nobody reads
        (single_channel, 5 - 2),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_exact(apply: Callable[[Any, Any], Any], prunable: int) -> None:
    network = jc.trace(apply, P, X)
    assert sum(g.size for g in network.prunable) == prunable, str(network)
    assert network.batch_reason is None
    close(network.interpret(P, X[:2]), apply(P, X[:2]))
    for seed in range(2):
        plan = random_plan(network, seed, fewest=seed == 0)
        small = jc.compact(network, plan)
        close(jc.forward(network, plan, X), jax.jit(small.apply)(small.params, X))


def test_a_scattered_axis_says_so() -> None:
    network = jc.trace(scattered_channels, P, X)
    assert "a scatter indexes this axis" in {group.reason for group in network.frozen}
