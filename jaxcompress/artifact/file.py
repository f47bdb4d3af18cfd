"""One file that holds a compact network: its parameters and its program."""

import json
import os
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as read_safetensors, save as write_safetensors

from jaxcompress.artifact import program, tensors
from jaxcompress.artifact.errors import ArtifactError
from jaxcompress.compress import Coding
from jaxcompress.compress.manifest import CHECKSUM, PARTS, packed
from jaxcompress.network import Network

LARGEST_HEADER = 1 << 26


@dataclass(frozen=True)
class Sizes:
    """The bytes of a file.

    Attributes:
        parameters: the parameter part: all that is needed to rebuild every parameter,
            container and header included.
        program: the program part: the exported function, and the metadata.
    """

    parameters: int
    program: int

    @property
    def file(self) -> int:
        """The whole file."""
        return self.parameters + self.program


@dataclass(frozen=True, eq=False)
class Artifact:
    """A loaded file; call it on inputs.

    Attributes:
        metadata: what was said of the network when it was saved.
        coding: by parameter path how it is coded.
        leaves: the decoded parameters, in the order of the paths in `coding`.
        sizes: of the file.
    """

    metadata: dict[str, Any]
    coding: dict[str, Coding]
    leaves: list[np.ndarray]
    sizes: Sizes
    _call: Any = field(repr=False)

    def __call__(self, x: Any) -> Any:
        """Returns the outputs for a batch of inputs."""
        return self._call(self.leaves, x)


def save(
    path: str | os.PathLike[str],
    network: Network,
    metadata: Mapping[str, Any] | None = None,
    coding: str = "range",
) -> Sizes:
    """Writes a compact network to one file, whole or not at all.

    Args:
        path: of the file, `.jcz` by custom; an existing one is replaced.
        network: from `compact` (or any traced network: its parameters are then float32).
        metadata: anything that JSON holds.
        coding: of the symbols: "dense", "csr", "coo", "huffman" or "range". With the last
            two, a tensor that is smaller in dense coding is in that.

    Returns:
        The bytes of the file's two parts.

    Raises:
        ValueError: a parameter is not float32, or `metadata` is no JSON.
        OSError: the file cannot be written; what was there before is untouched.

    Example:
        >>> sizes = save("model.jcz", compact(network, plan))  # doctest: +SKIP
    """
    path = Path(path)
    leaves = {name: np.asarray(leaf) for name, leaf in network.leaves().items()}
    header, payload = tensors.encode(leaves, network.coding, coding)
    code = program.encode(network)
    try:
        about = packed(json.loads(json.dumps(dict(metadata or {}), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"save: metadata must be plain JSON: {error}") from error
    listed = packed(header)
    checksum = _checksum(listed, about, payload, code)
    parts = dict(zip(PARTS, (checksum + listed, about, payload, code), strict=True))
    data = write_safetensors({k: np.frombuffer(v, np.uint8) for k, v in parts.items()})
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return _sizes(data, about, code)


def load(path: str | os.PathLike[str]) -> Artifact:
    """Reads a file that `save` wrote. Nothing in it is executed as Python.

    Returns:
        A function of the inputs, with the file's metadata and sizes.

    Raises:
        ArtifactError: the file is not an artifact, is damaged, or is of a newer format.
        OSError: it cannot be read.

    Example:
        >>> outputs = load("model.jcz")(inputs)  # doctest: +SKIP
    """
    data = Path(path).read_bytes()
    try:
        parts = {k: v.tobytes() for k, v in read_safetensors(data).items()}
        header, about, payload, code = (parts[name] for name in PARTS)
        checksum, listed = header[:CHECKSUM], header[CHECKSUM:]
    except (SafetensorError, KeyError, ValueError) as error:
        raise ArtifactError(f"{path} is no artifact of jaxcompress: {error}") from error
    try:
        if checksum != _checksum(listed, about, payload, code):
            raise ArtifactError("the checksum does not match: the file is damaged")
        leaves, coding = tensors.decode(_json(listed), payload)
        call = program.decode(code)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error
    return Artifact(_json(about), coding, leaves, _sizes(data, about, code), call)


def _checksum(*parts: bytes) -> bytes:
    return zlib.crc32(b"".join(parts)).to_bytes(CHECKSUM, "big")


def _sizes(data: bytes, about: bytes, code: bytes) -> Sizes:
    return Sizes(len(data) - len(about) - len(code), len(about) + len(code))


def _json(data: bytes) -> Any:
    unpacker = zlib.decompressobj()
    try:
        return json.loads(unpacker.decompress(data, LARGEST_HEADER))
    except (ValueError, zlib.error, RecursionError) as error:
        raise ArtifactError(f"the header cannot be read: {error}") from error
