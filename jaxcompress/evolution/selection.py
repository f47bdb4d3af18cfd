"""Who mates and who lives on, in NSGA-II (Deb et al. 2002, section III).

Dimensions: n members, m objectives, d genes, s survivors.
"""

from typing import no_type_check

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, Key

from jaxcompress.evolution.algorithm import Evaluation
from jaxcompress.evolution.crowding import crowding_distance
from jaxcompress.evolution.pareto import nondominated_ranks


def tournament(
    key: Key[Array, ""],
    ranks: Int[Array, " n"],
    crowding: Float[Array, " n"],
    winners: int,
) -> Int[Array, " w"]:
    """Binary tournaments: the lower rank wins, of equal ranks the lonelier.

    Contestants come from shuffled decks, so everyone competes equally often, give or
    take one, and for an even n nobody competes with themselves.

    Args:
        key: random key, consumed.
        ranks: int [n], 0 is best.
        crowding: float [n], larger is lonelier.
        winners: how many tournaments are held.

    Returns:
        int32 [winners], indices into the n members.

    Example:
        >>> ranks, crowding = jnp.array([0, 1]), jnp.ones(2)
        >>> tournament(jax.random.key(0), ranks, crowding, 3)
        Array([0, 0, 0], dtype=int32)
    """
    n = ranks.shape[0]
    decks = jnp.argsort(jax.random.uniform(key, (-(-2 * winners // n), n)), axis=1)
    a, b = decks.reshape(-1)[: 2 * winners].reshape(winners, 2).T
    lonelier = (ranks[b] == ranks[a]) & (crowding[b] > crowding[a])
    return jnp.where((ranks[b] < ranks[a]) | lonelier, b, a)


@no_type_check  # see `Evaluation`
class Survivors(struct.PyTreeNode):
    """Who lives on, best first, and how they compare.

    Attributes:
        indices: int32 [s], into the members that were merged.
        ranks: int32 [s], fronts among the merged members.
        crowding: float32 [s], crowding distance in these fronts.
        copies: bool [s], True for a genotype that stands further up in the merged
            members as well.
    """

    indices: Int[Array, " s"]
    ranks: Int[Array, " s"]
    crowding: Float[Array, " s"]
    copies: Bool[Array, " s"]


def survive(
    key: Key[Array, ""],
    copies: Bool[Array, " n"],
    evaluation: Evaluation,
    size: int,
) -> Survivors:
    """Keeps the best: by front, in a front the lonelier, then by chance.

    Copies come after all other members that could be evaluated, and take no part in
    ranks and distances; failed evaluations come last, their copies at the very end.

    Args:
        key: random key, consumed; it breaks ties.
        copies: bool [n], see `duplicate_mask`.
        evaluation: sanitized, objectives [n, m] and violation [n].
        size: how many survive, s <= n.

    Returns:
        The s survivors, best first.

    Raises:
        ValueError: `size` is not in [1, n].
    """
    n = copies.shape[0]
    if not 1 <= size <= n:
        raise ValueError(
            f"survive: size is {size}; it must be 1 to {n}, the number of members."
        )
    # A copy would crowd its original: to the others it is as if it had failed.
    objectives = jnp.where(copies[:, None], jnp.inf, evaluation.objectives)
    violation = jnp.where(copies, jnp.inf, evaluation.violation)
    ranks = nondominated_ranks(objectives, violation)
    crowding = crowding_distance(objectives, ranks)
    failed = jnp.isinf(evaluation.violation)
    tier = 2 * failed.astype(jnp.int32) + copies.astype(jnp.int32)
    chance = jax.random.uniform(key, (n,))
    order = jnp.lexsort((chance, -crowding, ranks, tier))[:size]
    return Survivors(
        indices=order,
        ranks=ranks[order],
        crowding=crowding[order],
        copies=copies[order],
    )
