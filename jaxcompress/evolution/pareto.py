"""Dominance, and the fronts that it peels a population into.

Dimensions: n points, m objectives. Everything is minimised; no argument may be NaN
(see `sanitize`), while +inf is fine.
"""

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
    objectives: Float[Array, "n m"],
    violation: Float[Array, " n"] | None = None,
    stop_at: int | None = None,
) -> Int[Array, " n"]:
    """The front of every point under constrained dominance: 0 is the best front.

    Feasible points are peeled into Pareto fronts (Deb et al. 2002). After the last of
    these comes one front for each level of violation among the infeasible: exactly what
    peeling by `dominates` gives. How it is computed depends on the shape and the
    platform: a sort for m = 1, a sort and a scan for m = 2 on a CPU, rounds of
    comparing all pairs otherwise. The result does not.

    Args:
        objectives: float [n, m].
        violation: float [n], 0 is feasible; None when all points are.
        stop_at: stop once the fronts found hold this many points; the points of later
            fronts get rank n. None ranks all.

    Returns:
        int32 [n].

    Raises:
        ValueError: there are no points or no objectives, or `stop_at` is not positive.

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
    if stop_at is not None and stop_at < 1:
        raise ValueError(
            f"nondominated_ranks: stop_at is {stop_at}; pass a positive number of "
            "points, or None to rank all."
        )
    limit = n if stop_at is None else min(stop_at, n)
    if violation is None:
        violation = jnp.zeros(n, objectives.dtype)
    feasible = violation <= 0
    if m == 1:
        ranks = _dense_ranks(objectives[:, 0], feasible)
    elif m == 2:
        # A scan is n tiny steps: quick on a CPU, slow where each step is a launch.
        ranks = lax.platform_dependent(
            objectives,
            feasible,
            cpu=_scan_ranks,
            default=lambda points, active: _peel_ranks(points, active, limit),
        )
    else:
        ranks = _peel_ranks(objectives, feasible, limit)
    fronts = jnp.max(jnp.where(feasible & (ranks < n), ranks + 1, 0))
    ranks = jnp.where(feasible, ranks, fronts + _dense_ranks(violation, ~feasible))
    if limit == n:
        return ranks
    # The methods above stop at different places: cut all of them at the same front.
    sizes = jnp.zeros(n + 1, jnp.int32).at[ranks].add(1)
    before = jnp.cumsum(sizes) - sizes
    return jnp.where(before[ranks] >= limit, n, ranks)


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


def _peel_ranks(
    objectives: Float[Array, "n m"], active: Bool[Array, " n"], limit: int
) -> Int[Array, " n"]:
    """Fronts by rounds of comparing all pairs, until `limit` points have one.

    The comparison is fused with its reduction, so it needs no memory of order n². A
    chain of n fronts costs n rounds.
    """
    n = objectives.shape[0]
    target = jnp.minimum(jnp.sum(active, dtype=jnp.int32), limit)

    def go_on(carry):
        _, _, ranked, _ = carry
        return ranked < target

    def peel(carry):
        ranks, left, ranked, front = carry
        beats = pareto_dominates(objectives[:, None, :], objectives[None, :, :])
        beaten = jnp.any(beats & left[:, None], axis=0)
        found = left & ~beaten
        return (
            jnp.where(found, front, ranks),
            left & beaten,
            ranked + jnp.sum(found, dtype=jnp.int32),
            front + 1,
        )

    zero = jnp.zeros((), jnp.int32)
    start = (jnp.full(n, n, jnp.int32), active, zero, zero)
    ranks, _, _, _ = lax.while_loop(go_on, peel, start)
    return ranks


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
    feasible = violation <= 0
    beats = pareto_dominates(objectives[:, None, :], objectives[None, :, :])
    return feasible & ~jnp.any(beats & feasible[:, None], axis=0)
