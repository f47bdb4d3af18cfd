"""The program part of a file: the compact function as portable StableHLO."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax import export

from jaxcompress.artifact.errors import ArtifactError
from jaxcompress.network import Network

PLATFORMS = ("cpu", "cuda", "tpu")
LARGEST = 1 << 28  # bytes of a program, unpacked: more is no network but a bomb


def encode(network: Network, platforms: Sequence[str] = PLATFORMS) -> bytes:
    """Returns the function of a network, serialised and deflated.

    It takes the parameters as a flat list and inputs of any batch size (of the traced
    one alone if the network is tied to it).
    """
    structure = jax.tree.structure(network.params)

    def call(leaves: list[jax.Array], x: Any) -> Any:
        return network.apply(jax.tree.unflatten(structure, leaves), x)

    leaves = [
        jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype)
        for leaf in jax.tree.leaves(network.params)
    ]
    example = network.example
    if network.batch_reason is None:
        (batch,) = export.symbolic_shape("batch")
        example = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype), example
        )
    with _no_locations():
        exported = export.export(jax.jit(call), platforms=platforms)(leaves, example)
    return zlib.compress(bytes(exported.serialize()), 9)


@contextmanager
def _no_locations() -> Iterator[None]:
    """Keeps paths and callers on this machine out of a program, which is for others.

    They would also make it depend on how the process came here.
    """
    option = "jax_traceback_in_locations_limit"
    before = getattr(jax.config, option)
    jax.config.update(option, 0)
    try:
        yield
    finally:
        jax.config.update(option, before)


def decode(data: bytes) -> Callable[..., Any]:
    """Returns the function (leaves, inputs) -> outputs from what `encode` gave."""
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(data, LARGEST)
        if unpacker.unconsumed_tail:
            raise ArtifactError(f"the program is larger than {LARGEST} bytes")
        return jax.jit(export.deserialize(bytearray(raw)).call)
    except ArtifactError:
        raise
    except Exception as error:
        raise ArtifactError(f"the program cannot be read: {error}") from error
