"""The list of coded tensors: the header of a file, and what it costs."""

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

FORMAT = 1


def manifest(
    shapes: Mapping[str, Sequence[int]],
    bits: Mapping[str, int],
    scales: Mapping[str, Sequence[int]],
) -> dict[str, Any]:
    """Returns what a reader must know of every tensor, as plain JSON data.

    Args:
        shapes: by parameter path its shape.
        bits: by parameter path the bits of a code; 32 where it is not named.
        scales: by parameter path the shape of its scale, where it has one.
    """
    return {
        "format": FORMAT,
        "tensors": [
            [path, list(shape), bits.get(path, 32), list(scales.get(path, ()))]
            for path, shape in shapes.items()
        ],
    }


def packed(header: Mapping[str, Any]) -> bytes:
    """Returns the header as it stands in a file: JSON, deflated."""
    return zlib.compress(json.dumps(header, separators=(",", ":")).encode(), 9)
