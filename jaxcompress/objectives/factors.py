"""How the grids of single channels differ from the one that all their values show.

Each channel chooses its grid for itself; how these differ at some bits, and under a share
of zeros, the unit of other bits does not show. So what the end of the grid is multiplied
by is measured on some channels: their histogram then has the entropy of their codes.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxcompress.objectives.grids import (
    WIDTH,
    grid_end,
    symbol,
    symbols_of,
    zero_symbol,
)
from jaxcompress.objectives.zeros import threshold, without_zeros
from jaxcompress.transforms import quantize
from jaxcompress.transforms.quantize import ALLOWED_BITS

_TRIED = np.exp(np.linspace(-0.4, 0.4, 81)).astype(np.float32)
_HALVINGS = np.asarray([0.0, 1.0, 3.0, 5.0], np.float32)  # of what is not zero
_SAMPLED = 1 << 18  # entries
_LEAST_SAMPLED = 32  # channels


def no_factors() -> Float[np.ndarray, "halvings 17"]:
    """Returns ones: by halvings of the share that is not zero, and by bits."""
    return np.ones((_HALVINGS.size, 17), np.float32)


def factor_of(
    table: Float[Array, "halvings 17"], left: Float[Array, ""], bits: Int[Array, ""]
) -> Float[Array, ""]:
    """Returns the factor for the share of entries that is left, and bits."""
    halvings = -jnp.log2(jnp.maximum(left, 1e-6))
    column = table[:, jnp.minimum(bits, 16)]
    return jnp.interp(halvings, jnp.asarray(_HALVINGS), column)


def factors(
    table: Float[np.ndarray, "channels others"],
    units: Float[np.ndarray, " channels"],
    means: Float[np.ndarray, " classes"],
    sample: Callable[[Int[np.ndarray, " n"]], Float[np.ndarray, "classes edges"]],
    scale_by: str,
    zeros: bool,
) -> Float[np.ndarray, "halvings 17"]:
    """Measures the factors of a tensor whose channels have scales of their own.

    Args:
        units: of each channel; means: of each class of them.
        sample: counts the entries of some channels, by class.
        zeros: whether plans may set entries to zero.
    """
    found = no_factors()
    if scale_by == "max" or (scale_by == "percentile" and not zeros):
        return found
    channels, others = table.shape
    wanted = min(max(_SAMPLED // max(others, 1), _LEAST_SAMPLED), channels)
    rows = np.argsort(units, kind="stable")[np.arange(wanted) * channels // wanted]
    weights, below = table[rows], sample(rows)
    sizes = np.abs(weights)
    every = np.sort(np.abs(table), axis=None) if zeros else sizes
    top = np.float32((sizes.max(axis=1) / units[rows]).mean())
    with jax.ensure_compile_time_eval():
        for row, halvings in enumerate(_HALVINGS if zeros else _HALVINGS[:1]):
            lost = round((1.0 - 0.5**halvings) * every.size)
            least = every[lost - 1] if lost else np.float32(-1.0)
            kept = sizes > least
            for bits in map(jnp.int32, ALLOWED_BITS):
                if 1 < bits < 32:
                    _, symbols = coded(weights, bits, kept, (0,), scale_by)
                    counted = np.bincount(np.asarray(symbols)[kept], minlength=WIDTH)
                    given = map(jnp.asarray, (counted.astype(np.float32), below, means))
                    found[row, bits] = _factor(*given, top, bits, scale_by)
    if not zeros:
        found[1:] = found[0]
    return found


@partial(jax.jit, static_argnums=(3, 4))
def coded(
    weight: Array, bits: Array, kept: Array, axes: tuple[int, ...], scale_by: str
) -> tuple[Array, Array]:
    """Returns scales and symbols, both of one program for each shape."""
    found = quantize(weight, bits, kept, axes, scale_by)
    return found.scale, symbol(found.codes, bits)


@partial(jax.jit, static_argnums=5)
def _factor(
    counted: Float[Array, " WIDTH"],
    below: Float[Array, "classes edges"],
    means: Float[Array, " classes"],
    top: Float[Array, ""],
    bits: Int[Array, ""],
    scale_by: str,
) -> Float[Array, ""]:
    """Returns which of `_TRIED` gives a histogram the entropy of counted codes."""
    zeros = below[:, -1].sum() - counted.sum()
    left = without_zeros(below, threshold(below, means, zeros)).sum(axis=0)
    left = left * (counted.sum() / jnp.maximum(left[-1], 1.0))
    end = grid_end(left, top, bits, scale_by, smooth=True)
    every = (jnp.arange(WIDTH) == zero_symbol(bits)).astype(jnp.float32)
    each = jax.vmap(
        lambda factor: _entropy(symbols_of(left, factor * end, bits) + every * zeros)
    )
    wanted = _entropy(counted + every * zeros)
    # Where the end makes no difference it stays.
    off = jnp.abs(each(jnp.asarray(_TRIED)) - wanted) + 1e-4 * np.abs(np.log(_TRIED))
    return jnp.asarray(_TRIED)[jnp.argmin(off)]


def _entropy(counts: Float[Array, " n"]) -> Float[Array, ""]:
    """Returns bits an entry."""
    share = counts / jnp.maximum(counts.sum(), 1.0)
    return -jnp.sum(share * jnp.log2(jnp.where(share > 0.0, share, 1.0)))
