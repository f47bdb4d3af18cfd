"""The kept symbols, and the gap before each in a few bits (Han et al. 2016).

A gap of g bits counts up to 2^g - 2 positions that are not kept; all ones are an escape:
2^g - 1 positions are passed over, and another gap follows. The width, 2..8, is the one
that makes the fewest bits.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxcompress.codings.coding import Coding
from jaxcompress.codings.counts import Counts, bit_length
from jaxcompress.codings.stream import Bits, Reader, number_bits
from jaxcompress.codings.symbols import Layout, Symbols, at_positions
from jaxcompress.transforms.packing import to_bits

GAP_WIDTHS = range(2, 9)
_WIDTHS = np.asarray(GAP_WIDTHS)
_ESCAPES = (1 << _WIDTHS) - 1


def escapes(
    kept: Bool[Array, " total"], alive: Bool[Array, " total"] | None = None
) -> Float[Array, "7"]:
    """Returns how many escapes a mask needs at each width of a gap; traceable.

    Args:
        kept: whether a position holds a symbol.
        alive: which positions there are at all, a superset of `kept`; None for all.

    Example:
        >>> import jax.numpy as jnp
        >>> escapes(jnp.arange(20) == 13)  # 13 = 4 * 3 + 1 = 1 * 7 + 6
        Array([4., 1., 0., 0., 0., 0., 0.], dtype=float32)
    """
    alive = jnp.ones_like(kept) if alive is None else alive
    place = jnp.cumsum(alive.astype(jnp.int32))  # from 1, so that 0 is before all
    last = lax.cummax(jnp.where(kept, place, 0))
    before = jnp.concatenate([jnp.zeros(1, jnp.int32), last])[:-1]
    gap = jnp.where(kept, place - 1 - before, 0)
    return jnp.stack([(gap // m).sum(dtype=jnp.float32) for m in _ESCAPES.tolist()])


def expected_escapes(kept: Float[Array, ""], total: Float[Array, ""]) -> Float[Array, "7"]:
    """Returns the mean of `escapes` over masks that keep every position as likely.

    Args:
        kept: the number of kept positions; total: of all positions.
    """
    # A gap is geometric, so it holds j escapes of m with probability q^(m j).
    share = jnp.clip(kept / jnp.maximum(total, 1.0), 1e-9, 1.0)
    log_power = jnp.asarray(_ESCAPES, jnp.float32) * jnp.log1p(-share)
    return kept * jnp.exp(log_power) / -jnp.expm1(log_power)


def _write(symbols: Symbols) -> list[Bits]:
    layout = symbols.layout
    gaps = np.diff(symbols.positions, prepend=-1) - 1
    costs = [width * _fields(gaps, width) for width in GAP_WIDTHS]
    width = GAP_WIDTHS[int(np.argmin(costs))]
    escape = (1 << width) - 1
    fields = np.full(_fields(gaps, width), escape)
    fields[np.cumsum(gaps // escape + 1) - 1] = gaps % escape
    return [
        number_bits(width - GAP_WIDTHS[0], 7),
        number_bits(fields.size, layout.total),
        to_bits(fields, width),
        to_bits(symbols.values, layout.width),
    ]


def _fields(gaps: Int[np.ndarray, " n"], width: int) -> int:
    return int((gaps // ((1 << width) - 1) + 1).sum())


def _read(reader: Reader, layout: Layout) -> Symbols:
    width = reader.number(7) + GAP_WIDTHS[0]
    if width not in GAP_WIDTHS:
        raise ValueError(f"the data are damaged: gaps of {width} bits")
    fields = reader.values(width, reader.number(layout.total))
    entry = fields != (1 << width) - 1
    positions = np.cumsum(fields + entry)[entry] - 1
    return at_positions(layout, reader.values(layout.width, positions.size), positions)


def _size(counts: Counts) -> Float[Array, ""]:
    escaped = counts.escapes
    if escaped is None:
        escaped = expected_escapes(counts.kept, counts.total)
    gaps = (jnp.asarray(_WIDTHS, jnp.float32) * (counts.kept + escaped)).min()
    width = bit_length(counts.alphabet - 1).astype(jnp.float32)
    return 3 + bit_length(counts.total) + gaps + counts.kept * width


CSR = Coding(_write, _read, _size)
