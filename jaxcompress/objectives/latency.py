"""Cost: latency, looked up in a table that was measured on a device."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcompress.compress import Number, Work, total, work
from jaxcompress.network import Network
from jaxcompress.objectives.objective import Cost
from jaxcompress.space import Plan


@dataclass(frozen=True, eq=False)
class Latency(Cost):
    """Time of all layers for one batch, ms, each looked up by its channels.

    Between the measured numbers of channels it is interpolated, bilinearly; below the
    least it is that of the least. Layers are measured alone, so what lies between them
    (normalisation, activation functions, sums) is not in it, nor what a compiler makes of
    neighbours: it tells plans apart, and is no forecast of the time of a network.

    Attributes:
        table: from `measure_latency`, or the same read from JSON.

    Example:
        >>> table = {"batch_size": 1, "device": "cpu", "layers": {}}
        >>> Latency(table).unit
        'ms'
    """

    table: Mapping[str, Any]
    name = "latency"
    unit = "ms"

    def __call__(self, network: Network, plan: Plan) -> Float[Array, ""]:
        layers = self.table["layers"]
        works = work(network, plan)
        missing = [each.layer for each in works if each.layer not in layers]
        if missing:
            raise ValueError(
                f"Latency: the table has no layer {missing[0]!r}, it has {list(layers)}; "
                "measure this network with measure_latency(network)"
            )
        return total(works, lambda each: _looked_up(layers[each.layer], each))


def _looked_up(measured: Mapping[str, Any], layer: Work) -> Number:
    rows = _weights(layer.inputs, measured["inputs"])
    columns = _weights(layer.outputs, measured["outputs"])
    return layer.repeats * (rows @ jnp.asarray(measured["ms"], jnp.float32) @ columns)


def _weights(count: Number, grid: list[float]) -> Float[Array, " n"]:
    """Returns by how much each point of a grid counts in a linear interpolation."""
    points = jnp.asarray(grid, jnp.float32)
    at = jax.vmap(lambda values: jnp.interp(count, points, values))
    return at(jnp.asarray(np.eye(len(grid), dtype=np.float32)))
