"""The parameter part of a file: packed codes, scales and plain values."""

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from jaxcompress.artifact.errors import ArtifactError
from jaxcompress.compress import Coding
from jaxcompress.compress.manifest import FORMAT, manifest
from jaxcompress.transforms import ALLOWED_BITS, pack, packed_bytes, unpack


def encode(
    leaves: dict[str, np.ndarray], coding: dict[str, Coding]
) -> tuple[dict[str, Any], bytes]:
    """Returns the manifest and the bytes of all parameters.

    Args:
        leaves: by path, in the order in which the function takes them.
        coding: by path; a parameter that is not named is stored as it is.
    """
    coded = {path: c for path, c in coding.items() if c.codes is not None}
    header = manifest(
        {path: leaf.shape for path, leaf in leaves.items()},
        {path: c.bits for path, c in coded.items()},
        {path: c.scale.shape for path, c in coded.items() if c.scale is not None},
    )
    chunks = []
    for path, leaf in leaves.items():
        if leaf.dtype != np.float32:
            raise ValueError(f"save: parameter {path!r} is {leaf.dtype}; wanted float32")
        if path in coded:
            code = coded[path]
            if code.bits not in ALLOWED_BITS:
                raise ValueError(
                    f"save: {path!r} has {code.bits} bits; allowed: {ALLOWED_BITS}"
                )
            chunks.append(pack(np.asarray(code.codes), code.bits))
            chunks.append(np.asarray(code.scale, "<f4").tobytes())
        else:
            chunks.append(leaf.astype("<f4").tobytes())
    return header, b"".join(chunks)


def decode(
    header: dict[str, Any], payload: bytes
) -> tuple[list[np.ndarray], dict[str, Coding]]:
    """Returns the parameters in order and how each is coded, from what `encode` gave."""
    leaves, coding, start = [], {}, 0
    for path, shape, bits, scale_shape in _entries(header):
        count = prod(shape)
        if bits == 32:
            stop = start + 4 * count
            leaves.append(_floats(payload[start:stop], shape))
            coding[path] = Coding(32)
        else:
            middle = start + packed_bytes(count, bits)
            stop = middle + 4 * prod(scale_shape)
            if stop > len(payload):
                raise ArtifactError("the file is shorter than its header says")
            codes = unpack(payload[start:middle], bits, count).reshape(shape)
            scale = _floats(payload[middle:stop], scale_shape)
            leaves.append((codes.astype(np.float32) * scale).astype(np.float32))
            coding[path] = Coding(bits, codes, scale)
        start = stop
    if start != len(payload):
        raise ArtifactError("the file is longer than its header says")
    return leaves, coding


def _floats(data: bytes, shape: list[int]) -> np.ndarray:
    if len(data) != 4 * prod(shape):
        raise ArtifactError("the file is shorter than its header says")
    return np.frombuffer(data, "<f4").astype(np.float32).reshape(shape)


def _entries(header: dict[str, Any]) -> Iterator[tuple[str, list[int], int, list[int]]]:
    """Yields the tensors of a manifest, checked: a header may come from anyone."""
    if not isinstance(header, dict) or not isinstance(header.get("format"), int):
        raise ArtifactError("the header names no format")
    if not 1 <= header["format"] <= FORMAT:
        raise ArtifactError(
            f"the file has format {header['format']}, this version reads 1..{FORMAT}; "
            "update jaxcompress"
        )
    if not isinstance(header.get("tensors"), list):
        raise ArtifactError("the header lists no tensors")
    seen: set[str] = set()
    for entry in header["tensors"]:
        if not isinstance(entry, list) or len(entry) != 4:
            raise ArtifactError("the header lists something that is no tensor")
        path, shape, bits, scale = entry
        dims_fit = all(
            isinstance(dims, list)
            and len(dims) <= 32
            and all(type(n) is int and 0 <= n < 2**31 for n in dims)
            for dims in (shape, scale)
        )
        known = type(bits) is int and bits in ALLOWED_BITS
        if not isinstance(path, str) or path in seen or not dims_fit or not known:
            raise ArtifactError("the header describes a tensor that cannot be")
        if bits != 32 and (
            len(scale) != len(shape)
            or any(s not in (1, n) for s, n in zip(scale, shape, strict=True))
        ):
            raise ArtifactError(f"the scale of tensor {path!r} does not fit its shape")
        seen.add(path)
        yield path, shape, bits, scale
