"""What writes, reads and measures one coding."""

from collections.abc import Callable
from typing import NamedTuple

from jaxcompress.annotations import Array, Float
from jaxcompress.codings.counts import Counts
from jaxcompress.codings.stream import Bits, Reader
from jaxcompress.codings.symbols import Layout, Symbols


class Coder(NamedTuple):
    """One way to store symbols.

    Attributes:
        write: symbols -> the bits of their fields, one array after the other.
        read: the inverse of it; raises ValueError where the data are damaged.
        size: the number of bits that `write` makes, traceable.
    """

    write: Callable[[Symbols], list[Bits]]
    read: Callable[[Reader, Layout], Symbols]
    size: Callable[[Counts], Float[Array, ""]]
