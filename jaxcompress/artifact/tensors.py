"""The parameter part of a file: coded symbols, the tables they index, plain values."""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

from jaxcompress import codings
from jaxcompress.artifact.errors import ArtifactError
from jaxcompress.codings.manifest import EXECUTIONS, FORMAT, entry, header_bytes, manifest
from jaxcompress.codings.tensor import Coding, grid_size, values_of

SPARSE = ("csr", "coo")  # codings that store the positions of what is not zero
CODED_BITS = range(1, 17)
# What a reader makes room for. Of a symbol that is alone a coder stores nothing: without
# a bound on how many entries come out of a byte a few bytes could fill any memory.
MOST_TENSORS, MOST_AXES, MOST_SYMBOLS = 1 << 16, 32, 1 << 16
FREE_ENTRIES, ENTRIES_A_BYTE = 1 << 20, 1 << 10


def encode(
    leaves: Mapping[str, np.ndarray],
    coding: Mapping[str, Coding],
    how: str = "range",
    execution: str = EXECUTIONS[0],
) -> tuple[dict[str, Any], bytes]:
    """Returns the manifest and the bytes of all parameters.

    Args:
        leaves: by path, in the order in which the function takes them.
        coding: by path; a parameter that is not named is stored as it is.
        how: out of `codings.CODINGS`; tensors that are smaller in "dense" are in that.
        execution: how the function takes them, out of `EXECUTIONS`.
    """
    if how not in codings.CODINGS:
        raise ValueError(f"coding is {how!r}; allowed: {tuple(codings.CODINGS)}")
    entries, chunks, books = [], [], {}
    for path, leaf in leaves.items():
        if leaf.dtype != np.float32:
            raise ValueError(f"save: parameter {path!r} is {leaf.dtype}; wanted float32")
        code = coding.get(path, Coding(32))
        if code.bits != 32 and code.bits not in CODED_BITS:
            raise ValueError(f"save: {path!r} has {code.bits} bits; allowed: 1..16, 32")
        book = -1
        if code.codebook is not None:
            book = books.setdefault(code.codebook.astype("<f4").tobytes(), len(books))
        name, data, masked = _symbols(leaf, code, how)
        entries.append(entry(path, leaf.shape, code, book, name, masked, len(data)))
        chunks.append(data)
        if code.codes is None:
            kept = leaf[code.nonzero] if masked else leaf
            chunks.append(kept.astype("<f4").tobytes())
        elif code.scale is not None:
            chunks.append(np.asarray(code.scale, "<f4").tobytes())
    header = manifest(entries, [len(book) // 4 for book in books], execution)
    payload = b"".join([*books, *chunks])
    total = sum(leaf.size for leaf in leaves.values())
    if total > _most_entries(payload):
        raise ValueError(
            f"save: {total:,} parameters in {len(payload):,} bytes are more than a reader "
            f"takes, {_most_entries(payload):,}; choose coding 'dense'"
        )
    return header, payload


def _symbols(leaf: np.ndarray, code: Coding, how: str) -> tuple[str, bytes, bool]:
    """Returns the coding that was taken ("" for none), its bytes, if it has a mask."""
    if code.codes is None and (code.nonzero is None or how == "dense"):
        return "", b"", False
    found = []
    for name in dict.fromkeys((how, "dense")):
        symbols, kept = code.symbols(leaf.shape, name in SPARSE)
        data = codings.encode(name, symbols, code.alphabet, kept)
        found.append((name, data, kept is not None))
    return min(found, key=lambda one: len(one[1]))


def parameter_bytes(
    leaves: Mapping[str, np.ndarray], coding: Mapping[str, Coding], how: str = "range"
) -> int:
    """Returns the bytes of the parameter part of a file, before there is one.

    Exact but for a few bytes: the digits in which the container names other lengths.

    Args:
        leaves, coding: from `coded_parameters`; how: see `encode`.
    """
    header, payload = encode(leaves, coding, how)
    return header_bytes(header, len(payload)) + len(payload)


def decode(
    header: Any, payload: bytes | memoryview
) -> Iterator[tuple[str, np.ndarray, Coding]]:
    """Yields each parameter in order and how it is coded, from what `encode` gave.

    Args:
        header: JSON data, which may come from anyone.

    Raises:
        ArtifactError: `encode` never gives this.
    """
    lengths, entries = _checked(header, payload)
    reader = _Reader(payload)
    books = [reader.floats([length]) for length in lengths]
    for path, shape, table, how, masked, length in entries:
        try:
            found = _decoded(reader, shape, table, how, masked, length, books)
        except (ValueError, ArithmeticError) as error:
            raise ArtifactError(f"tensor {path!r}: {error}") from error
        yield path, *found
    reader.finish()


def _decoded(
    reader: "_Reader",
    shape: list[int],
    table: Any,
    how: str,
    masked: int,
    length: int,
    books: list[np.ndarray],
) -> tuple[np.ndarray, Coding]:
    data, total, kept = bytes(reader.take(length)), prod(shape), None
    symbols = np.zeros(0, np.int32)
    if how:
        alphabet = _alphabet(table, books)
        symbols, kept = codings.decode(how, data, alphabet, total, bool(masked))
    if table == 0:
        if kept is None:
            return reader.floats(shape), Coding(32)
        leaf = np.zeros(total, np.float32)
        leaf[kept] = reader.floats([int(kept.sum())])
        return leaf.reshape(shape), Coding(32, nonzero=kept.reshape(shape))
    if len(table) == 1:
        return values_of(symbols, kept, tuple(shape), 0, books[table[0]])
    scale = reader.floats(table[1])
    return values_of(symbols, kept, tuple(shape), table[0], scale)


class _Reader:
    """Takes one field of a payload after the other."""

    def __init__(self, payload: bytes | memoryview) -> None:
        self._payload, self._start = payload, 0

    def take(self, length: int) -> bytes | memoryview:
        if length > len(self._payload) - self._start:
            raise ArtifactError("the file is shorter than its header says")
        self._start += length
        return self._payload[self._start - length : self._start]

    def floats(self, shape: list[int]) -> np.ndarray:
        data = self.take(4 * prod(shape))
        return np.frombuffer(data, "<f4").astype(np.float32).reshape(shape)

    def finish(self) -> None:
        if self._start != len(self._payload):
            raise ArtifactError("the file is longer than its header says")


def _alphabet(table: Any, books: list[np.ndarray]) -> int:
    if table == 0:
        return 1
    return len(books[table[0]]) if len(table) == 1 else grid_size(table[0])


def _most_entries(payload: bytes | memoryview) -> int:
    return FREE_ENTRIES + ENTRIES_A_BYTE * len(payload)


def _checked(header: Any, payload: bytes | memoryview) -> tuple[list[int], list[list[Any]]]:
    """Returns the lengths of the codebooks and the tensors, if they can be true."""
    form = header.get("format") if isinstance(header, dict) else None
    if type(form) is not int:
        raise ArtifactError("the header names no format")
    if form != FORMAT:
        newer = "update jaxcompress" if form > FORMAT else "save it anew"
        raise ArtifactError(
            f"the file has format {form}, this version reads {FORMAT}; {newer}"
        )
    if header.get("execution") not in EXECUTIONS:
        raise ArtifactError("the header names no execution that there is")
    books: Any = header.get("books")
    tensors: Any = header.get("tensors")
    if not _numbers(books, MOST_TENSORS, 1, MOST_SYMBOLS):
        raise ArtifactError("the header lists codebooks that cannot be")
    if not isinstance(tensors, list) or len(tensors) > MOST_TENSORS:
        raise ArtifactError("the header lists no tensors, or too many")
    if not all(_fits(item, len(books)) for item in tensors):
        raise ArtifactError("the header describes a tensor that cannot be")
    if len({path for path, *_ in tensors}) < len(tensors):
        raise ArtifactError("the header describes a tensor twice")
    total = sum(prod(shape) for _, shape, *_ in tensors)
    if total > _most_entries(payload):
        raise ArtifactError(
            f"the header describes {total:,} parameters in {len(payload):,} bytes; so few "
            f"hold {_most_entries(payload):,} at most"
        )
    return books, tensors


def _fits(item: Any, books: int) -> bool:
    if not isinstance(item, list) or len(item) != 6:
        return False
    path, shape, table, how, masked, length = item
    if not (
        isinstance(path, str)
        and _numbers(shape, MOST_AXES, 0, 2**31 - 1)
        and isinstance(how, str)
        and type(masked) is int
        and masked in (0, 1)
        and type(length) is int
        and length >= 0
    ):
        return False
    if how == "":
        return table == 0 and type(table) is int and masked == length == 0
    if how not in codings.CODINGS:
        return False
    if not isinstance(table, list):
        return type(table) is int and table == 0
    if len(table) == 1:
        return _numbers(table, 1, 0, books - 1)
    if len(table) != 2 or type(table[0]) is not int or table[0] not in CODED_BITS:
        return False
    scale = table[1]
    return (
        _numbers(scale, MOST_AXES, 0, 2**31 - 1)
        and len(scale) == len(shape)
        and all(s in (1, n) for s, n in zip(scale, shape, strict=True))
    )


def _numbers(values: Any, most: int, least: int, largest: int) -> bool:
    """Returns whether values are a list of at most so many integers in a range."""
    return (
        isinstance(values, list)
        and len(values) <= most
        and all(type(n) is int and least <= n <= largest for n in values)
    )
