"""A function and its parameters in one StableHLO program."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import export

from jaxcompress.artifact.program import no_locations
from jaxcompress.artifact.whole_bytes import Stored, values


def as_stablehlo(
    parameters: Sequence[Stored],
    call: Callable[[list[Any], Any], Any],
    example: Any,
    platforms: Sequence[str],
) -> bytes:
    """Returns the function of the inputs alone, as `jax.export` serialises it.

    Args:
        call: (leaves, inputs) -> outputs.
        example: shapes and dtypes of the inputs.
        platforms: what it is lowered for.
    """

    def whole(x: Any) -> Any:
        return call([values(found) for found in parameters], x)

    with no_locations():
        exported = export.export(jax.jit(whole), platforms=platforms)(example)
    return bytes(exported.serialize())
