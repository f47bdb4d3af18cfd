"""Who lives on in NSGA-III: the niches around the reference directions.

Dimensions: n members, m objectives, r directions, s survivors.
"""

from typing import no_type_check

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, Key

from jaxcompress.evolution.algorithm import Evaluation
from jaxcompress.evolution.pareto import nondominated_ranks
from jaxcompress.evolution.selection import Survivors

# In units of the front's reach: what counts as on an axis when extremes are looked for,
# and where a plane meets an axis so far out that the directions would find nothing there.
NEAR, FAR = 1e-3, 10.0


@no_type_check  # see `Evaluation`
class Hyperplane(struct.PyTreeNode):
    """What NSGA-III remembers of the front's shape.

    Attributes:
        ideal: float32 [m], the best value of each objective so far; +inf before any.
        extremes: float32 [m, m], row i is the point found nearest to axis i; +inf as
            above.
    """

    ideal: Float[Array, " m"]
    extremes: Float[Array, "m m"]

    @classmethod
    def unknown(cls, num_objectives: int) -> "Hyperplane":
        """Returns what is remembered before the first generation."""
        m = num_objectives
        return cls(jnp.full(m, jnp.inf), jnp.full((m, m), jnp.inf))


def normalize(
    plane: Hyperplane, objectives: Float[Array, "n m"], front: Bool[Array, " n"]
) -> tuple[Float[Array, "n m"], Hyperplane]:
    """Scales objectives so that the front reaches from 0 to about 1 in each.

    The intercepts of the hyperplane through the extreme points with the axes are 1
    (Deb and Jain 2014, section IV-C). The largest values of the front are 1 instead
    where there is no such plane (equal extremes) or where an intercept is not positive or
    more than `FAR` times the front's reach. Beyond the paper, values below `NEAR` of the
    reach count as 0 in the search for extreme points.

    Args:
        plane: of the last generation.
        objectives: float [n, m], finite where `front` is True.
        front: bool [n], the first front; may be empty.

    Returns:
        Normalised objectives [n, m], 0 in rows that are not finite; and the new plane.
    """
    m = objectives.shape[1]
    finite = jnp.isfinite(objectives).all(axis=1, keepdims=True)
    lowest = jnp.min(jnp.where(front[:, None], objectives, jnp.inf), axis=0)
    ideal = jnp.minimum(plane.ideal, lowest)
    safe_ideal = jnp.where(jnp.isfinite(ideal), ideal, 0.0)
    moved = jnp.where(finite, objectives - safe_ideal[None, :], 0.0)
    highest = jnp.max(jnp.where(front[:, None], moved, 0.0), axis=0)

    # The achievement function of axis i: all other objectives weigh a million times.
    weight = jnp.where(jnp.eye(m, dtype=bool), 1.0, 1e6)
    kept = jnp.where(
        jnp.isfinite(plane.extremes), plane.extremes - safe_ideal[None, :], jnp.inf
    )
    points = jnp.concatenate([kept, jnp.where(front[:, None], moved, jnp.inf)])
    scale = jnp.where(highest > 0, highest, 1.0)
    # Else a point next to the axis would lose to any that is nearer by a hair.
    scaled = jnp.where(points < NEAR * scale[None, :], 0.0, points / scale[None, :])
    reach = jnp.max(scaled[:, None, :] * weight[None, :, :], axis=2)
    extremes = points[jnp.argmin(reach, axis=0)]

    # In units of the front, so that one tolerance fits all objectives.
    matrix = jnp.where(jnp.isfinite(extremes), extremes / scale[None, :], 0.0)
    inverse = jnp.linalg.solve(matrix, jnp.ones(m))
    residual = jnp.abs(jnp.sum(matrix * inverse[None, :], axis=1) - 1.0)
    intercepts = scale / jnp.where(inverse > 0, inverse, 1.0)
    sound = jnp.all(
        jnp.isfinite(inverse) & (inverse > 1 / FAR) & (inverse < 1e6) & (residual < 1e-3)
    )
    span = jnp.where(sound, intercepts, highest)
    normalized = moved / jnp.where(span > 0, span, 1.0)[None, :]
    return normalized, Hyperplane(ideal, extremes + safe_ideal[None, :])


def associate(
    normalized: Float[Array, "n m"], directions: Float[Array, "r m"]
) -> tuple[Int[Array, " n"], Float[Array, " n"]]:
    """Finds the nearest direction of every point, and how near its line is.

    Args:
        normalized: float [n, m].
        directions: float [r, m], not 0.

    Returns:
        int32 [n], the row in `directions`; float [n], the perpendicular distance.
    """
    unit = directions / jnp.linalg.norm(directions, axis=1, keepdims=True)
    along = jnp.sum(normalized[:, None, :] * unit[None, :, :], axis=2)
    # Not |x|² - along²: that cancels for points near the line.
    square = jnp.zeros_like(along)
    for i in range(unit.shape[1]):
        square += (normalized[:, i][:, None] - along * unit[:, i][None, :]) ** 2
    nearest = jnp.argmin(square, axis=1)
    return nearest, jnp.sqrt(jnp.min(square, axis=1))


def niche_survive(
    key: Key[Array, ""],
    copies: Bool[Array, " n"],
    evaluation: Evaluation,
    size: int,
    directions: Float[Array, "r m"],
    plane: Hyperplane,
) -> tuple[Survivors, Hyperplane]:
    """Keeps the best fronts, and of the front that is cut those in the emptiest niches.

    Deb and Jain (2014, algorithm 4) fill places one by one: a niche with the fewest
    members takes a candidate of its own, the nearest if it has no member yet, else any.
    So the k-th candidate of a niche with c members comes in when the fewest are c + k,
    and the whole loop is one sort by c + k, with ties broken by chance.

    Args:
        key: random key, consumed.
        copies: bool [n], see `duplicate_mask`; they come last.
        evaluation: sanitized, objectives [n, m] and violation [n].
        size: how many survive, s <= n.
        directions: float32 [r, m].
        plane: of the last generation.

    Returns:
        The s survivors, best first, with crowding 0; and the new plane.
    """
    n = copies.shape[0]
    objectives = jnp.where(copies[:, None], jnp.inf, evaluation.objectives)
    violation = jnp.where(copies, jnp.inf, evaluation.violation)
    ranks = nondominated_ranks(objectives, violation)
    feasible = violation <= 0
    normalized, plane = normalize(plane, objectives, feasible & (ranks == 0))
    niche, distance = associate(normalized, directions)

    cut = jnp.sort(ranks)[size - 1]
    inside = feasible & (ranks < cut)
    members = (
        jnp.zeros(directions.shape[0], jnp.int32).at[niche].add(inside.astype(jnp.int32))
    )
    candidate = feasible & (ranks == cut)
    chance, turn = jax.random.uniform(key, (2, n))
    # The nearest to an empty niche is first in it, all others come as chance has it.
    home = jnp.where(candidate, niche, directions.shape[0])
    by_distance = jnp.lexsort((chance, distance, home))
    leads = jnp.zeros(n, bool).at[by_distance].set(_starts(home[by_distance]))
    leads &= members[niche] == 0
    order = jnp.lexsort((chance, ~leads, home))
    starts = _starts(home[order])
    place = jnp.arange(n)
    first = jax.lax.cummax(jnp.where(starts, place, 0))
    position = jnp.zeros(n, jnp.int32).at[order].set((place - first).astype(jnp.int32))
    level = jnp.where(candidate, members[niche] + position, 0)

    failed = jnp.isinf(evaluation.violation)
    tier = 2 * failed.astype(jnp.int32) + copies.astype(jnp.int32)
    chosen = jnp.lexsort((turn, level, ranks, tier))[:size]
    survivors = Survivors(
        indices=chosen,
        ranks=ranks[chosen],
        crowding=jnp.zeros(size, jnp.float32),
        copies=copies[chosen],
    )
    return survivors, plane


def _starts(groups: Int[Array, " n"]) -> Bool[Array, " n"]:
    """Marks the first of each run of equal numbers."""
    return jnp.concatenate([jnp.ones(1, bool), groups[1:] != groups[:-1]])
