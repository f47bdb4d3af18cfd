"""What the size of coded symbols depends on, on the device."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax import lax

from jaxcompress.annotations import Array, Float, Int, Shaped
from jaxcompress.codings.symbols import MODELLED_BITS


@dataclass(frozen=True, eq=False)
class Counts:
    """How often each symbol occurs, and among how many positions.

    Attributes:
        histogram: float32, how often each symbol occurs, without its low bits.
        total: float32, the number of positions.
        alphabet: int32, the number of symbols.
        escapes: float32 [7], see `escapes`; None where nobody counted them.
        masked: whether some positions may hold no symbol.
    """

    histogram: Float[Array, " a"]
    total: Float[Array, ""]
    alphabet: Int[Array, ""]
    escapes: Float[Array, "7"] | None
    masked: bool

    @property
    def kept(self) -> Float[Array, ""]:
        """The number of positions that hold a symbol."""
        return self.histogram.sum()

    @property
    def rest(self) -> Float[Array, ""]:
        """The number of positions that hold none."""
        return jnp.maximum(self.total - self.kept, 0.0) * self.masked

    @property
    def modelled(self) -> Int[Array, ""]:
        """The number of symbols without their low bits."""
        return ((self.alphabet - 1) >> low_bits(self.alphabet)) + 1

    def marked(self) -> tuple[Float[Array, " b"], Int[Array, ""]]:
        """Returns the histogram and the number of the symbols that `mark` makes."""
        if not self.masked:
            return self.histogram, self.modelled
        return jnp.concatenate([self.rest[None], self.histogram]), self.modelled + 1


def bit_length(value: Shaped[Array, "*shape"]) -> Int[Array, "*shape"]:
    """Returns the bits of a positive number, 0 for 0; traceable `int.bit_length`."""
    return 32 - lax.clz(value.astype(jnp.int32))


def low_bits(alphabet: Int[Array, ""] | int) -> Int[Array, ""]:
    """Returns how many low bits of a symbol an entropy coder stores as they are.

    They are as good as random where there are more than 1,024 symbols, and a histogram
    of these would cost more than it saves. `coded_bits` wants the histogram without them.

    Args:
        alphabet: int32, traced or not.

    Example:
        >>> low_bits(256), low_bits(65535)
        (Array(0, dtype=int32), Array(6, dtype=int32))
    """
    return jnp.maximum(bit_length(jnp.asarray(alphabet) - 1) - MODELLED_BITS, 0)
