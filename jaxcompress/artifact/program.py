"""The program part of a file: the compact function as portable StableHLO."""

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jax import export

from jaxcompress.artifact.errors import ArtifactError
from jaxcompress.artifact.exported import check_exported
from jaxcompress.codings.manifest import unpacked
from jaxcompress.network import Network

PLATFORMS = ("cpu", "cuda", "tpu")
LARGEST = 1 << 26  # bytes of a program, unpacked: more is no network but a bomb
# What a program may call besides StableHLO's own operations: nothing that could leave it.
CALLS = (
    "Sharding",
    "shape_assertion",
    "stablehlo.dynamic_reduce_window",
    "stablehlo.dynamic_top_k",
)
_CALL = re.compile(r"custom_call(?: @([\w.]+)\()?")


@dataclass(frozen=True, eq=False)
class Program:
    """The function (leaves, inputs) -> outputs of a file.

    XLA's reader of a program is no safe one: it runs at the first call, not before. A
    program does arithmetic only, but who wrote it says how much.

    Attributes:
        exported: of `jax.export`, its envelope checked.
    """

    exported: export.Exported

    @property
    def platforms(self) -> tuple[str, ...]:
        """What it was lowered for."""
        return tuple(self.exported.platforms)

    def __call__(self, leaves: Sequence[Any], x: Any) -> Any:
        """Returns the outputs.

        Raises:
            ArtifactError: the program calls something outside of StableHLO.
        """
        return self._call(list(leaves), x)

    @cached_property
    def _call(self) -> Any:
        try:
            text = self.exported.mlir_module()
        except Exception as error:
            raise ArtifactError(f"the program cannot be read: {error}") from error
        for found in _CALL.finditer(text):
            if found.group(1) not in CALLS:
                raise ArtifactError(f"the program calls {found.group(1)}; allowed: {CALLS}")
        return jax.jit(self.exported.call)


def flat(network: Network) -> tuple[Callable[[list[Any], Any], Any], Any]:
    """Returns the function (leaves, inputs) -> outputs, and the inputs' shapes.

    They have a symbolic batch size, unless the network is tied to the traced one.
    """
    structure = jax.tree.structure(network.params)

    def call(leaves: list[Any], x: Any) -> Any:
        return network.apply(jax.tree.unflatten(structure, leaves), x)

    example = network.example
    if network.batch_reason is None:
        (batch,) = export.symbolic_shape("batch")
        example = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype), example
        )
    return call, example


def encode(network: Network, platforms: Sequence[str] = PLATFORMS) -> bytes:
    """Returns the function of a network, serialised and deflated.

    It takes the parameters as a flat list and inputs of any batch size (of the traced
    one alone if the network is tied to it).

    Raises:
        ValueError: a reader would refuse it.
    """
    call, example = flat(network)
    leaves = [
        jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype)
        for leaf in jax.tree.leaves(network.params)
    ]
    with no_locations():
        exported = export.export(jax.jit(call), platforms=platforms)(leaves, example)
    data = zlib.compress(bytes(exported.serialize()), 9)
    try:
        _ = decode(data, leaves)._call
    except ArtifactError as error:
        raise ValueError(f"save: this function cannot be in a file: {error}") from error
    return data


@contextmanager
def no_locations() -> Iterator[None]:
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


def decode(data: bytes | memoryview, leaves: Sequence[Any]) -> Program:
    """Returns the function from what `encode` gave.

    Args:
        leaves: what it takes first, in order; their shapes and dtypes are looked at.

    Raises:
        ArtifactError: it is damaged, no network's function, or one of other parameters.
    """
    try:
        raw = unpacked(data, LARGEST)
        check_exported(raw)
        exported = export.deserialize(bytearray(raw))
    except Exception as error:
        raise ArtifactError(f"the program cannot be read: {error}") from error
    arguments, *_ = [*exported.in_tree.children(), None]
    if arguments is None or arguments.children()[:1] != [jax.tree.structure([*leaves])]:
        raise ArtifactError("the program takes other parameters than the file holds")
    for leaf, aval in zip(leaves, exported.in_avals, strict=False):
        if leaf.shape != aval.shape or aval.dtype != leaf.dtype:
            raise ArtifactError(
                f"the program takes a parameter {aval.dtype} of shape {aval.shape}, the "
                f"file holds {leaf.dtype} of shape {leaf.shape}"
            )
    return Program(exported)
