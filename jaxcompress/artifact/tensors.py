"""The parameter part of a file: coded symbols, the tables they index, plain values."""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

from jaxcompress import codings
from jaxcompress.artifact.errors import ArtifactError
from jaxcompress.compress.coding import Coding, grid_size, values_of
from jaxcompress.compress.manifest import FORMAT, entry, header_bytes, manifest
from jaxcompress.transforms import ALLOWED_BITS

SPARSE = ("csr", "coo")  # codings that store the positions of what is not zero
ENTROPY = ("huffman", "range")  # codings with a model in front: a small tensor is dense


def encode(
    leaves: Mapping[str, np.ndarray], coding: Mapping[str, Coding], how: str = "range"
) -> tuple[dict[str, Any], bytes]:
    """Returns the manifest and the bytes of all parameters.

    Args:
        leaves: by path, in the order in which the function takes them.
        coding: by path; a parameter that is not named is stored as it is.
        how: out of `codings.CODINGS`; with an entropy coding, tensors that are smaller
            without one go without.
    """
    if how not in codings.CODINGS:
        raise ValueError(f"coding is {how!r}; allowed: {tuple(codings.CODINGS)}")
    entries, chunks, books = [], [], {}
    for path, leaf in leaves.items():
        if leaf.dtype != np.float32:
            raise ValueError(f"save: parameter {path!r} is {leaf.dtype}; wanted float32")
        code = coding.get(path, Coding(32))
        if code.bits not in ALLOWED_BITS and code.codebook is None:
            raise ValueError(
                f"save: {path!r} has {code.bits} bits; allowed: {ALLOWED_BITS}"
            )
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
    header = manifest(entries, [len(book) // 4 for book in books])
    return header, b"".join([*books, *chunks])


def _symbols(leaf: np.ndarray, code: Coding, how: str) -> tuple[str, bytes, bool]:
    """Returns the coding that was taken ("" for none), its bytes, if it has a mask."""
    if code.codes is None and (code.nonzero is None or how == "dense"):
        return "", b"", False
    tried = [how, "dense"] if how in ENTROPY else [how]
    found = []
    for name in tried:
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
    header: dict[str, Any], payload: bytes
) -> tuple[list[np.ndarray], dict[str, Coding]]:
    """Returns the parameters in order and how each is coded, from what `encode` gave."""
    reader = _Reader(payload)
    books = [reader.floats([length]) for length in _books(header)]
    leaves, coding = [], {}
    for path, shape, table, how, masked, length in _entries(header, len(books)):
        data, total, kept = reader.take(length), prod(shape), None
        symbols = np.zeros(0, np.int32)
        if how:
            alphabet = _alphabet(table, books)
            try:
                symbols, kept = codings.decode(how, data, alphabet, total, bool(masked))
            except ValueError as error:
                raise ArtifactError(f"tensor {path!r}: {error}") from error
        if table == 0:
            count = total if kept is None else int(kept.sum())
            leaf = np.zeros(total, np.float32)
            leaf[slice(None) if kept is None else kept] = reader.floats([count])
            leaf = leaf.reshape(shape)
            mask = None if kept is None else kept.reshape(shape)
            coding[path] = Coding(32, nonzero=mask)
        elif len(table) == 1:
            book = books[table[0]]
            leaf, coding[path] = values_of(symbols, kept, tuple(shape), 0, book)
        else:
            scale = reader.floats(table[1])
            leaf, coding[path] = values_of(symbols, kept, tuple(shape), table[0], scale)
        leaves.append(leaf)
    reader.finish()
    return leaves, coding


class _Reader:
    """Takes one field of a payload after the other."""

    def __init__(self, payload: bytes) -> None:
        self._payload, self._start = payload, 0

    def take(self, length: int) -> bytes:
        data = self._payload[self._start : self._start + length]
        if len(data) != length:
            raise ArtifactError("the file is shorter than its header says")
        self._start += length
        return data

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


def _books(header: dict[str, Any]) -> list[int]:
    """Checks what a header says of itself: it may come from anyone."""
    if not isinstance(header, dict) or not isinstance(header.get("format"), int):
        raise ArtifactError("the header names no format")
    if not 1 <= header["format"] <= FORMAT:
        raise ArtifactError(
            f"the file has format {header['format']}, this version reads 1..{FORMAT}; "
            "update jaxcompress"
        )
    if not isinstance(header.get("tensors"), list):
        raise ArtifactError("the header lists no tensors")
    books: Any = header.get("books")
    if not _dims(books) or any(not 1 <= n <= 1 << 16 for n in books):
        raise ArtifactError("the header lists codebooks that cannot be")
    return books


def _entries(header: dict[str, Any], books: int) -> Iterator[list[Any]]:
    seen: set[str] = set()
    for item in header["tensors"]:
        if not isinstance(item, list) or len(item) != 6:
            raise ArtifactError("the header lists something that is no tensor")
        path, shape, table, how, masked, length = item
        fits = (
            isinstance(path, str)
            and path not in seen
            and _dims(shape)
            and prod(shape) < 2**31
            and _table(table, books)
            and (how in codings.CODINGS or (how == "" and table == 0))
            and masked in (0, 1)
            and type(length) is int
            and length >= 0
        )
        if not fits:
            raise ArtifactError("the header describes a tensor that cannot be")
        if isinstance(table, list) and len(table) == 2:
            scale = table[1]
            if len(scale) != len(shape) or any(
                s not in (1, n) for s, n in zip(scale, shape, strict=True)
            ):
                raise ArtifactError(f"the scale of tensor {path!r} does not fit its shape")
        seen.add(path)
        yield item


def _table(table: Any, books: int) -> bool:
    if not isinstance(table, list):
        return type(table) is int and table == 0
    if len(table) == 1:
        return type(table[0]) is int and 0 <= table[0] < books
    return (
        len(table) == 2
        and type(table[0]) is int
        and table[0] in ALLOWED_BITS[:-1]
        and _dims(table[1])
    )


def _dims(dims: Any) -> bool:
    return (
        isinstance(dims, list)
        and len(dims) <= 1 << 16
        and all(type(n) is int and 0 <= n < 2**31 for n in dims)
    )
