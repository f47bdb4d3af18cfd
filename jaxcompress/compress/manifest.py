"""What a file says of its tensors, and how many bytes its parameter part has."""

import json
import zlib
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from jaxcompress.network import Network
from jaxcompress.network.sizes import Sizes
from jaxcompress.space import Plan
from jaxcompress.transforms import packed_bytes

FORMAT = 1
CHECKSUM = 4  # bytes
PARTS = ("header", "metadata", "payload", "program")


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


def packed(data: Mapping[str, Any]) -> bytes:
    """Returns JSON data as it stands in a file: deflated."""
    return zlib.compress(json.dumps(data, separators=(",", ":")).encode(), 9)


def container_bytes(lengths: Sequence[int]) -> int:
    """Returns what the safetensors container of `PARTS` adds to their bytes."""
    entries, start = {}, 0
    for name, length in zip(PARTS, lengths, strict=True):
        offsets = [start, start + length]
        entries[name] = {"dtype": "U8", "shape": [length], "data_offsets": offsets}
        start += length
    text = len(json.dumps(entries, separators=(",", ":")))
    return 8 + -(-text // 8) * 8


def parameter_bytes(network: Network, plan: Plan) -> int:
    """Returns the bytes of the parameter part of the file of a compact network.

    Exact but for the digits in which the container names the length of the other part,
    which is not known here: a few bytes.

    Args:
        plan: one plan with concrete arrays.
    """
    alive = network.alive_on_host(plan.channels, plan.blocks)
    sizes = Sizes(network.layout, alive, batch=1)
    shapes = {
        path: sizes.shape(axes)
        for path, axes in zip(network.paths, network.leaf_axes, strict=True)
        if network.needs(path, alive)
    }
    bits = {
        path: int(b)
        for path, b in plan.weight_bits.items()
        if int(b) != 32 and path in shapes
    }
    out_axes = {layer.weight: layer.out_axes for layer in network.layers}
    scales = {
        path: [
            n if plan.granularity == "channel" and d in out_axes[path] else 1
            for d, n in enumerate(shapes[path])
        ]
        for path in bits
    }
    payload = sum(
        packed_bytes(prod(shape), bits[path]) + 4 * prod(scales[path])
        if path in bits
        else 4 * prod(shape)
        for path, shape in shapes.items()
    )
    header = CHECKSUM + len(packed(manifest(shapes, bits, scales)))
    return header + payload + container_bytes([header, 200, payload, 5000])
