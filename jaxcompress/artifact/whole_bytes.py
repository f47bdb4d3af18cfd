"""Codes in whole bytes, and the JAX program that reads them: for files of other kinds.

Other formats know no fields of 3 bits and no entropy coder. A symbol takes 1, 2, 4, 8, 16
or 32 bits there, the first one of a byte in its lowest bits.
"""

from dataclasses import dataclass
from math import prod

import jax.numpy as jnp
import numpy as np

from jaxcompress.annotations import Array, Float
from jaxcompress.codings.tensor import Coding

_WIDTHS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, eq=False)
class Stored:
    """A parameter whose values are table[symbol], or (step * symbol - zero) * scale.

    Attributes:
        shape: of the parameter.
        arrays: "values" float32 alone; or "codes", uint8 or as wide as they are, and
            "scale" or "codebook", float32.
        width: bits of a symbol; 0: there are none.
        zero, step: of a grid.
    """

    shape: tuple[int, ...]
    arrays: dict[str, np.ndarray]
    width: int = 0
    zero: int = 0
    step: int = 1


def stored(leaf: np.ndarray, coding: Coding, packed: bool = True) -> Stored:
    """Returns a parameter as it stands in a file.

    Args:
        packed: False: its values, whatever its codes are.
    """
    if coding.codes is None or not packed:
        return Stored(leaf.shape, {"values": np.asarray(leaf, np.float32)})
    codes = coding.codes.astype(np.int32)
    if coding.codebook is not None:
        table = coding.codebook
        if coding.nonzero is not None:  # what is not kept is one more symbol
            codes = np.where(coding.nonzero, codes, len(table))
            table = np.append(table, np.float32(0))
        width, data = _packed(codes, len(table))
        return Stored(leaf.shape, {"codes": data, "codebook": table}, width)
    assert coding.scale is not None
    zero, step, alphabet = coding.alphabet // 2, 1, max(3, coding.alphabet)
    if coding.bits == 1 and codes.all():  # -1 and 1, nothing between
        step, alphabet = 2, 2
    width, data = _packed((codes + zero) // step, alphabet)
    arrays = {"codes": data, "scale": np.asarray(coding.scale, np.float32)}
    return Stored(leaf.shape, arrays, width, zero, step)


def values(found: Stored) -> Float[Array, "..."]:
    """Returns the float32 parameter; traceable, its arrays become constants."""
    arrays = {name: jnp.asarray(array) for name, array in found.arrays.items()}
    if not found.width:
        return arrays["values"]
    symbols = arrays["codes"]
    if found.width < 8:
        shifts = np.arange(0, 8, found.width, dtype=np.uint8)
        mask = np.uint8((1 << found.width) - 1)
        symbols = (symbols[:, None] >> shifts) & mask
    symbols = symbols.ravel()[: prod(found.shape)].reshape(found.shape)
    if "codebook" in arrays:
        # All are inside: no guard in front of the gather.
        place = symbols.astype(jnp.int32)
        return arrays["codebook"].at[place].get(mode="promise_in_bounds")
    return (symbols.astype(jnp.float32) * found.step - found.zero) * arrays["scale"]


def _packed(symbols: np.ndarray, alphabet: int) -> tuple[int, np.ndarray]:
    """Returns the width of a symbol and all of them, one after the other."""
    needed = (alphabet - 1).bit_length()
    width = next(width for width in _WIDTHS if width >= needed)
    if width >= 8:
        return width, symbols.ravel().astype(f"u{width // 8}")
    each = 8 // width
    lines = np.pad(symbols.ravel(), (0, -symbols.size % each)).reshape(-1, each)
    shifts = np.arange(0, 8, width)
    return width, np.bitwise_or.reduce(lines << shifts, axis=1).astype(np.uint8)
