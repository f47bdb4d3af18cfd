"""Channel nodes: which (parameter, axis, index) entries can only be removed together.

Every index of every axis of a parameter is a node, and so is every index of the axes
that a function makes on its own (a broadcast, a padding). `unite` says that two nodes
live and die together, `freeze` that a node can never be removed, and why.
"""

import numpy as np

Ids = np.ndarray  # int64 node ids of any shape


class Nodes:
    """Union-find over nodes, vectorised, with the reason for every frozen class.

    Attributes:
        joints: node tensors that span several axes of one array; what survives of them
            must stay rectangular (see `axes.settle`). Each is stored with one tensor
            axis for each array axis.
    """

    def __init__(self) -> None:
        self._parent = np.zeros(1024, np.int64)
        self._reason = np.zeros(1024, np.int32)  # 0: free, else 1 + index in _reasons
        self._batch = np.zeros(1024, bool)
        self._reasons: list[str] = []
        self._count = 0
        self.joints: list[Ids] = []

    def new(self, count: int, reason: str | None = None, batch: bool = False) -> Ids:
        """Returns `count` fresh node ids, frozen where a reason is given."""
        while self._count + count > len(self._parent):
            pad = len(self._parent)
            self._parent = np.concatenate([self._parent, np.zeros(pad, np.int64)])
            self._reason = np.concatenate([self._reason, np.zeros(pad, np.int32)])
            self._batch = np.concatenate([self._batch, np.zeros(pad, bool)])
        ids = np.arange(self._count, self._count + count)
        self._count += count
        self._parent[ids] = ids
        self._reason[ids] = self._code(reason) if reason else 0
        self._batch[ids] = batch
        return ids

    def find(self, ids: Ids) -> Ids:
        """Returns the representative of each node's class, in the shape of `ids`."""
        roots = self._parent[ids]
        while True:
            above = self._parent[roots]
            if (above == roots).all():
                break
            roots = above
        self._parent[ids] = roots
        return roots

    def unite(self, a: Ids, b: Ids) -> None:
        """Makes `a[i]` and `b[i]` one class, for every i (shapes broadcast)."""
        if a is b:
            return
        a, b = (x.ravel() for x in np.broadcast_arrays(a, b))
        old = self.find(np.concatenate([a, b]))
        left, right = old[: a.size], old[a.size :]
        while (apart := left != right).any():
            left, right = left[apart], right[apart]
            self._parent[np.maximum(left, right)] = np.minimum(left, right)
            left, right = self.find(left), self.find(right)
        roots = self.find(old)
        np.maximum.at(self._reason, roots, self._reason[old])
        np.logical_or.at(self._batch, roots, self._batch[old])

    def freeze(self, ids: Ids, reason: str) -> None:
        """Marks the classes of `ids` as never removable; the first reason stays."""
        roots = self.find(ids.ravel())
        free = roots[self._reason[roots] == 0]
        if free.size:
            self._reason[free] = self._code(reason)

    def frozen(self, ids: Ids) -> np.ndarray:
        """Returns bool, in the shape of `ids`: can this node never be removed?"""
        return self._reason[self.find(ids)] > 0

    def batch(self, ids: Ids) -> np.ndarray:
        """Returns bool, in the shape of `ids`: is this an index of the batch axis?"""
        return self._batch[self.find(ids)]

    def reason(self, node: int) -> str | None:
        """Returns why the node is frozen, or None."""
        code = int(self._reason[self.find(np.asarray([node]))[0]])
        return self._reasons[code - 1] if code else None

    def find_one(self, node: int) -> int:
        """Returns the representative of one node's class."""
        return int(self.find(np.asarray([node]))[0])

    def frozen_batch(self) -> str | None:
        """Returns why an index of the batch axis was frozen, or None."""
        ids = np.arange(self._count)
        ids = ids[self._batch[ids] & (self._reason[ids] > 0)]
        return self.reason(int(ids[0])) if ids.size else None

    @property
    def count(self) -> int:
        """How many nodes there are."""
        return self._count

    def labels(self, ids: Ids) -> np.ndarray:
        """Returns class labels in the shape of `ids`; all frozen nodes share -1.

        Two nodes with equal labels survive or vanish together under every plan.
        """
        roots = self.find(ids)
        return np.where(self._reason[roots] > 0, -1, roots)

    def _code(self, reason: str) -> int:
        if reason not in self._reasons:
            self._reasons.append(reason)
        return self._reasons.index(reason) + 1
