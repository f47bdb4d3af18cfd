"""What a serialised JAX function may hold; looked at before JAX reads it.

`jax.export` trusts what it reads: a few bytes can stand for a tree of 2^60 leaves, for a
polynomial of a million terms, or for a callback. The envelope of a network's function is
simple, so anything else is refused. (The StableHLO inside is read by XLA when the
function is first called.) Slots are those of JAX's flatbuffers schema, which only grows.
"""

import re
import struct
from typing import Any

from flatbuffers import number_types
from flatbuffers.table import Table

_DEEPEST = 64  # of a tree
_LONGEST = 200  # characters of a name
_MOST_SYMBOLIC, _LONGEST_SYMBOLIC = 1 << 10, 64  # dimensions that are no numbers
_DIMENSION = re.compile(r"[A-Za-z0-9_ ()*+,-]*(\^[2-4])?")

_IN_TREE, _OUT_TREE, _IN_SHAPES, _OUT_SHAPES, _SHAPES = 8, 12, 10, 14, 42
_NAME, _PLATFORMS, _VJP = 6, 22, 38
_EMPTY = (24, 26, 28, 44, 46)  # effects, disabled checks, meshes, shardings
_ZEROS = (52, 54)  # places of the shardings of inputs and outputs: none has any


def check_exported(data: bytes) -> None:
    """Checks the envelope of a serialised function.

    Raises:
        ValueError: it holds what no network's function needs, or is damaged.
    """
    try:
        _Check(data).run()
    except (struct.error, IndexError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"the function is damaged: {error}") from error


class _Check:
    def __init__(self, data: bytes) -> None:
        start = number_types.UOffsetTFlags
        root = Table(data, 0)
        self._root = Table(data, root.Get(start, 0))
        self._left = len(data) // 4  # fields: each takes 4 bytes, unless it is there twice
        self._symbolic = _MOST_SYMBOLIC

    def run(self) -> None:
        root = self._root
        self._text(root, _NAME)
        for slot in (_IN_TREE, _OUT_TREE):
            self._tree(self._child(root, slot), _DEEPEST)
        for slot in (_IN_SHAPES, _OUT_SHAPES, _SHAPES):
            for shape in self._children(root, slot):
                self._shape(shape)
        for _ in self._texts(root, _PLATFORMS):
            pass
        if root.Offset(_VJP) or any(self._length(root, slot) for slot in _EMPTY):
            raise ValueError("the function has effects, shardings or derivatives")
        for slot in _ZEROS:
            places = self._length(root, slot)
            self._spend(places)
            first = root.Vector(root.Offset(slot)) if places else 0
            flags = number_types.Uint32Flags
            if not places or any(root.Get(flags, first + 4 * i) for i in range(places)):
                raise ValueError("the function has shardings")

    def _tree(self, tree: Table, deepest: int) -> None:
        if not deepest:
            raise ValueError("the function has a tree that is too deep")
        for _ in self._texts(tree, 8):
            pass
        if tree.Offset(10):
            raise ValueError("the function has a tree with nodes of an own kind")
        for child in self._children(tree, 6):
            self._tree(child, deepest - 1)

    def _shape(self, shape: Table) -> None:
        for dimension in self._texts(shape, 6):
            if dimension.isdecimal() and len(dimension) < 11:
                continue
            self._symbolic -= 1
            fits = len(dimension) <= _LONGEST_SYMBOLIC and self._symbolic >= 0
            if not fits or not _DIMENSION.fullmatch(dimension):
                raise ValueError(f"the function has a dimension {dimension!r}")

    def _spend(self, fields: int) -> None:
        self._left -= fields
        if self._left < 0:
            raise ValueError("the function has too many inputs, outputs or dimensions")

    def _length(self, table: Table, slot: int) -> int:
        offset = table.Offset(slot)
        return table.VectorLen(offset) if offset else 0

    def _places(self, table: Table, slot: int) -> list[int]:
        count = self._length(table, slot)
        self._spend(count + 1)
        first = table.Vector(table.Offset(slot)) if count else 0
        return [first + 4 * i for i in range(count)]

    def _children(self, table: Table, slot: int) -> list[Table]:
        places = self._places(table, slot)
        return [Table(table.Bytes, table.Indirect(place)) for place in places]

    def _child(self, table: Table, slot: int) -> Table:
        offset = table.Offset(slot)
        if not offset:
            raise ValueError("the function is damaged: a tree is missing")
        return Table(table.Bytes, table.Indirect(table.Pos + offset))

    def _texts(self, table: Table, slot: int) -> list[str]:
        return [self._read(table, place) for place in self._places(table, slot)]

    def _text(self, table: Table, slot: int) -> None:
        offset = table.Offset(slot)
        if offset:
            self._read(table, table.Pos + offset)

    def _read(self, table: Table, place: int) -> str:
        start: Any = table.Indirect(place)
        length = table.Get(number_types.UOffsetTFlags, start)
        if length > _LONGEST:
            raise ValueError(f"the function has a name of {length} characters")
        return table.String(place).decode()
