"""Dominance, and the fronts that it peels a population into.

Dimensions: n points, m objectives. Everything is minimised; no argument may be NaN
(see `sanitize`), while +inf is fine.
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int


def pareto_dominates(
    a: Float[Array, "*#batch m"], b: Float[Array, "*#batch m"]
) -> Bool[Array, "*#batch"]:
    """Whether `a` is nowhere worse than `b` and somewhere better.

    Args:
        a: objectives float [..., m].
        b: objectives float [..., m], of the same rank; axes of size 1 are repeated.

    Returns:
        bool [...].
    """
    # One objective at a time, so that comparing all pairs never makes an [n, n, m].
    no_worse = a[..., 0] <= b[..., 0]
    better = a[..., 0] < b[..., 0]
    for i in range(1, a.shape[-1]):
        no_worse &= a[..., i] <= b[..., i]
        better |= a[..., i] < b[..., i]
    return no_worse & better


def dominates(
    a: Float[Array, "*#batch m"],
    a_violation: Float[Array, "*#batch"],
    b: Float[Array, "*#batch m"],
    b_violation: Float[Array, "*#batch"],
) -> Bool[Array, "*#batch"]:
    """Deb's constrained dominance (Deb et al. 2002, definition 1).

    Among feasible points Pareto dominance decides; as soon as one of the two is
    infeasible, the smaller violation does.

    Args:
        a: objectives float [..., m].
        a_violation: float [...], 0 is feasible.
        b: objectives float [..., m], of the same rank; axes of size 1 are repeated.
        b_violation: float [...].

    Returns:
        bool [...], True where `a` dominates `b`.

    Example:
        >>> point, zero = jnp.ones((1, 2)), jnp.zeros(1)
        >>> dominates(point, zero, point + 1, zero)
        Array([ True], dtype=bool)
    """
    feasible = (a_violation <= 0) & (b_violation <= 0)
    return jnp.where(feasible, pareto_dominates(a, b), a_violation < b_violation)


def nondominated_ranks(
    objectives: Float[Array, "n m"], violation: Float[Array, " n"] | None = None
) -> Int[Array, " n"]:
    """The front of every point under constrained dominance: 0 is the best front.

    Feasible points are peeled into Pareto fronts (Deb et al. 2002). After the last of
    these comes one front for each level of violation among the infeasible: exactly what
    peeling by `dominates` gives. How it is computed depends on the shape and the
    platform: a sort for m = 1, a sort and a scan for m = 2 on a CPU, a sort and one
    comparison of all pairs otherwise, in O(n) memory and however many fronts there are.
    The result does not.

    Args:
        objectives: float [n, m].
        violation: float [n], 0 is feasible; None when all points are.

    Returns:
        int32 [n].

    Raises:
        ValueError: there are no points or no objectives.

    Example:
        >>> nondominated_ranks(jnp.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]))
        Array([0, 0, 1], dtype=int32)
    """
    n, m = objectives.shape
    if n == 0 or m == 0:
        raise ValueError(
            f"nondominated_ranks: objectives have shape {objectives.shape}; at least "
            "one point and one objective are needed."
        )
    if violation is None:
        violation = jnp.zeros(n, objectives.dtype)
    feasible = violation <= 0
    if m == 1:
        ranks = _dense_ranks(objectives[:, 0], feasible)
    else:
        # Steps that depend on each other cost little on a CPU; elsewhere each is a
        # launch, so blocks are larger and settle in as few rounds as they can.
        ranks = lax.platform_dependent(
            objectives,
            feasible,
            cpu=_scan_ranks if m == 2 else partial(_block_ranks, settle=_one_by_one),
            default=partial(_block_ranks, settle=_in_rounds, size=2048),
        )
    fronts = jnp.max(jnp.where(feasible, ranks + 1, 0))
    return jnp.where(feasible, ranks, fronts + _dense_ranks(violation, ~feasible))


def _dense_ranks(values: Float[Array, " n"], active: Bool[Array, " n"]) -> Int[Array, " n"]:
    """How many different smaller values there are; only active rows are meaningful."""
    order = jnp.lexsort((values, ~active))
    ordered = values[order]
    steps = jnp.concatenate([jnp.zeros(1, bool), ordered[1:] != ordered[:-1]])
    ranks = jnp.cumsum(steps, dtype=jnp.int32)
    return jnp.zeros_like(ranks).at[order].set(ranks)


def _scan_ranks(
    objectives: Float[Array, "n 2"], active: Bool[Array, " n"]
) -> Int[Array, " n"]:
    """Fronts of two objectives in O(n log n) (Jensen 2003).

    In the order of the first objective, a point is dominated by a front if and only if
    the front's last point (its smallest second objective) is no worse in the second.
    These last points ascend from front to front, so a binary search finds the front.
    """
    n = objectives.shape[0]
    order = jnp.lexsort((objectives[:, 1], objectives[:, 0], ~active))
    first, second = objectives[order, 0], objectives[order, 1]
    same = (first[1:] == first[:-1]) & (second[1:] == second[:-1])
    same = jnp.concatenate([jnp.zeros(1, bool), same])

    def step(carry, point):
        tails, count, last = carry
        height, copy, live = point
        # Fronts that do not exist yet hold +inf, which a point at +inf must not meet.
        front = jnp.searchsorted(tails, height, side="right").astype(jnp.int32)
        front = jnp.minimum(front, count)
        front = jnp.where(copy, last, front)  # equal points do not dominate each other
        tails = tails.at[jnp.where(live, front, n)].set(height, mode="drop")
        count = jnp.where(live, jnp.maximum(count, front + 1), count)
        return (tails, count, front), front

    start = (
        jnp.full(n, jnp.inf, objectives.dtype),
        jnp.zeros((), jnp.int32),
        jnp.zeros((), jnp.int32),
    )
    _, ranks = lax.scan(step, start, (second, same, active[order]))
    return jnp.zeros_like(ranks).at[order].set(ranks)


def _block_ranks(
    objectives: Float[Array, "n m"],
    active: Bool[Array, " n"],
    settle: Callable[[Array, Array], Array],
    size: int = 256,
) -> Int[Array, " n"]:
    """Fronts as lengths of chains, by comparing all pairs once, a block at a time.

    The front of a point is one more than the highest front of a point that dominates
    it, and in lexicographic order all of those stand before it. So a block needs the
    blocks before it, and then only itself (`settle`). n²/2 comparisons in O(n) memory,
    whether there is one front or there are n.
    """
    n, m = objectives.shape
    size = min(size, n)
    blocks = -(-n // size)
    columns = [objectives[:, i] for i in range(m)]
    order = jnp.lexsort((*columns[::-1], ~active))
    columns = [column[order] for column in columns]
    changes = [column[1:] != column[:-1] for column in columns]
    # The place among the distinct points stands for the first objective, and keeps
    # equal points from dominating each other.
    steps = jnp.stack(changes).any(axis=0)
    columns[0] = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(steps)])
    cut = [
        jnp.pad(column, (0, blocks * size - n), mode="edge").reshape(blocks, size)
        for column in columns
    ]

    def beats(i, j):
        result = cut[0][i][:, None] < cut[0][j][None, :]
        for column in cut[1:]:
            result &= column[i][:, None] <= column[j][None, :]
        return result

    def rank_block(j, ranks):
        def against(i, best):
            return jnp.maximum(best, _next_rank(beats(i, j), ranks[i]))

        best = lax.fori_loop(0, j, against, jnp.zeros(size, jnp.int32))
        return ranks.at[j].set(settle(beats(j, j), best))

    ranks = lax.fori_loop(0, blocks, rank_block, jnp.zeros((blocks, size), jnp.int32))
    ranks = ranks.reshape(-1)[:n]
    return jnp.zeros_like(ranks).at[order].set(ranks)


def _next_rank(beats: Bool[Array, "a b"], ranks: Int[Array, " a"]) -> Int[Array, " b"]:
    """One more than the highest of the ranks that beat, 0 where none does."""
    return jnp.max(jnp.where(beats, ranks[:, None] + 1, 0), axis=0)


def _one_by_one(beats: Bool[Array, "b b"], ranks: Int[Array, " b"]) -> Int[Array, " b"]:
    """Ranks within a block, each final once its turn has come."""

    def push(i, ranks):
        return jnp.maximum(ranks, jnp.where(beats[i], ranks[i] + 1, 0))

    return lax.fori_loop(0, ranks.shape[0], push, ranks)


def _in_rounds(beats: Bool[Array, "b b"], ranks: Int[Array, " b"]) -> Int[Array, " b"]:
    """Ranks within a block, all at once, in as many rounds as its longest chain has."""

    def update(carry):
        ranks, _ = carry
        higher = jnp.maximum(ranks, _next_rank(beats, ranks))
        return higher, jnp.any(higher > ranks)

    return lax.while_loop(lambda carry: carry[1], update, (ranks, jnp.array(True)))[0]


def front_mask(
    objectives: Float[Array, "n m"], violation: Float[Array, " n"]
) -> Bool[Array, " n"]:
    """Which points are feasible and dominated by no feasible point.

    Args:
        objectives: float [n, m].
        violation: float [n], 0 is feasible.

    Returns:
        bool [n].
    """
    return (violation <= 0) & (nondominated_ranks(objectives, violation) == 0)
