"""Networks under `lax.scan`."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from network.zoo.base import Case, Rng, case, normal


@case
def gru(rng: Rng) -> Case:
    """The hidden state of a recurrent cell runs through a scan's carry."""
    params = {
        "x": normal(rng, 3, 3 * 5),
        "h": normal(rng, 5, 3 * 5),
        "b": normal(rng, 3 * 5),
        "d": normal(rng, 5, 2),
    }

    def apply(p: Any, x: Any) -> Any:
        def cell(h: Any, xt: Any) -> Any:
            rx, zx, nx = jnp.split(xt @ p["x"] + p["b"], 3, -1)
            rh, zh, nh = jnp.split(h @ p["h"], 3, -1)
            z = jax.nn.sigmoid(zx + zh)
            new = jnp.tanh(nx + jax.nn.sigmoid(rx + rh) * nh)
            return (1 - z) * new + z * h, None

        start = jnp.zeros((x.shape[0], 5))
        h, _ = lax.scan(cell, start, jnp.swapaxes(x, 0, 1))
        return h @ p["d"]

    return apply, params, jnp.ones((2, 4, 3)), 5


@case
def scanned_layers(rng: Rng) -> Case:
    """Parameters of several layers stacked: a channel falls in all of them at once."""
    params = {
        "in": normal(rng, 3, 4),
        "up": normal(rng, 3, 4, 5),
        "down": normal(rng, 3, 5, 4),
        "d": normal(rng, 4, 2),
    }

    def apply(p: Any, x: Any) -> Any:
        def layer(x: Any, p: Any) -> Any:
            return x + jax.nn.relu(x @ p["up"]) @ p["down"], None

        x, _ = lax.scan(layer, x @ p["in"], {"up": p["up"], "down": p["down"]})
        return x @ p["d"]

    return apply, params, jnp.ones((2, 3)), 4 + 5


@case
def lstm(rng: Rng) -> Case:
    """Two states in the carry; the four gates lie side by side in one matrix."""
    params = {
        "x": normal(rng, 3, 4 * 5),
        "h": normal(rng, 5, 4 * 5),
        "b": normal(rng, 4 * 5),
        "d": normal(rng, 5, 2),
    }

    def apply(p: Any, x: Any) -> Any:
        def cell(state: Any, xt: Any) -> Any:
            h, c = state
            i, f, g, o = jnp.split(xt @ p["x"] + h @ p["h"] + p["b"], 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        start = (jnp.zeros((x.shape[0], 5)),) * 2
        _, line = lax.scan(cell, start, jnp.swapaxes(x, 0, 1))
        return line.mean(0) @ p["d"]

    return apply, params, jnp.ones((2, 4, 3)), 5
