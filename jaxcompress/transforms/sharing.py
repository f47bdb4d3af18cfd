"""Weight sharing: every surviving weight becomes one of a few shared values.

The weights of a tensor are counted and summed in cells of the line, in one pass and
without a sort. Neighbouring cells are then grouped, and a shared value is the mean of a
group: what remains works on the cells alone, for all tensors at once.

Dimensions: c cells, k places of a codebook.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import prod
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jax.ops import segment_sum
from jaxtyping import Array, Bool, Float, Int

# A float32 sum runs over at most so many weights, unless there are yet more cells.
_RUN = 4096


@no_type_check  # as a pytree it holds whatever it is mapped to
class Shared(struct.PyTreeNode):
    """A tensor whose entries share a few values.

    Attributes:
        codes: int32, in the tensor's shape: each entry's place in the codebook; 0 for
            removed entries.
        codebook: float32 [k], ascending; the places that no entry has are the last ones,
            and 0.
        used: how many places some entry has, int32 [].
        values: float32, the tensor after sharing: codebook[codes]; unchanged where an
            entry is removed: a row of zeros might be divided by its norm.
    """

    codes: Int[Array, "..."]
    codebook: Float[Array, "..."]
    used: Int[Array, "..."]
    values: Float[Array, "..."]


@no_type_check
class Cells(struct.PyTreeNode):
    """What is in each cell of the line.

    Attributes:
        counts: the number of survivors, int32 [c].
        sums: their sum, float32 [c].
        edges: where each cell begins, and where the last one ends, float32 [c + 1].
    """

    counts: Int[Array, "..."]
    sums: Float[Array, "..."]
    edges: Float[Array, "..."]


class Sharing(ABC):
    """A way to choose a codebook; jit- and vmap-able in everything but `max_size`.

    Called with one tensor it returns `Shared`; all statistics are of survivors.

    Args of a call:
        weights: float32, any shape.
        size: int32 scalar K, 1..max_size: at most so many values.
        kept: bool in the tensor's shape: entries that count and are shared.
        max_size: static, the length of the codebook.
    """

    @abstractmethod
    def cells(
        self,
        weights: Float[Array, "..."],
        size: Int[Array, ""],
        kept: Bool[Array, "..."],
        max_size: int,
    ) -> tuple[Int[Array, "..."], Cells]:
        """Returns the cell of each weight, ascending with the weights, and the cells."""

    @abstractmethod
    def groups(
        self, cells: Cells, size: Int[Array, ""], max_size: int
    ) -> tuple[Int[Array, " c"], Bool[Array, " k"]]:
        """Returns each cell's group, ascending, 0..k-1, and which groups have value 0."""

    def __call__(
        self,
        weights: Float[Array, "..."],
        size: Int[Array, ""],
        kept: Bool[Array, "..."],
        max_size: int,
    ) -> Shared:
        return self.each({"": weights}, {"": size}, {"": kept}, max_size)[""]

    def each(
        self,
        weights: Mapping[str, Array],
        sizes: Mapping[str, Array],
        kept: Mapping[str, Array],
        max_size: int,
    ) -> dict[str, Shared]:
        """Returns by name tensors that have a codebook each; compiles them as one."""
        weights = lax.stop_gradient(dict(weights))
        found = {n: self.cells(w, sizes[n], kept[n], max_size) for n, w in weights.items()}

        def codebook(cells: Cells, size: Int[Array, ""]) -> tuple[Array, Array, Array]:
            return _codebook(cells, *self.groups(cells, size, max_size))

        every: Any = jax.tree.map(lambda *x: jnp.stack(x), *(c for _, c in found.values()))
        size = jnp.stack([jnp.asarray(sizes[name]) for name in found])
        places, codebooks, used = jax.vmap(codebook)(every, size)
        shared = {}
        for i, (name, (of, _)) in enumerate(found.items()):
            codes = jnp.where(kept[name], places[i][of], 0)
            values = jnp.where(kept[name], codebooks[i][codes], weights[name])
            shared[name] = Shared(codes, codebooks[i], used[i], values)
        return shared

    def pooled(
        self,
        weights: Mapping[str, Array],
        size: Int[Array, ""],
        kept: Mapping[str, Array],
        max_size: int,
    ) -> dict[str, Shared]:
        """Returns by name tensors that have one codebook together."""
        shapes = {name: jnp.shape(leaf) for name, leaf in weights.items()}
        line = jnp.concatenate([jnp.ravel(weights[name]) for name in shapes])
        mask = jnp.concatenate([jnp.ravel(kept[name]) for name in shapes])
        found = self(line, size, mask, max_size)
        cuts = np.cumsum([prod(shape) for shape in shapes.values()])[:-1]
        codes, values = jnp.split(found.codes, cuts), jnp.split(found.values, cuts)
        return {
            name: found.replace(codes=c.reshape(shape), values=v.reshape(shape))
            for (name, shape), c, v in zip(shapes.items(), codes, values, strict=True)
        }


def _codebook(
    cells: Cells, group: Int[Array, " c"], zero: Bool[Array, " k"]
) -> tuple[Int[Array, " c"], Float[Array, " k"], Int[Array, ""]]:
    """Returns every cell's place in the codebook, the codebook, and its places in use."""
    k = zero.size
    counts = segment_sum(cells.counts, group, k)
    means = segment_sum(cells.sums, group, k) / jnp.maximum(counts, 1)
    used = counts > 0
    places = jnp.where(used, jnp.cumsum(used) - 1, k)
    values = jnp.where(zero, 0.0, means)
    codebook = jnp.zeros(k).at[places].set(values, mode="drop")
    return places[group], codebook, used.sum(dtype=jnp.int32)


def ends(
    weights: Float[Array, "..."], kept: Bool[Array, "..."]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Returns the least and the largest survivor; 0 and 0 if there is none."""
    low = jnp.min(weights, where=kept, initial=jnp.inf)
    high = jnp.max(weights, where=kept, initial=-jnp.inf)
    return jnp.where(low > high, 0.0, low), jnp.where(low > high, 0.0, high)


def place(
    weights: Float[Array, "..."],
    low: Float[Array, ""],
    high: Float[Array, ""],
    steps: Int[Array, ""] | int,
) -> Int[Array, "..."]:
    """Returns in which of `steps` equal steps a weight lies; `steps` for the largest."""
    width = jnp.where(high > low, high - low, 1.0)
    inner = jnp.floor((weights - low) / width * steps).astype(jnp.int32)
    # Rounded, the quotient may reach 1 below the largest, or not reach it there.
    return jnp.where(weights < high, jnp.clip(inner, 0, jnp.maximum(steps - 1, 0)), steps)


def tally(
    weights: Float[Array, "..."],
    kept: Bool[Array, "..."],
    of: Int[Array, "..."],
    begins: Float[Array, " c"],
) -> tuple[Int[Array, " c"], Float[Array, " c"]]:
    """Returns how many survivors each cell has, and their sum.

    Args:
        begins: where each cell begins. What is summed are distances from there: of equal
            weights the roundings of a sum all go the same way.
    """
    flat, c = of.ravel(), begins.size
    counts = segment_sum(kept.ravel().astype(jnp.int32), flat, c)
    # Sums of sums: one long float32 sum would lose its last digits.
    run = max(_RUN, 4 * c)
    runs = -(-flat.size // run)
    ids = flat + c * (jnp.arange(flat.size, dtype=jnp.int32) // run)
    line = jnp.where(kept, weights - begins[of], 0.0).ravel()
    distances = segment_sum(line, ids, runs * c).reshape(runs, c).sum(0)
    return counts, counts * begins + distances
