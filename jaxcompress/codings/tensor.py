"""How a stored tensor is coded: symbols of an alphabet, and the table they index."""

from dataclasses import dataclass

import numpy as np

from jaxcompress.annotations import Bool, Int


@dataclass(frozen=True, eq=False)
class Coding:
    """How one parameter of a compact network is coded; host arrays.

    Attributes:
        bits: of a code; 32: the values are plain float32.
        codes: integers in the parameter's (narrow) shape; None for plain values.
        scale: float32, broadcasts against the codes; None if they have none.
        codebook: float32 [k], ascending, which the codes index; None for a grid.
        nonzero: bool, which entries a plan did not set to zero; None: all of them.
    """

    bits: int
    codes: np.ndarray | None = None
    scale: np.ndarray | None = None
    codebook: np.ndarray | None = None
    nonzero: np.ndarray | None = None

    @property
    def alphabet(self) -> int:
        """How many symbols there are; 1 for plain values, of which only the place is."""
        if self.codebook is not None:
            return len(self.codebook)
        return 1 if self.bits == 32 else grid_size(self.bits)

    def symbols(
        self, shape: tuple[int, ...], sparse: bool
    ) -> tuple[Int[np.ndarray, " n"], Bool[np.ndarray, " total"] | None]:
        """Returns one symbol for each kept position, and the positions.

        Args:
            shape: of the parameter.
            sparse: whether zeros of a grid count as positions that are not kept.

        Returns:
            int32 0..alphabet - 1, and which positions they are of, in order; None: all.
        """
        kept = None if self.nonzero is None else self.nonzero.ravel()
        if self.codes is None:
            total = int(np.prod(shape))
            return np.zeros(total if kept is None else int(kept.sum()), np.int32), kept
        symbols = self.codes.ravel().astype(np.int32)
        if self.codebook is None:
            if self.bits == 1:
                symbols = (symbols + 1) // 2
            else:
                # A grid has a zero of its own: it needs no mask, unless it is to be one.
                kept = symbols != 0 if sparse else None
                symbols = symbols + grid_size(self.bits) // 2
        return symbols if kept is None else symbols[kept], kept


def grid_size(bits: int) -> int:
    """Returns how many values a symmetric grid has."""
    return 2 if bits == 1 else 2**bits - 1


def values_of(
    symbols: Int[np.ndarray, " n"],
    kept: Bool[np.ndarray, " total"] | None,
    shape: tuple[int, ...],
    bits: int,
    table: np.ndarray,
) -> tuple[np.ndarray, Coding]:
    """Returns the values and the coding that symbols stand for.

    Args:
        symbols, kept: as `Coding.symbols` gave them.
        bits: of a grid, whose scale `table` is then; 0: `table` is a codebook.

    Raises:
        FloatingPointError: a value is too large for float32.
    """
    width = max(1, (len(table) - 1).bit_length()) if bits == 0 else bits
    small = np.min_scalar_type(2**width - 1 if bits == 0 else -(2 ** (width - 1)))
    whole = np.zeros(int(np.prod(shape)), small)
    shift = 0 if bits == 0 else grid_size(bits) // 2
    codes = symbols * 2 - 1 if bits == 1 else symbols - shift
    whole[slice(None) if kept is None else kept] = codes
    whole = whole.reshape(shape)
    mask = None if kept is None else kept.reshape(shape)
    if bits == 0:
        values = table[whole]
        if mask is not None:
            values[~mask] = 0
        return values, Coding(width, whole, codebook=table, nonzero=mask)
    values = whole.astype(np.float32)
    with np.errstate(over="raise"):
        values *= table
    return values, Coding(bits, whole, table, nonzero=mask)
