"""What is coded: symbols of an alphabet, under a mask of the positions that hold one."""

from dataclasses import dataclass

import numpy as np

from jaxcompress.annotations import Bool, Int

LARGEST_ALPHABET = 1 << 16
MODELLED_BITS = 10  # of a symbol, by an entropy coder; those below are stored as they are


@dataclass(frozen=True)
class Layout:
    """What a decoder must be told: the file's header knows it anyway.

    Attributes:
        alphabet: symbols are 0..alphabet-1.
        total: positions.
        masked: whether some positions may hold no symbol.
    """

    alphabet: int
    total: int
    masked: bool

    def __post_init__(self) -> None:
        if not 1 <= self.alphabet <= LARGEST_ALPHABET:
            raise ValueError(
                f"an alphabet has {self.alphabet} symbols; allowed: 1..{LARGEST_ALPHABET}"
            )
        if not 0 <= self.total < 1 << 31:
            raise ValueError(f"there are {self.total} positions; allowed: 0..2^31 - 1")

    @property
    def width(self) -> int:
        """Bits of a symbol."""
        return (self.alphabet - 1).bit_length()

    @property
    def low_bits(self) -> int:
        """Bits of a symbol that an entropy coder stores as they are."""
        return max(self.width - MODELLED_BITS, 0)

    def marks(self, shift: int = 0) -> int:
        """Returns how many symbols `mark` makes of the alphabet."""
        return ((self.alphabet - 1) >> shift) + 1 + self.masked


@dataclass(frozen=True, eq=False)
class Symbols:
    """Symbols of an alphabet and where they stand.

    Attributes:
        layout: alphabet and positions.
        values: the n symbols in order of their positions.
        kept: for each position whether it holds a symbol, n times True; None: all do.
    """

    layout: Layout
    values: Int[np.ndarray, " n"]
    kept: Bool[np.ndarray, " total"] | None

    def __post_init__(self) -> None:
        values, kept, alphabet = self.values, self.kept, self.layout.alphabet
        if kept is not None and int(kept.sum()) != values.size:
            raise ValueError(
                f"there are {values.size} symbols for {int(kept.sum())} kept positions; "
                "give one for each"
            )
        if values.size and not (values.min() >= 0 and values.max() < alphabet):
            raise ValueError(
                f"symbols run from {values.min()} to {values.max()}; an alphabet of "
                f"{alphabet} allows 0..{alphabet - 1}"
            )

    @property
    def positions(self) -> Int[np.ndarray, " n"]:
        """Where the symbols stand."""
        every = np.arange(self.layout.total) if self.kept is None else self.kept.nonzero()
        return np.asarray(every).reshape(-1)


def at_positions(
    layout: Layout, values: Int[np.ndarray, " n"], positions: Int[np.ndarray, " n"]
) -> Symbols:
    """Returns decoded symbols at their positions.

    Raises:
        ValueError: positions do not ascend or lie outside: the data are damaged.
    """
    inside = (positions >= 0) & (positions < layout.total)
    if not (inside.all() and (np.diff(positions) > 0).all()):
        raise ValueError("the data are damaged: symbols stand where there is no place")
    if not layout.masked:
        if values.size != layout.total:
            raise ValueError("the data are damaged: some positions hold no symbol")
        return Symbols(layout, values, None)
    kept = np.zeros(layout.total, bool)
    kept[positions] = True
    return Symbols(layout, values, kept)


def mark(symbols: Symbols, shift: int = 0) -> Int[np.ndarray, " total"]:
    """Returns one symbol for each position, 0 for one that is not kept.

    Args:
        shift: low bits that are left out.
    """
    coarse = symbols.values >> shift
    if symbols.kept is None:
        return coarse
    marked = np.zeros(symbols.layout.total, coarse.dtype)
    marked[symbols.kept] = coarse + 1
    return marked


def unmark(
    layout: Layout,
    marked: Int[np.ndarray, " total"],
    low: Int[np.ndarray, " n"] | int = 0,
    shift: int = 0,
) -> Symbols:
    """Returns the symbols of which `mark` made `marked`, given their low bits."""
    kept = marked > 0 if layout.masked else None
    values = marked if kept is None else marked[kept] - 1
    return Symbols(layout, (values << shift) + low, kept)
