"""Four byte strings in one file: a safetensors container of uint8 tensors.

Only what `frame` writes is read: of the bytes around the parts none may be another.
"""

import json
from collections.abc import Sequence

PARTS = ("header", "metadata", "payload", "program")
_LENGTH = 8  # bytes, of the number in front
_LONGEST = 1000  # bytes of a description, by far


def frame(lengths: Sequence[int]) -> bytes:
    """Returns what stands in front of parts of these lengths, in the order of `PARTS`."""
    described, start = {}, 0
    for name, length in zip(PARTS, lengths, strict=True):
        offsets = [start, start + length]
        described[name] = {"dtype": "U8", "shape": [length], "data_offsets": offsets}
        start += length
    text = json.dumps(described, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(_LENGTH, "little") + text


def join(parts: Sequence[bytes]) -> bytes:
    """Returns the bytes of a file."""
    return b"".join([frame([len(part) for part in parts]), *parts])


def split(data: bytes) -> list[memoryview]:
    """Returns the parts that `join` put into a file; views of it.

    Raises:
        ValueError: `data` is anything else.
    """
    size = int.from_bytes(data[:_LENGTH], "little")
    if size > _LONGEST:
        raise ValueError("the description in front is too long")
    start, parts = _LENGTH + size, []
    try:
        described = json.loads(data[_LENGTH:start])
        lengths = [int(described[name]["shape"][0]) for name in PARTS]
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"the description in front cannot be read: {error}") from error
    if min(lengths) < 0 or frame(lengths) != data[:start]:
        raise ValueError("the description in front is not in our words")
    if start + sum(lengths) != len(data):
        raise ValueError(f"{start + sum(lengths)} bytes are described, {len(data)} found")
    for length in lengths:
        parts.append(memoryview(data)[start : start + length])
        start += length
    return parts
