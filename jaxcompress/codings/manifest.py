"""What a file says of its tensors, and the bytes around them."""

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from jaxcompress.codings.container import frame
from jaxcompress.codings.tensor import Coding

FORMAT = 3
CHECKSUM = 4  # bytes
# How the function of a file takes its parameters: as float32; as codes that become float32
# where they are used; as codes that are multiplied where both operands are on grids.
EXECUTIONS = ("float32", "packed", "integer")


def entry(
    path: str,
    shape: Sequence[int],
    coding: Coding,
    book: int,
    how: str,
    masked: bool,
    length: int,
) -> list[Any]:
    """Returns what a reader must know of one tensor, as plain JSON data.

    Args:
        book: which codebook of the file its symbols index, if it has one.
        how: the name of the coding of its symbols; "" where there are none.
        masked: whether some positions have no symbol.
        length: bytes of its symbols.

    Returns:
        [path, shape, table, how, masked, length]; `table` is 0 for plain values, [bits,
        shape of the scale] for a grid, [place] for a codebook.
    """
    table: Any = 0
    if coding.codebook is not None:
        table = [book]
    elif coding.scale is not None:
        table = [coding.bits, list(coding.scale.shape)]
    return [path, list(shape), table, how, int(masked), length]


def manifest(
    entries: Sequence[list[Any]], books: Sequence[int], execution: str = EXECUTIONS[0]
) -> dict[str, Any]:
    """Returns the header of a file.

    Args:
        entries: of all tensors; books: the lengths of its codebooks.
        execution: out of `EXECUTIONS`.
    """
    header = {"format": FORMAT, "execution": execution}
    return header | {"books": list(books), "tensors": list(entries)}


def packed(data: Mapping[str, Any]) -> bytes:
    """Returns JSON data as it stands in a file: deflated."""
    return zlib.compress(json.dumps(data, separators=(",", ":")).encode(), 9)


def unpacked(data: bytes | memoryview, largest: int) -> bytes:
    """Returns what `zlib.compress` packed; never takes more room than it may.

    Raises:
        ValueError: the data are damaged, or more than `largest` bytes come out of them.
    """
    unpacker = zlib.decompressobj()
    try:
        found = unpacker.decompress(data, largest)
    except zlib.error as error:
        raise ValueError(f"the data are damaged: {error}") from error
    if unpacker.unconsumed_tail:
        raise ValueError(f"more than {largest:,} bytes would come out of {len(data):,}")
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("the data are damaged: they end too early, or too late")
    return found


def header_bytes(header: Mapping[str, Any], payload: int) -> int:
    """Returns the bytes of header and container of a file's parameter part.

    Exact but for the digits in which the container names the lengths of the other part,
    which are not known here: a few bytes.

    Args:
        payload: bytes of the tensors.
    """
    length = CHECKSUM + len(packed(header))
    return length + len(frame([length, 200, payload, 5000]))
