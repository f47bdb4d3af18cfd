"""Weights that stay codes in memory and become numbers where they are used."""

from dataclasses import dataclass, field
from math import prod
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
from jax import lax

from jaxcompress.annotations import Array, Float, Shaped

NIBBLE = 4  # bits: codes of so many stand two in a byte
_STATIC = {"static": True}


@no_type_check  # as a pytree it holds whatever it is mapped to
@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Codes:
    """A tensor as codes; in a parameter pytree it stands for the tensor.

    Attributes:
        codes: uint8, in the tensor's shape; those of at most 4 bits flat and two in a
            byte, the first half of them in the low bits. Those of a grid have a sign
            (two's complement).
        table: float32, the scale of a grid, which broadcasts against the tensor; or a
            codebook [k].
        shape: of the tensor.
        bits: of a code, 1..8.
        grid: whether a code is multiplied by the scale; else it is a place in the codebook.
        integer: whether a layer may multiply the codes themselves.
    """

    codes: Array
    table: Array
    shape: tuple[int, ...] = field(metadata=_STATIC)
    bits: int = field(metadata=_STATIC)
    grid: bool = field(metadata=_STATIC)
    integer: bool = field(metadata=_STATIC)


def is_codes(value: Any) -> bool:
    """Returns whether a node of a parameter pytree stands for one tensor."""
    return isinstance(value, Codes)


def whole(coded: Codes) -> Shaped[Array, "..."]:
    """Returns one code for each entry: int8 of a grid, else uint8 places."""
    kind = jnp.int8 if coded.grid else jnp.uint8
    codes = lax.bitcast_convert_type(coded.codes, kind)
    if coded.bits > NIBBLE:
        return codes
    # A shift to the right repeats the sign of int8.
    halves = [(codes << NIBBLE) >> NIBBLE, codes >> NIBBLE]
    return jnp.concatenate(halves)[: prod(coded.shape)].reshape(coded.shape)


def dense(value: Any) -> Any:
    """Returns an array, or factors of one, with the values that codes stand for."""
    return jax.tree.map(lambda x: _values(x) if is_codes(x) else x, value, is_leaf=is_codes)


def _values(coded: Codes) -> Float[Array, "..."]:
    codes = whole(coded)
    return codes.astype(jnp.float32) * coded.table if coded.grid else coded.table[codes]
