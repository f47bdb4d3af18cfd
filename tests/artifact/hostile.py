"""Files that nobody should open: damaged ones, and ones that are made to harm."""

import json
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from safetensors.numpy import load as read_safetensors, save as write_safetensors

PARTS = ("header", "metadata", "payload", "program")
PACKED = ("header", "metadata", "program")
NUMBERS = (-1, 0, 1, 2, 7, 31, 255, 2**16, 2**31 - 1, 2**31, 2**32, 2**63, 10**30)
ODD = (None, True, False, 0.5, 1e308, "", "range", "zip", [], {}, [[]], [2**31 - 1] * 3)


def opened(data: bytes) -> dict[str, bytes]:
    """Returns the parts of a good file, unpacked and without checksum."""
    parts = {name: part.tobytes() for name, part in read_safetensors(data).items()}
    parts["header"] = parts["header"][4:]
    return parts | {name: zlib.decompress(parts[name]) for name in PACKED}


def closed(parts: dict[str, bytes], packed: bool = False) -> bytes:
    """Returns a file of these parts whose checksum is right.

    Args:
        packed: whether they are deflated already.
    """
    if not packed:
        parts = parts | {name: zlib.compress(parts[name], 1) for name in PACKED}
    checksum = zlib.crc32(b"".join(parts[name] for name in PARTS)).to_bytes(4, "big")
    parts = parts | {"header": checksum + parts["header"]}
    return write_safetensors({n: np.frombuffer(parts[n], np.uint8) for n in PARTS})


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Returns the bytes with a few flipped, cut out, put in, or cut off."""
    broken = bytearray(data)
    place, length = int(rng.integers(len(data))), int(rng.integers(1, 9))
    kind = rng.integers(5)
    if kind == 0:
        del broken[place:]
    elif kind == 1:
        broken[place] ^= 1 << rng.integers(8)
    elif kind == 2:
        broken[place : place + length] = rng.bytes(length)
    elif kind == 3:
        broken[place:place] = rng.bytes(length)
    else:  # a number, made as large as it can be
        broken[place : place + 4] = b"\xff\xff\xff\x7f"
    return bytes(broken)


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the way to every node of JSON data."""
    yield path
    items = enumerate(tree) if isinstance(tree, list) else ()
    if isinstance(tree, dict):
        items = tree.items()
    for key, child in items:
        yield from places(child, (*path, key))


def other(tree: Any, rng: np.random.Generator) -> Any:
    """Returns JSON data with one node replaced, removed, repeated or exchanged."""
    tree = json.loads(json.dumps(tree))
    ways = list(places(tree))
    way = ways[rng.integers(len(ways))]
    if not way:
        return ODD[rng.integers(len(ODD))]
    parent = tree
    for key in way[:-1]:
        parent = parent[key]
    last, kind = way[-1], rng.integers(5)
    if kind == 0:
        del parent[last]
    elif kind == 1:
        parent[last] = [parent[last]] * int(rng.integers(1, 4))
    elif kind == 2:
        parent[last] = ODD[rng.integers(len(ODD))]
    else:
        parent[last] = NUMBERS[rng.integers(len(NUMBERS))]
    return tree


def crafted(parts: dict[str, bytes], rng: np.random.Generator) -> bytes:
    """Returns a file that is wrong in one part, with the right checksum."""
    kind = rng.integers(10)
    if kind < 5:
        changed = other(json.loads(parts["header"]), rng)
        return closed(parts | {"header": json.dumps(changed).encode()})
    if kind == 5:
        changed = other(json.loads(parts["metadata"]), rng)
        return closed(parts | {"metadata": json.dumps(changed).encode()})
    name = ("header", "payload", "payload", "program")[kind - 6]
    return closed(parts | {name: damaged(parts[name], rng)})
