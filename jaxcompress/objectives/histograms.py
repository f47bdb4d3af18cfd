"""How often each symbol of a stored tensor occurs under a plan, without coding it anew.

Where a plan only removes channels and chooses bits, it adds up the cells of each tensor
(`cells`) by the share of them that survives. From the histogram of values that this gives
follows the scale, by the rule of the plan, and from the scale the symbols.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxcompress.codings import expected_escapes
from jaxcompress.compress import Counts
from jaxcompress.compress.parts import Part, grid
from jaxcompress.network import Network
from jaxcompress.objectives.cells import Cells
from jaxcompress.objectives.grids import grid_end, symbols_of, within
from jaxcompress.transforms.quantize import STEPS


def from_cells(
    network: Network,
    counts: Counts,
    tensors: Sequence[Cells],
    alive: Bool[Array, " units"],
    scale_by: str,
) -> tuple[Float[Array, "tensors WIDTH"], Float[Array, "tensors 7"]]:
    """Returns of tensors under a plan the histograms and the escapes of "csr"."""
    lines, places, tops = [], [], []
    for part, tensor in zip(counts.parts, tensors, strict=True):
        line = _survivors(network, part, tensor.line_axes, alive)
        place = _survivors(network, part, tensor.place_axes, alive)
        lines.append(_shares(line, tensor.lines, tensor.steps))
        places.append(_shares(place, tensor.places, tensor.steps))
        tops.append(_top(tensor, line, place))
    own = any(tensor.by_line or tensor.by_place for tensor in tensors)
    each = partial(_symbols, scale_by=scale_by, own=own)
    return jax.vmap(each)(
        jnp.asarray(np.stack([tensor.counts for tensor in tensors])),
        jnp.stack(lines),
        jnp.stack(places),
        jnp.stack(tops),
        jnp.asarray(np.stack([tensor.factors for tensor in tensors])),
        counts.bits,
        counts.entries.astype(jnp.float32),
    )


def _survivors(
    network: Network, part: Part, axes: tuple[int, ...], alive: Bool[Array, " units"]
) -> Bool[Array, " n"]:
    columns = network.columns(part.path)
    masks = [network.layout.mask(columns[axis], alive) for axis in axes]
    return jnp.asarray(grid(masks)).reshape(-1)


def _shares(
    kept: Bool[Array, " n"], members: Float[np.ndarray, "n classes"], steps: float
) -> Float[Array, " classes"]:
    """Returns the share of each class that survives, in whole steps of the largest."""
    found = kept.astype(jnp.float32) @ members / np.maximum(members.sum(axis=0), 1.0)
    return jnp.round(found * (steps / jnp.maximum(found.max(), 1e-6)))


def _top(
    tensor: Cells, line: Bool[Array, " lines"], place: Bool[Array, " places"]
) -> Float[Array, ""]:
    """Returns the largest surviving magnitude, the mean of those of all scales."""
    there = line[tensor.largest_lines] & place[tensor.largest_places]
    # Where none that is listed survives, those that do are at most the last one.
    tops = jnp.where(there, tensor.largest, tensor.largest[:, -1:]).max(axis=1)
    own = line if tensor.by_line else place if tensor.by_place else jnp.ones(1, bool)
    return jnp.where(own, tops, 0.0).sum() / jnp.maximum(own.sum(), 1)


def _symbols(
    counts: Float[Array, "lines places bins"],
    lines: Float[Array, " lines"],
    places: Float[Array, " places"],
    top: Float[Array, ""],
    factors: Float[Array, " allowed"],
    bits: Int[Array, ""],
    entries: Float[Array, ""],
    scale_by: str,
    own: bool,
) -> tuple[Float[Array, " WIDTH"], Float[Array, "7"]]:
    """Returns the histogram of one tensor and its escapes in "csr"."""
    exactly = partial(jnp.einsum, precision=lax.Precision.HIGHEST)
    by_line = exactly("p,lpb->lb", places, counts)
    found = exactly("l,lb->b", lines, by_line)
    whole = entries / jnp.maximum(found.sum(), 1.0)
    end = grid_end(found, top, bits, scale_by, own) * factors[jnp.minimum(bits, 16)]
    symbols = symbols_of(found, end, bits) * whole
    steps = jnp.asarray(STEPS)[jnp.minimum(bits, 16)]
    half = jnp.where(bits == 1, 0.0, 0.5 * end / jnp.maximum(steps, 1.0))
    totals = lines * by_line.sum(axis=1)
    kept = totals - lines * (by_line * within(half)).sum(axis=1)
    escapes = jax.vmap(expected_escapes)(kept * whole, totals * whole)
    return symbols, escapes.sum(axis=0)
