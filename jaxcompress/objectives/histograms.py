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
from jaxcompress.objectives.cells import BINS, Cells
from jaxcompress.transforms.quantize import PERCENTILE, SHRINKS, STEPS

WIDTH = 1024  # symbols of a histogram; of larger alphabets the low bits are left out
# By bits: half a grid, the low bits that an entropy coder leaves out, the whole grid.
_HALF = np.asarray([0, 0] + [2 ** (b - 1) - 1 for b in range(2, 17)] + [0] * 16, np.int32)
_SHIFT = np.asarray([max(b - 10, 0) for b in range(17)] + [0] * 16, np.int32)
ALPHABET = np.asarray([1, 2] + [2**b - 1 for b in range(2, 17)] + [1] * 16, np.int32)
# The magnitude that stands for each bin on one side of zero: its middle.
_ROOTS = np.arange(BINS + 1, dtype=np.float32) / BINS
_MIDDLES = (np.square(_ROOTS[:-1]) + np.square(_ROOTS[1:])) / 2


def symbol(codes: Int[Array, "..."], bits: Int[Array, ""]) -> Int[Array, "..."]:
    """Returns codes of a grid as symbols 0..WIDTH - 1, without their low bits."""
    whole = (codes + jnp.asarray(_HALF)[bits]) >> jnp.asarray(_SHIFT)[bits]
    return jnp.where(bits == 1, (codes + 1) // 2, whole)


def alphabet(bits: Int[Array, "*n"]) -> Int[Array, "*n"]:
    """Returns how many symbols a grid has; 1 for plain values."""
    return jnp.asarray(ALPHABET)[bits]


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
    each = partial(_symbols, scale_by=scale_by)
    return jax.vmap(each)(
        jnp.asarray(np.stack([tensor.counts for tensor in tensors])),
        jnp.stack(lines),
        jnp.stack(places),
        jnp.stack(tops),
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
    bits: Int[Array, ""],
    entries: Float[Array, ""],
    scale_by: str,
) -> tuple[Float[Array, " WIDTH"], Float[Array, "7"]]:
    """Returns the histogram of one tensor and its escapes in "csr"."""
    exactly = partial(jnp.einsum, precision=lax.Precision.HIGHEST)
    by_line = exactly("p,lpb->lb", places, counts)
    found = exactly("l,lb->b", lines, by_line)
    whole = entries / jnp.maximum(found.sum(), 1.0)
    steps = jnp.asarray(STEPS)[jnp.minimum(bits, 16)]
    end = _end(found[BINS:] + found[:BINS][::-1], top, steps, scale_by)
    # The lower edge of each symbol; all below the first are in it, those above the last.
    index = jnp.arange(WIDTH + 1)
    code = (index << jnp.asarray(_SHIFT)[bits]) - jnp.asarray(_HALF)[bits]
    edges = jnp.where(bits == 1, 0.0, (code - 0.5) * (end / jnp.maximum(steps, 1.0)))
    edges = jnp.where(index == 0, -1.0, edges)
    last = (jnp.asarray(ALPHABET)[bits] - 1) >> jnp.asarray(_SHIFT)[bits]
    below = _below(found, jnp.where(index > last, 1.0, edges))
    symbols = jnp.maximum(jnp.diff(below), 0.0) * whole
    half = jnp.where(bits == 1, 0.0, 0.5 * end / jnp.maximum(steps, 1.0))
    inside = jnp.clip(_bin(half) - jnp.arange(2 * BINS), 0.0, 1.0)
    inside = inside - jnp.clip(_bin(-half) - jnp.arange(2 * BINS), 0.0, 1.0)
    totals = lines * by_line.sum(axis=1)
    kept = totals - lines * (by_line * inside).sum(axis=1)
    escapes = jax.vmap(expected_escapes)(kept * whole, totals * whole)
    return symbols, escapes.sum(axis=0)


def _end(
    sizes: Float[Array, " BINS"], top: Array, steps: Array, scale_by: str
) -> Float[Array, ""]:
    """Returns the magnitude at the end of the grid, as `quantize` finds it."""
    if scale_by == "percentile":
        ends = jnp.cumsum(sizes)
        wanted = PERCENTILE / 100.0 * ends[-1]
        place = jnp.minimum(jnp.sum(ends < wanted), BINS - 1)
        inside = 1.0 - (ends[place] - wanted) / jnp.maximum(sizes[place], 1.0)
        top = jnp.square((place + jnp.clip(inside, 0.0, 1.0)) / BINS)
    top = jnp.where(top > 0.0, top, 1.0)
    if scale_by != "least_squares":
        return top
    ends = top * jnp.asarray(SHRINKS)
    step = (ends / jnp.maximum(steps, 1.0))[:, None]
    codes = jnp.minimum(jnp.round(_MIDDLES / step), steps)
    losses = (sizes * jnp.square(codes * step - _MIDDLES)).sum(axis=1)
    return ends[jnp.argmin(losses)]


def _below(found: Float[Array, " bins"], values: Float[Array, " n"]) -> Float[Array, " n"]:
    """Returns how many entries are below some values."""
    ends = jnp.concatenate([jnp.zeros(1), jnp.cumsum(found)])
    place = _bin(values)
    first = jnp.minimum(place.astype(jnp.int32), 2 * BINS - 1)
    return ends[first] + (place - first) * found[first]


def _bin(values: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Returns the bin of each value, and how far in it, 0..2 BINS."""
    root = jnp.sqrt(jnp.minimum(jnp.abs(values), 1.0))
    return BINS * (1.0 + jnp.sign(values) * root)
