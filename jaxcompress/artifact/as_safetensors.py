"""Parameters as safetensors: names, arrays, and in the header how they are decoded."""

import json
from collections.abc import Mapping
from typing import Any

from jaxcompress.artifact.whole_bytes import Stored

DECODING = (
    "A parameter PATH without an entry here is the tensor PATH. Of the others PATH.codes "
    "holds `width` bits for each value, the first one in the lowest bits of a byte; "
    "reshaped to `shape` the value is PATH.codebook[code], or where there is PATH.scale "
    "(step * code - zero) * PATH.scale, which broadcasts."
)


def as_safetensors(parameters: Mapping[str, Stored]) -> bytes:
    """Returns parameters by path as a safetensors file.

    The metadata hold "decoding", in words, and "coded", JSON: by path what is needed.
    """
    from safetensors.numpy import save

    tensors, coded = {}, {}
    for path, found in parameters.items():
        if not found.width:
            tensors[path] = found.arrays["values"]
            continue
        tensors |= {f"{path}.{name}": array for name, array in found.arrays.items()}
        entry: dict[str, Any] = {"shape": found.shape, "width": found.width}
        if "scale" in found.arrays:
            entry |= {"step": found.step, "zero": found.zero}
        coded[path] = entry
    metadata = {"decoding": DECODING, "coded": json.dumps(coded)} if coded else None
    return save(tensors, metadata)
