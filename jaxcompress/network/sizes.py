"""How large every axis is once a plan has removed channels, for any batch size."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcompress.annotations import Array, Bool, Float, Int, Shaped
from jaxcompress.network.axes import Axes
from jaxcompress.network.nodes import Nodes
from jaxcompress.network.settle import survivors

ALWAYS = -1  # the unit of a node that no plan can remove


@dataclass(frozen=True, eq=False)
class Column:
    """What decides which indices of one axis survive.

    Attributes:
        size: the axis' length as traced.
        batch: the traced batch size if the batch axis is part of this axis, else 1.
        units: int arrays [size]; an index survives iff all its units do (`ALWAYS`: it
            does in any case). Empty if no plan touches the axis.
        first: bool [size], the indices of the first example; None if batch is 1.
    """

    size: int
    batch: int
    units: tuple[np.ndarray, ...]
    first: np.ndarray | None = None

    def one_example(self) -> "Column":
        """Returns the column of one example, where the batch is part of the axis."""
        if self.batch == 1:
            return self
        units = tuple(line[self.first] for line in self.units)
        return Column(self.size // self.batch, 1, units)


@dataclass(frozen=True, eq=False)
class Layout:
    """Axes of nodes translated into axes of removable units.

    Attributes:
        nodes: the settled nodes.
        units: for every node class its unit, or `ALWAYS`; int [number of nodes].
        count: how many units there are.
    """

    nodes: Nodes
    units: np.ndarray
    count: int
    _cache: dict[Any, Column] = field(default_factory=dict)

    def column(self, axes: Axes, dim: int) -> Column:
        """Returns what decides about axis `dim`; like axes have the same object."""
        key = (axes, dim)
        if key not in self._cache:
            column = self._column(axes, dim)
            lines = (*column.units, *(() if column.first is None else (column.first,)))
            content = (column.size, column.batch, *(line.tobytes() for line in lines))
            self._cache[key] = self._cache.setdefault(content, column)
        return self._cache[key]

    def _column(self, axes: Axes, dim: int) -> Column:
        batch, units, first = 1, [], None
        for ids in survivors(self.nodes, axes, dim):
            if not ids.size:  # an empty slice has neither channels nor examples
                continue
            if self.nodes.batch(ids).all():
                roots = self.nodes.find(ids)
                batch, first = len(np.unique(roots)), roots == roots[0]
                continue
            column = self.units[self.nodes.find(ids)]
            if (column != ALWAYS).any():
                units.append(column)
        return Column(axes.shape[dim], batch, tuple(units), first)

    def mask(self, column: Column, alive: Bool[Array, " units"]) -> Bool[Array, " n"]:
        """Returns which indices of an axis survive (traceable)."""
        known = jnp.concatenate([alive, jnp.ones(1, bool)])  # index -1: always
        mask = jnp.ones(column.size, bool)
        for units in column.units:
            mask = mask & known[units]
        return mask

    def entries(
        self, arrays: Sequence[Sequence[Column]], alive: Bool[Array, " units"]
    ) -> Float[Array, " arrays"]:
        """Returns how many entries of each array survive, in one example (traceable).

        All are counted at once: one by one, a deep network would take long to compile.

        Args:
            arrays: the axes of each, in any number.
        """
        columns = list(dict.fromkeys(column for axes in arrays for column in axes))
        places = {column: place for place, column in enumerate(columns)}
        lengths = self.lengths([column.one_example() for column in columns], alive)
        rows = [[places[column] for column in axes] for axes in arrays]
        return products(lengths.astype(jnp.float32), rows)

    def lengths(
        self, columns: Sequence[Column], alive: Bool[Array, " units"]
    ) -> Int[Array, " columns"]:
        """Returns how many indices of each axis survive, int32 (traceable)."""
        times = np.zeros((len(columns), self.count + 1), np.int32)
        several = {}
        for place, column in enumerate(columns):
            if len(column.units) > 1:
                several[place] = self.mask(column, alive).sum(dtype=jnp.int32)
            else:
                units = column.units[0] if column.units else np.full(column.size, ALWAYS)
                times[place] = np.bincount(units + 1, minlength=self.count + 1)
        lengths = jnp.asarray(times[:, 0])
        if self.count:
            # Units that all axes hold equally often are summed once.
            alike, kind = np.unique(times[:, 1:], axis=1, return_inverse=True)
            sums = jax.ops.segment_sum(alive.astype(jnp.int32), kind, alike.shape[1])
            lengths = lengths + (alike * sums).sum(axis=1, dtype=jnp.int32)
        for place, length in several.items():
            lengths = lengths.at[place].set(length)
        return lengths


def products(
    numbers: Shaped[Array, " n"], rows: Sequence[Sequence[int]]
) -> Shaped[Array, " rows"]:
    """Returns for each row the product of the numbers at its places (traceable)."""
    most = max(map(len, rows), default=0)
    one = len(numbers)
    padded = [[*row, *[one] * (most - len(row))] for row in rows]
    numbers = jnp.append(numbers, jnp.ones(1, numbers.dtype))
    places = np.asarray(padded, int).reshape(len(rows), most)
    return numbers[places].prod(axis=1, dtype=numbers.dtype)


@dataclass(frozen=True)
class Sizes:
    """The sizes of all axes for one choice of surviving units and one batch size.

    Attributes:
        layout: the network's axes.
        alive: bool [units], or None when nothing is removed.
        batch: the batch size of this call, an int or a symbolic dimension.
    """

    layout: Layout
    alive: np.ndarray | None
    batch: Any

    def kept(self, axes: Axes, dim: int) -> np.ndarray | None:
        """Returns the surviving indices of an axis, bool [traced size]; None: all."""
        column = self.layout.column(axes, dim)
        if self.alive is None or not column.units:
            return None
        known = np.append(self.alive, True)
        mask = np.logical_and.reduce([known[units] for units in column.units])
        return None if mask.all() else mask

    def shape(self, axes: Axes) -> tuple[Any, ...]:
        """Returns the shape of an array under these sizes."""
        shape = []
        for dim, size in enumerate(axes.shape):
            kept = self.kept(axes, dim)
            count = size if kept is None else int(kept.sum())
            batch = self.layout.column(axes, dim).batch
            shape.append(count if batch == 1 else count // batch * self.batch)
        return tuple(shape)

    def narrowed(self, value: Shaped[Array, "..."], axes: Axes) -> Shaped[Array, "..."]:
        """Returns an array (a parameter, a constant) without its removed indices."""
        for dim in range(axes.ndim):
            kept = self.kept(axes, dim)
            if kept is not None:
                value = jnp.take(value, np.flatnonzero(kept), axis=dim)
        return value
