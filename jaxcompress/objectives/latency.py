"""Cost: latency, looked up in a table that was measured on a device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcompress.compress import stacked, work
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
        tables = [layers[each.layer] for each in works]
        rows = _weights(stacked(works, "inputs"), _padded(tables, "inputs"))
        columns = _weights(stacked(works, "outputs"), _padded(tables, "outputs"))
        times = jnp.einsum("li,lio,lo->l", rows, _padded(tables, "ms"), columns)
        runs = stacked(works, "runs")
        return jnp.where(runs, stacked(works, "repeats") * times, 0.0).sum()


def _padded(tables: Sequence[Mapping[str, Any]], key: str) -> Float[np.ndarray, "l ..."]:
    """Returns one entry of all layers' tables; the last number of each is repeated."""
    arrays = [np.asarray(table[key], np.float32) for table in tables]
    shape = np.max([array.shape for array in arrays], axis=0)
    return np.stack(
        [
            np.pad(a, [(0, n - m) for n, m in zip(shape, a.shape, strict=True)], "edge")
            for a in arrays
        ]
    )


def _weights(
    counts: Float[Array | np.ndarray, " l"], grids: Float[np.ndarray, "l n"]
) -> Float[Array, "l n"]:
    """Returns how much each point of a layer's grid counts in a linear interpolation."""
    units = jnp.asarray(np.eye(grids.shape[1], dtype=np.float32))
    over_points = jax.vmap(jnp.interp, (None, None, 0))
    return jax.vmap(over_points, (0, 0, None))(counts, grids, units)
