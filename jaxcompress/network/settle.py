"""After the walk: joints made rectangular, and what decides which indices survive."""

import numpy as np

from jaxcompress.network.axes import Axes, at_zero, spread
from jaxcompress.network.nodes import Ids, Nodes


def settle(nodes: Nodes) -> None:
    """Unites what is needed for every joint to stay rectangular under every plan.

    A tensor of nodes over several axes of one array can only be narrowed if its classes
    depend on one axis alone. Where the network left more freedom than that, the axis
    that keeps most classes apart is chosen.
    """
    for tensor in nodes.joints:
        labels = nodes.labels(tensor)
        lines = [
            np.moveaxis(labels, d, 0).reshape(n, -1) for d, n in enumerate(tensor.shape)
        ]
        if any((line == line[:, :1]).all() for line in lines):
            continue
        best = max(range(tensor.ndim), key=lambda d: _classes_if_united(lines[d]))
        rows = np.moveaxis(tensor, best, 0).reshape(tensor.shape[best], -1)
        nodes.unite(rows, rows[:, :1])


def _classes_if_united(rows: np.ndarray) -> int:
    """Returns how many removable classes remain if each row became one class."""
    merge = Nodes()
    values, inverse = np.unique(rows, return_inverse=True)
    ids = merge.new(len(values))[inverse].reshape(rows.shape)
    if values[0] == -1:
        merge.freeze(ids[rows == -1], "frozen")
    merge.unite(ids, ids[:, :1])
    labels = merge.labels(ids)
    return len(np.unique(labels[labels >= 0]))


def survivors(nodes: Nodes, axes: Axes, dim: int) -> list[Ids]:
    """Returns what decides which indices of axis `dim` survive (after `settle`).

    Returns:
        Node arrays of the axis' length; an index survives iff its nodes in all of them
        do. Frozen nodes are among them.
    """
    legs = axes.legs_of([dim])
    sizes = list(axes.legs[dim])
    columns = []
    for factor in axes.factors_of([dim]):
        inside = tuple(i for i, leg in enumerate(factor.legs) if leg in legs)
        outside = tuple(i for i in range(len(factor.legs)) if i not in inside)
        tensor = factor.nodes
        if not tensor.size:
            continue  # an empty array
        if outside:
            first = at_zero(tensor, outside)
            labels = nodes.labels(tensor)
            if not (labels == nodes.labels(np.expand_dims(first, outside))).all():
                continue  # classes depend on another axis: this one stays whole
            tensor = first
        order = [factor.legs[i] for i in inside]
        line = spread(tensor, order, legs)
        columns.append(np.broadcast_to(line, sizes).ravel())
    return columns
