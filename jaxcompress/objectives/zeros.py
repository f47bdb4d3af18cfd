"""What is left of counted values when those of least magnitude become zero.

Values of a class of channels are in units of its own; a threshold is one for all.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxcompress.objectives.grids import BINS, at

_ROUNDS = 18  # of bisection: 2^-10 of a bin


def threshold(
    below: Float[Array, "classes edges"],
    units: Float[Array, " classes"],
    zeros: Float[Array, ""],
) -> Float[Array, " classes"]:
    """Returns how many bins from zero the threshold is, in the units of each class.

    Args:
        below: how many values of each class are below each edge of the bins.
        units: what the value 1 of each class is.
        zeros: how many entries become zero.
    """
    # Bins are equally wide in the square root of a magnitude.
    spread = BINS * jnp.sqrt(units.max() / units)

    def narrowed(_: Int[Array, ""], ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2.0
        low_side, high_side = _around(below, jnp.minimum(middle * spread, BINS))
        enough = _in_turn(high_side - low_side) > zeros
        return jnp.where(enough, low, middle), jnp.where(enough, middle, high)

    low, _ = lax.fori_loop(0, _ROUNDS, narrowed, (jnp.float32(0.0), jnp.float32(1.0)))
    return jnp.minimum(low * spread, BINS)


def without_zeros(
    below: Float[Array, "classes edges"], inside: Float[Array, " classes"]
) -> Float[Array, "classes edges"]:
    """Leaves out the values within so many bins from zero."""
    low, high = _around(below, inside)
    return jnp.minimum(below, low[:, None]) + jnp.maximum(below - high[:, None], 0.0)


def _around(
    below: Float[Array, "classes edges"], inside: Float[Array, " classes"]
) -> tuple[Float[Array, " classes"], Float[Array, " classes"]]:
    return jax.vmap(at)(below, BINS - inside), jax.vmap(at)(below, BINS + inside)


def _in_turn(values: Float[Array, " n"]) -> Float[Array, ""]:
    """Adds one after the other: the same to the last bit however many plans there are."""
    return sum(jnp.unstack(values), jnp.float32(0.0))
