"""An archive of bounded size on device: one member for each box of the objective space.

Where evaluations are noisy, differences below the noise are no trade-offs: with the
standard error as box size the archive keeps one point for what cannot be told apart.

Dimensions: c capacity, n new points, d genes, m objectives.
"""

from typing import no_type_check

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from jaxcompress.evolution.algorithm import Evaluation, sanitize
from jaxcompress.evolution.crowding import crowding_distance
from jaxcompress.evolution.pareto import front_mask


@no_type_check  # see `Evaluation`
class EpsilonArchive(struct.PyTreeNode):
    """The members, in the lexicographic order of their boxes, and then empty rows.

    Attributes:
        genotypes: int32 [c, d], 0 in empty rows.
        objectives: float32 [c, m], +inf in empty rows.
        mask: bool [c], which rows are members.
        truncated: int32 [], how many members were dropped for want of capacity, ever.
    """

    genotypes: Int[Array, "c d"]
    objectives: Float[Array, "c m"]
    mask: Bool[Array, " c"]
    truncated: Int[Array, ""]


def epsilon_archive(capacity: int, num_genes: int, num_objectives: int) -> EpsilonArchive:
    """Returns an empty archive.

    Args:
        capacity: c, the most members, at least 1.
        num_genes: d.
        num_objectives: m.

    Raises:
        ValueError: a size is below 1.
    """
    sizes = {"capacity": capacity, "genes": num_genes, "objectives": num_objectives}
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"epsilon_archive: {name} is {size}; it must be 1 or more.")
    return EpsilonArchive(
        genotypes=jnp.zeros((capacity, num_genes), jnp.int32),
        objectives=jnp.full((capacity, num_objectives), jnp.inf, jnp.float32),
        mask=jnp.zeros(capacity, bool),
        truncated=jnp.zeros((), jnp.int32),
    )


def add_to_archive(
    archive: EpsilonArchive,
    genotypes: Int[Array, "n d"],
    evaluation: Evaluation,
    epsilon: Float[Array, " m"],
) -> EpsilonArchive:
    """Adds what was evaluated; members are kept by box (Laumanns et al. 2002).

    A point lies in the box floor(objectives / epsilon). Boxes that another box
    dominates are emptied; of the points in a box, the nearest to its best corner stays
    (Deb et al. 2005), the older one of equal points. So as long as nothing is truncated,
    every feasible point ever added is dominated by a member, give or take `epsilon`, and
    the order in which points were added does not matter. When there are more boxes than
    rows, those with the smallest crowding distance are dropped, and counted.

    Args:
        archive: from `epsilon_archive`, or what was returned before.
        genotypes: int32 [n, d].
        evaluation: objectives [n, m] and violation [n]; what is infeasible or not finite
            does not enter.
        epsilon: float [m], the sides of the boxes in the units of the objectives, the
            same at every call; 0 for an objective in which every difference counts.

    Returns:
        The archive with the new members.

    Example:
        >>> archive = epsilon_archive(capacity=8, num_genes=2, num_objectives=2)
        >>> genotypes = jnp.array([[0, 1], [1, 0], [1, 1]])
        >>> objectives = jnp.array([[0.12, 5.0], [0.11, 5.2], [0.30, 4.0]])
        >>> told = Evaluation(objectives, jnp.zeros(3))
        >>> archive = add_to_archive(archive, genotypes, told, jnp.array([0.05, 1.0]))
        >>> archive.genotypes[archive.mask]
        Array([[1, 0],
               [1, 1]], dtype=int32)
    """
    clean, _ = sanitize(evaluation)
    rows = jnp.concatenate([archive.genotypes, genotypes.astype(jnp.int32)])
    objectives = jnp.concatenate([archive.objectives, clean.objectives])
    alive = jnp.concatenate([archive.mask, clean.violation <= 0])

    side = epsilon.astype(jnp.float32)[None, :]
    # What is not alive must not make inf - inf, nor a quotient overflow.
    value = jnp.where(alive[:, None], objectives, 0)
    scaled = jnp.nan_to_num(value / jnp.where(side > 0, side, 1))
    box = jnp.where(side > 0, jnp.floor(scaled), scaled)
    distance = jnp.sum((scaled - box) ** 2, axis=1)
    order = jnp.lexsort((*value.T[::-1], distance, *box.T[::-1], ~alive))
    rows, objectives, alive, box = rows[order], objectives[order], alive[order], box[order]

    same_box = alive[1:] & jnp.all(box[1:] == box[:-1], axis=1)
    alive &= ~jnp.concatenate([jnp.zeros(1, bool), same_box])
    alive &= front_mask(box, jnp.where(alive, 0.0, jnp.inf))

    capacity = archive.mask.shape[0]
    crowding = crowding_distance(objectives, (~alive).astype(jnp.int32))
    turn = jnp.argsort(jnp.lexsort((-crowding, ~alive)))
    kept = alive & (turn < capacity)
    place = jnp.argsort(~kept)[:capacity]  # stable: the order of the boxes stays
    mask = kept[place]
    return EpsilonArchive(
        genotypes=jnp.where(mask[:, None], rows[place], 0),
        objectives=jnp.where(mask[:, None], objectives[place], jnp.inf),
        mask=mask,
        truncated=archive.truncated + jnp.sum(alive & ~kept, dtype=jnp.int32),
    )
