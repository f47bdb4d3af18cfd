"""How many escapes the gaps of a mask need in csr, on the device."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcompress.annotations import Array, Bool, Float

GAP_WIDTHS = range(2, 9)
_SPANS = np.asarray([(1 << width) - 1 for width in GAP_WIDTHS], np.float32)


def escapes(
    kept: Bool[Array, " total"], alive: Bool[Array, " total"] | None = None
) -> Float[Array, "7"]:
    """Returns how many escapes a mask needs at each width of a gap; traceable.

    The mask is cut into as many lines as each has positions. All lines are walked along at
    once; then the gap that each has open at its end is passed on to the next.

    Args:
        kept: whether a position holds a symbol.
        alive: which positions there are at all, a superset of `kept`; None for all.

    Returns:
        float32 [7], for gaps of 2..8 bits; exact for gaps of up to 2^21 positions.

    Example:
        >>> import jax.numpy as jnp
        >>> escapes(jnp.arange(20) == 13)  # 13 = 4 * 3 + 1 = 1 * 7 + 6
        Array([4., 1., 0., 0., 0., 0., 0.], dtype=float32)
    """
    alive = jnp.ones_like(kept) if alive is None else alive
    length = 1 << (kept.size.bit_length() + 1) // 2
    lines = -(-kept.size // length)

    def cut(mask: Array) -> Array:
        return jnp.pad(mask, (0, lines * length - kept.size)).reshape(lines, length).T

    def step(carry: tuple[Array, Array, Array], place: tuple[Array, Array]):
        gap, first, count = carry
        holds, exists = place
        count = count + _escapes_of(gap, holds & (first >= 0.0))
        first = jnp.where(holds & (first < 0.0), gap, first)
        return (jnp.where(holds, 0.0, gap + exists), first, count), None

    zero = jnp.zeros(lines, jnp.float32)
    start = (zero, zero - 1.0, jnp.zeros(_SPANS.size, jnp.float32))
    (last, first, count), _ = lax.scan(step, start, (cut(kept), cut(alive)))

    def join(gap: Array, line: tuple[Array, Array]):
        last, first = line
        return jnp.where(first < 0.0, gap + last, last), gap + first

    _, gap = lax.scan(join, jnp.zeros((), jnp.float32), (last, first))
    return count + _escapes_of(gap, first >= 0.0)


def expected_escapes(kept: Float[Array, ""], total: Float[Array, ""]) -> Float[Array, "7"]:
    """Returns the mean of `escapes` over masks that keep every position as likely.

    Args:
        kept: the number of kept positions; total: of all positions.
    """
    # A gap is geometric, so it holds j escapes of m with probability q^(m j).
    share = jnp.clip(kept / jnp.maximum(total, 1.0), 1e-9, 1.0)
    log_power = jnp.asarray(_SPANS) * jnp.log1p(-share)
    return kept * jnp.exp(log_power) / -jnp.expm1(log_power)


def _escapes_of(gap: Float[Array, " n"], counts: Bool[Array, " n"]) -> Float[Array, "7"]:
    # Halfway between two integers a product rounds to the right side of a multiple.
    found = jnp.floor((gap + 0.5) * jnp.asarray(1.0 / _SPANS)[:, None])
    return jnp.where(counts, found, 0.0).sum(axis=1)
