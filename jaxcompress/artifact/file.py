"""One file that holds a compact network: its parameters and its program."""

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcompress.artifact import program, tensors
from jaxcompress.artifact.errors import ArtifactError
from jaxcompress.artifact.execution import arguments, executable, executed
from jaxcompress.artifact.program import Program
from jaxcompress.codings.container import join, split
from jaxcompress.codings.manifest import CHECKSUM, packed, unpacked
from jaxcompress.codings.tensor import Coding
from jaxcompress.network import Network, fold
from jaxcompress.whole_file import write_whole

LARGEST_JSON = 1 << 22  # bytes of the header, and of the metadata, unpacked


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


class SavedLayer(NamedTuple):
    """What a file says of a layer.

    Attributes:
        name: in the compact network.
        kind: "conv", "depthwise", "dense", as of a traced layer.
        weight: path of its parameter.
        macs: multiply-accumulates of one example.
        executed: what it computes with: "int8", "float32 from 4-bit codes", "float32".
    """

    name: str
    kind: str
    weight: str
    macs: int
    executed: str


@dataclass(frozen=True, eq=False)
class Artifact:
    """A loaded file; call it on inputs.

    Attributes:
        metadata: what was said of the network when it was saved.
        version: of the library that saved it.
        layers: in the order of execution.
        arguments: what the function takes for its parameters, on the default device:
            their values, float32, or codes and tables (see `codings.held`).
        header: what the file says of its tensors, see `codings.manifest`.
        payload: its tensors, coded.
        sizes: of the file.
        program: the function (arguments, inputs) -> outputs.
    """

    metadata: dict[str, Any]
    version: str
    layers: tuple[SavedLayer, ...]
    arguments: list[jax.Array] = field(repr=False)
    header: dict[str, Any] = field(repr=False)
    payload: bytes = field(repr=False)
    sizes: Sizes
    program: Program = field(repr=False)

    def __call__(self, x: Any) -> Any:
        """Returns the outputs for a batch of inputs.

        Raises:
            ArtifactError: the program calls something outside of StableHLO.
        """
        return self.program(self.arguments, x)

    @property
    def execution(self) -> str:
        """As it was given to `save`."""
        return self.header["execution"]

    @cached_property
    def coding(self) -> dict[str, Coding]:
        """By parameter path how it is coded; decoded when it is first asked for."""
        return {path: coding for path, _, coding in self._decoded}

    @property
    def leaves(self) -> list[np.ndarray]:
        """The parameters, float32, in the order of `coding`; decoded as that."""
        return [leaf for _, leaf, _ in self._decoded]

    @cached_property
    def _decoded(self) -> list[tuple[str, np.ndarray, Coding]]:
        return [*tensors.decode(self.header, self.payload)]


def save(
    path: str | os.PathLike[str],
    network: Network,
    metadata: Mapping[str, Any] | None = None,
    coding: str = "range",
    execution: str = "float32",
) -> Sizes:
    """Writes a compact network to one file, whole or not at all.

    The averages of batch normalisations are not in it: scale and shift take their part
    wherever they can (see `jaxcompress.network.fold`).

    Args:
        path: of the file, `.jcz` by custom; an existing one is replaced.
        network: from `compact` (or any traced network: its parameters are then float32).
        metadata: anything that JSON holds.
        coding: of the symbols: "dense", "csr", "coo", "huffman" or "range". A tensor that
            is smaller in dense coding is in that.
        execution: what the function computes with. "float32": every parameter. "packed":
            parameters of at most 8 bits stay codes in memory, and become float32 where
            they are used. "integer": as that, but where the layer's input is on a grid of
            at most 8 bits, too, it multiplies int8 x int8 -> int32, and scales then.

    Returns:
        The bytes of the file's two parts.

    Raises:
        ValueError: a parameter is not float32, `metadata` is no JSON, or `load` would
            refuse the file: the function calls outside of StableHLO, say.
        OSError: the file cannot be written; what was there before is untouched.

    Example:
        >>> sizes = save("model.jcz", compact(network, plan))  # doctest: +SKIP
    """
    network = fold(network)
    leaves = {name: np.asarray(leaf) for name, leaf in network.leaves().items()}
    header, payload = tensors.encode(leaves, network.coding, coding, execution)
    function = executable(network, execution)
    code = program.encode(function)
    try:
        given = json.loads(json.dumps(dict(metadata or {}), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"save: metadata must be plain JSON: {error}") from error
    words = zip(network.layers, executed(network, function), strict=True)
    layers = [[each.name, each.kind, each.weight, each.macs, word] for each, word in words]
    about = packed({"version": _version(), "layers": layers, "metadata": given})
    listed = packed(header)
    for text in (listed, about):
        unpacked(text, LARGEST_JSON)
    checksum = _checksum(listed, about, payload, code)
    data = join([checksum + listed, about, payload, code])
    write_whole(Path(path), data)
    return Sizes(len(data) - len(about) - len(code), len(about) + len(code))


def load(path: str | os.PathLike[str]) -> Artifact:
    """Reads a file that `save` wrote. Nothing in it is executed, not even its function.

    It needs jax, numpy and flatbuffers; without constriction it is slower.

    Returns:
        A function of the inputs, with the file's metadata and sizes.

    Raises:
        ArtifactError: the file is not an artifact, is damaged, or is of another format.
        OSError: it cannot be read.

    Example:
        >>> outputs = load("model.jcz")(inputs)  # doctest: +SKIP
    """
    data = Path(path).read_bytes()
    try:
        parts = split(data)
    except ValueError as error:
        raise ArtifactError(f"{path} is no artifact of jaxcompress: {error}") from error
    try:
        return _read(parts, len(data))
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error


def _read(parts: list[memoryview], size: int) -> Artifact:
    header, about, payload, code = parts
    checksum, listed = header[:CHECKSUM], header[CHECKSUM:]
    if checksum != _checksum(listed, about, payload, code):
        raise ArtifactError("the checksum does not match: the file is damaged")
    manifest = _json(listed)
    given: list[Any] = []
    for _, leaf, coding in tensors.decode(manifest, payload):
        given += arguments(leaf, coding, manifest["execution"])
    run = program.decode(code, given)
    said = _json(about)
    if not isinstance(said, dict) or {*said} != {"version", "layers", "metadata"}:
        raise ArtifactError("the metadata are not in our words")
    if not isinstance(said["version"], str) or not isinstance(said["metadata"], dict):
        raise ArtifactError("the metadata are not in our words")
    others = len(about) + len(code)
    for place, array in enumerate(given):  # one after the other: memory for one more
        given[place] = jnp.asarray(array)
    return Artifact(
        metadata=said["metadata"],
        version=said["version"],
        layers=_layers(said["layers"]),
        arguments=given,
        header=manifest,
        payload=bytes(payload),
        sizes=Sizes(size - others, others),
        program=run,
    )


def _layers(given: Any) -> tuple[SavedLayer, ...]:
    kinds = (str, str, str, int, str)
    if not isinstance(given, list) or not all(
        isinstance(layer, list) and tuple(map(type, layer)) == kinds for layer in given
    ):
        raise ArtifactError("the metadata list layers that cannot be")
    return tuple(SavedLayer(*layer) for layer in given)


def _checksum(*parts: bytes | memoryview) -> bytes:
    found = 0
    for part in parts:
        found = zlib.crc32(part, found)
    return found.to_bytes(CHECKSUM, "big")


def _json(data: bytes | memoryview) -> Any:
    try:
        return json.loads(unpacked(data, LARGEST_JSON))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"the header cannot be read: {error}") from error


def _version() -> str:
    try:
        return version("jaxcompress")
    except PackageNotFoundError:
        return "unknown"
