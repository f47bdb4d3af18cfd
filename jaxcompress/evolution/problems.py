"""Test problems whose best trade-offs are known.

The real-valued suites ZDT (Zitzler, Deb, Thiele 2000) and DTLZ (Deb, Thiele, Laumanns,
Zitzler 2005) on a fine grid, and two integer problems whose front is found by trying
everything: more genotypes than a search of 20,000 evaluations sees.

A gene with n values stands for k / (n - 1), so both bounds are on the grid, as they are in
the real problem. The usual n is 1025, where k / 1024 is exact in float32.
All formulas are written so that what is 0 in exact arithmetic is 0 in float32. A
coordinate (1 + g) * -4e-8 is the better the *further* a point is from the front: points
on the edge would never be dominated, and no algorithm gets past them. So 1 - x is taken
as (n - 1 - k) / (n - 1), for a compiler may multiply by 1 / (n - 1) and leave x above 1,
and cos(pi/2 x) as sin(pi/2 (1 - x)), for the cosine of float32's pi/2 is -4e-8.

Dimensions: n genotypes, d genes, m objectives, f points of a front.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import factorial, gamma, pi

import jax.numpy as jnp
import moocore
import numpy as np
from jaxtyping import Array, Float, Int

from jaxcompress.evolution.algorithm import Evaluation
from jaxcompress.evolution.grid import Grid

Values = Float[Array, "n d"]
Objectives = Float[Array, "n m"]

CARDINALITY = 1025


@dataclass(frozen=True, eq=False)
class Problem:
    """A function of genotypes to minimise, and what is known of its front.

    Attributes:
        name: of the problem, lower case.
        grid: the grid of d genes.
        num_objectives: m.
        reference: float64 [m], the reference point for hypervolumes.
        function: int32 [n, d] -> Evaluation of [n, m]; pure.
        hypervolume: of the exact front against `reference`; for a grid over real
            numbers that of the real front, which no set of points reaches.
        front: float64 [f, m], the exact front; None where it is a continuum.

    Example:
        >>> problem = problems.zdt1()
        >>> problem(jnp.zeros((1, 30), jnp.int32)).objectives
        Array([[0., 1.]], dtype=float32)
    """

    name: str
    grid: Grid
    num_objectives: int
    reference: Float[np.ndarray, " m"]
    function: Callable[[Array], Evaluation]
    hypervolume: float
    front: Float[np.ndarray, "f m"] | None = None

    def __call__(self, genotypes: Int[Array, "n d"]) -> Evaluation:
        """Evaluates genotypes int32 [n, d]; can be traced."""
        return self.function(genotypes)


def zdt1(cardinality: int = CARDINALITY) -> Problem:
    """Convex front, 30 genes."""

    def ratio(f1: Array, g: Array) -> Array:
        return 1.0 - jnp.sqrt(f1 / g)

    return _zdt("zdt1", 30, cardinality, _linear_g, ratio, 0.21 + 2 / 3)


def zdt2(cardinality: int = CARDINALITY) -> Problem:
    """Concave front, 30 genes."""

    def ratio(f1: Array, g: Array) -> Array:
        return 1.0 - (f1 / g) ** 2

    return _zdt("zdt2", 30, cardinality, _linear_g, ratio, 0.21 + 1 / 3)


def zdt3(cardinality: int = CARDINALITY) -> Problem:
    """A front of five pieces, 30 genes."""

    def ratio(f1: Array, g: Array) -> Array:
        return 1.0 - jnp.sqrt(f1 / g) - f1 / g * jnp.sin(10.0 * pi * f1)

    f1 = np.linspace(0.0, 1.0, 1_000_001)
    lowest = np.minimum.accumulate(1.0 - np.sqrt(f1) - f1 * np.sin(10.0 * pi * f1))
    volume = np.trapezoid(1.1 - lowest, f1) + 0.1 * (1.1 - lowest[-1])
    return _zdt("zdt3", 30, cardinality, _linear_g, ratio, float(volume))


def zdt4(cardinality: int = CARDINALITY) -> Problem:
    """The front of ZDT1 behind 21**9 local fronts, 10 genes; all but one in [-5, 5]."""

    def g(rest: Values) -> Array:
        rest = 10.0 * (rest - 0.5)
        # 10 - 10 cos(4 pi x), without cancellation
        return 1.0 + jnp.sum(rest**2 + 20.0 * jnp.sin(2.0 * pi * rest) ** 2, axis=1)

    def ratio(f1: Array, g: Array) -> Array:
        return 1.0 - jnp.sqrt(f1 / g)

    return _zdt("zdt4", 10, cardinality, g, ratio, 0.21 + 2 / 3)


def zdt6(cardinality: int = CARDINALITY) -> Problem:
    """Concave front, thinly populated and hard to come near, 10 genes."""

    def first(x: Array) -> Array:
        return 1.0 - jnp.exp(-4.0 * x) * jnp.sin(6.0 * pi * x) ** 6

    def g(rest: Values) -> Array:
        return 1.0 + 9.0 * jnp.mean(rest, axis=1) ** 0.25

    def ratio(f1: Array, g: Array) -> Array:
        return 1.0 - (f1 / g) ** 2

    x = np.linspace(0.0, 0.2, 1_000_001)
    least = float(np.min(1.0 - np.exp(-4.0 * x) * np.sin(6.0 * pi * x) ** 6))
    volume = 0.11 + 0.1 * (1.0 - least) + (1.0 - least**3) / 3
    return _zdt("zdt6", 10, cardinality, g, ratio, volume, first)


def _linear_g(rest: Values) -> Array:
    return 1.0 + 9.0 * jnp.mean(rest, axis=1)


def _zdt(
    name: str,
    genes: int,
    cardinality: int,
    g: Callable[[Array], Array],
    ratio: Callable[[Array, Array], Array],
    hypervolume: float,
    first: Callable[[Array], Array] = lambda x: x,
) -> Problem:
    """f1(x_1) against g(x_2, ...) * ratio(f1, g); the front has g = 1."""

    def objectives(x: Values, remaining: Values) -> Objectives:
        del remaining
        f1, rest = first(x[:, 0]), g(x[:, 1:])
        return jnp.stack([f1, rest * ratio(f1, rest)], axis=1)

    reference = np.full(2, 1.1)
    return _on_grid(name, genes, cardinality, objectives, reference, hypervolume)


def dtlz1(num_objectives: int = 3, cardinality: int = CARDINALITY) -> Problem:
    """A plane as front behind 11**5 - 1 local ones, m + 4 genes."""
    m = num_objectives

    def objectives(x: Values, remaining: Values) -> Objectives:
        rest = x[:, m - 1 :] - 0.5
        # 1 - cos(20 pi x), without cancellation
        each = rest**2 + 2.0 * jnp.sin(10.0 * pi * rest) ** 2
        g = 100.0 * jnp.sum(each, axis=1, keepdims=True)
        corners = _corners(x[:, : m - 1], remaining[:, : m - 1])
        return 0.5 * (1.0 + g) * corners

    reference = np.full(m, 0.55)
    volume = 0.55**m - 0.5**m / factorial(m)
    return _on_grid("dtlz1", m + 4, cardinality, objectives, reference, volume)


def dtlz2(num_objectives: int = 3, cardinality: int = CARDINALITY) -> Problem:
    """An eighth of a sphere as front, m + 9 genes."""
    m = num_objectives

    def objectives(x: Values, remaining: Values) -> Objectives:
        g = jnp.sum((x[:, m - 1 :] - 0.5) ** 2, axis=1, keepdims=True)
        sine, cosine = (jnp.sin(0.5 * pi * v[:, : m - 1]) for v in (x, remaining))
        return (1.0 + g) * _corners(cosine, sine)

    ball = pi ** (m / 2) / gamma(m / 2 + 1) / 2**m
    reference = np.full(m, 1.1)
    return _on_grid("dtlz2", m + 9, cardinality, objectives, reference, 1.1**m - ball)


def dtlz7(num_objectives: int = 3, cardinality: int = CARDINALITY) -> Problem:
    """A front of 2**(m - 1) pieces, m + 19 genes."""
    m = num_objectives

    def objectives(x: Values, remaining: Values) -> Objectives:
        del remaining
        lead = x[:, : m - 1]
        g = 2.0 + 9.0 * jnp.mean(x[:, m - 1 :], axis=1, keepdims=True)
        each = lead / g * (1.0 + jnp.sin(3.0 * pi * lead))
        last = g * (m - jnp.sum(each, axis=1, keepdims=True))
        return jnp.concatenate([lead, last], axis=1)

    # On the front the last objective is 2 m minus a function of each of the others.
    f = np.linspace(0.0, 1.0, 1_000_001)
    gain = np.maximum.accumulate(f * (1.0 + np.sin(3.0 * pi * f)))
    area = np.trapezoid(gain, f) + 0.1 * gain[-1]
    volume = 1.1 ** (m - 1) * 0.2 * m + (m - 1) * 1.1 ** (m - 2) * area
    reference = np.append(np.full(m - 1, 1.1), 2.2 * m)
    return _on_grid("dtlz7", m + 19, cardinality, objectives, reference, float(volume))


def _corners(inner: Float[Array, "n c"], outer: Float[Array, "n c"]) -> Objectives:
    """Objective i: the product of the first m - 1 - i inner ones, times an outer one."""
    ones = jnp.ones_like(inner[:, :1])
    products = jnp.cumprod(jnp.concatenate([ones, inner], axis=1), axis=1)[:, ::-1]
    return products * jnp.concatenate([ones, outer[:, ::-1]], axis=1)


def _on_grid(
    name: str,
    genes: int,
    cardinality: int,
    objectives: Callable[[Array, Array], Array],
    reference: Float[np.ndarray, " m"],
    hypervolume: float,
) -> Problem:
    """Makes a problem of objectives in x = k / (n - 1) and 1 - x."""
    top = cardinality - 1

    def function(genotypes: Int[Array, "n d"]) -> Evaluation:
        x, remaining = (k.astype(jnp.float32) / top for k in (genotypes, top - genotypes))
        return Evaluation(objectives(x, remaining), jnp.zeros(genotypes.shape[0]))

    grid = Grid(np.full(genes, cardinality))
    m = reference.size
    return Problem(name, grid, m, reference, function, hypervolume)


def knapsack(items: int = 18, seed: int = 0) -> Problem:
    """Which items to leave out: two profits are lost, and the rest must fit.

    The multi-objective 0/1 knapsack (Zitzler and Thiele 1999) with integer profits and
    weights; the capacity is half of all weights, what exceeds it is the violation. The
    two profits of an item sum to 100 or a little more, so they conflict.

    Args:
        items: how many, one binary gene each; all 2**items selections are tried for
            the exact front.
        seed: of profits and weights.
    """
    rng = np.random.default_rng(seed)
    first = rng.integers(10, 91, items)
    second = 100 - first + rng.integers(0, 21, items)
    profits = np.stack([first, second], axis=1).astype(np.int32)
    weights = rng.integers(10, 101, items).astype(np.int32)
    capacity = int(weights.sum()) // 2

    def function(genotypes: Int[Array, "n d"]) -> Evaluation:
        return _knapsack(genotypes, profits, weights, capacity)

    reference = profits.sum(0).astype(np.float64)
    every = _every(np.full(items, 2))
    lost = (1 - every) @ profits
    front = _front(lost[every @ weights <= capacity])
    grid = Grid(np.full(items, 2), ordered=False)
    volume = float(moocore.hypervolume(front, ref=reference))
    return Problem("knapsack", grid, 2, reference, function, volume, front)


def _knapsack(
    genotypes: Int[Array, "n d"], profits: np.ndarray, weights: np.ndarray, capacity: int
) -> Evaluation:
    out = 1 - genotypes
    lost = jnp.sum(out[:, :, None] * jnp.asarray(profits)[None, :, :], axis=1)
    weight = jnp.sum(genotypes * jnp.asarray(weights)[None, :], axis=1)
    excess = jnp.maximum(weight - capacity, 0)
    return Evaluation(lost.astype(jnp.float32), excess.astype(jnp.float32))


def bit_allocation(layers: int = 7, seed: int = 0) -> Problem:
    """Bits for each layer: size against the noise of rounding, as in quantization.

    A layer of some sensitivity has a noise of sensitivity * 4**(8 - bits), and costs its
    width times its bits; all integers.

    Args:
        layers: how many, each with 2, 3, 4, 5, 6 or 8 bits; all 6**layers allocations
            are tried for the exact front.
        seed: of widths and sensitivities.
    """
    bits = np.array([2, 3, 4, 5, 6, 8], np.int32)
    rng = np.random.default_rng(seed)
    widths = rng.integers(1, 5, layers).astype(np.int32)
    sensitivities = rng.integers(1, 100, layers).astype(np.int32)
    noises = (sensitivities[:, None] * 4 ** (8 - bits)[None, :]).astype(np.int32)
    sizes = widths[:, None] * bits[None, :]

    def function(genotypes: Int[Array, "n d"]) -> Evaluation:
        layer = jnp.arange(layers)[None, :]
        each = [jnp.asarray(table)[layer, genotypes] for table in (sizes, noises)]
        objectives = jnp.stack([jnp.sum(values, axis=1) for values in each], axis=1)
        return Evaluation(objectives.astype(jnp.float32), jnp.zeros(genotypes.shape[0]))

    every = _every(np.full(layers, bits.size))
    layer = np.arange(layers)[None, :]
    points = [table[layer, every].sum(1) for table in (sizes, noises)]
    front = _front(np.stack(points, axis=1))
    worst = [float(sizes[:, -1].sum()), float(noises[:, 0].sum())]
    reference = np.array(worst) + 1.0
    volume = float(moocore.hypervolume(front, ref=reference))
    grid = Grid(np.full(layers, bits.size))
    return Problem("bit_allocation", grid, 2, reference, function, volume, front)


def _every(cardinality: Int[np.ndarray, " d"]) -> Int[np.ndarray, "n d"]:
    count = int(np.prod(cardinality))
    axes = np.unravel_index(np.arange(count), tuple(cardinality))
    return np.stack(axes, axis=1).astype(np.int32)


def _front(points: np.ndarray) -> Float[np.ndarray, "f m"]:
    points = np.unique(points.astype(np.float64), axis=0)
    return points[moocore.is_nondominated(points)]


PROBLEMS: dict[str, Callable[..., Problem]] = {
    "zdt1": zdt1,
    "zdt2": zdt2,
    "zdt3": zdt3,
    "zdt4": zdt4,
    "zdt6": zdt6,
    "dtlz1": dtlz1,
    "dtlz2": dtlz2,
    "dtlz7": dtlz7,
    "knapsack": knapsack,
    "bit_allocation": bit_allocation,
}
