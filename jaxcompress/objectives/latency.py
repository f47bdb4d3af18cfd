"""Cost: latency, looked up in a table that was measured on a device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcompress.compress import Numbers, Work, total, work
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

    def __post_init__(self) -> None:
        if "layers" not in self.table:
            raise ValueError(
                f"Latency: the table has {list(self.table)}, but no 'layers'; give one "
                "from measure_latency(network)"
            )

    def __call__(self, network: Network, plan: Plan) -> Float[Array, ""]:
        works = work(network, plan)
        known = self.table["layers"]
        missing = [name for each in works for name in each.layers if name not in known]
        if missing:
            raise ValueError(
                f"Latency: the table has no layer {missing[0]!r}, it has {list(known)}; "
                "measure this network with measure_latency(network)"
            )
        return total(works, lambda each: _looked_up([known[n] for n in each.layers], each))


def _looked_up(tables: Sequence[Mapping[str, Any]], layers: Work) -> Numbers:
    rows = _weights(layers.inputs, _padded(tables, "inputs"))
    columns = _weights(layers.outputs, _padded(tables, "outputs"))
    times = (rows[:, :, None] * _padded(tables, "ms") * columns[:, None, :]).sum((1, 2))
    return layers.repeats * times


def _padded(
    tables: Sequence[Mapping[str, Any]], key: str
) -> Float[np.ndarray, "layers ..."]:
    """Returns one entry of several tables; the last number of each is repeated."""
    arrays = [np.asarray(table[key], np.float32) for table in tables]
    shape = np.max([array.shape for array in arrays], axis=0)
    return np.stack(
        [np.pad(a, [(0, n) for n in shape - np.asarray(a.shape)], "edge") for a in arrays]
    )


def _weights(counts: Numbers, grids: Float[np.ndarray, "layers n"]) -> Array:
    """Returns how much each point of a grid counts in an interpolation, [layers, n]."""
    units = np.eye(grids.shape[1], dtype=np.float32)
    over_points = jax.vmap(jnp.interp, (None, None, 0))
    return jax.vmap(over_points, (0, 0, None))(counts, grids, units)
