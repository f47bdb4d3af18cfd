"""Codebooks against float64 references, an exact k-means, and by what they promise."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from jaxcompress.transforms import CODEBOOKS, Shared, uniform_bins
from jaxcompress.transforms.kmeans import KMeans

KINDS = tuple(CODEBOOKS)
SHAPE, MAX_SIZE = (6, 7, 8), 64
SHARE = {
    kind: jax.jit(partial(sharing, max_size=MAX_SIZE))
    for kind, sharing in CODEBOOKS.items()
}


def tensor(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def half(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < 0.5


def loss(weights: np.ndarray, shared: Shared) -> float:
    return float(np.square(np.float64(shared.values) - np.float64(weights)).sum())


def least_loss(weights: np.ndarray, size: int) -> float:
    """The loss of the best codebook, by dynamic programming over the sorted weights."""
    line = np.sort(weights.ravel().astype(np.float64))
    sums = np.concatenate([[0], np.cumsum(line)])
    squares = np.concatenate([[0], np.cumsum(line**2)])
    starts = np.arange(line.size)
    best = squares[1:] - sums[1:] ** 2 / (starts + 1)  # of the first j + 1, one value
    for _ in range(size - 1):
        better = best.copy()
        for j in range(1, line.size):
            begin = starts[1 : j + 1]
            count, total = j + 1 - begin, sums[j + 1] - sums[begin]
            last = squares[j + 1] - squares[begin] - total**2 / count
            better[j] = min(better[j], (best[begin - 1] + last).min())
        best = better
    return float(best[-1])


@pytest.mark.parametrize("size", [2, 3, 5, 17, 64])
def test_uniform_bins_are_those_of_linspace_and_digitize(size: int) -> None:
    weights, kept = tensor(size), half(size)
    wild = np.where(kept, weights, 1e6).astype(np.float32)  # these must not count
    found = SHARE["uniform"](wild, jnp.asarray(size), kept)
    line = weights[kept].astype(np.float64)
    edges = np.linspace(line.min(), line.max(), size)
    bins = np.digitize(line, edges) - 1
    used, codes = np.unique(bins, return_inverse=True)
    means = np.asarray([line[bins == b].mean() for b in used])
    # A weight that float32 cannot tell from an edge may fall on its other side.
    clear = np.abs(line[:, None] - edges).min(1) > 1e-6
    clear |= (line == line.max()) | (line == line.min())
    assert clear.all()
    np.testing.assert_array_equal(np.asarray(found.codes)[kept], codes.ravel())
    np.testing.assert_allclose(found.codebook[: used.size], means, rtol=1e-5, atol=1e-7)
    assert not np.asarray(found.codebook[used.size :]).any()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.integers(2, MAX_SIZE),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["normal", "heavy", "few", "constant", "one survivor", "outlier"]),
)
@example(kind="uniform", size=2, seed=252, what="constant")
def test_what_every_codebook_promises(kind: str, size: int, seed: int, what: str) -> None:
    rng = np.random.default_rng(seed)
    weights, kept = tensor(seed), half(seed)
    kept.flat[0] = True
    if what == "heavy":
        weights = rng.standard_t(2, SHAPE).astype(np.float32)
    elif what == "few":
        weights = rng.integers(-3, 4, SHAPE).astype(np.float32) / 3
    elif what == "constant":
        weights = np.full(SHAPE, rng.normal(), np.float32)
    elif what == "one survivor":
        kept = np.arange(kept.size).reshape(SHAPE) == rng.integers(kept.size)
    elif what == "outlier":
        weights.flat[0] = 1e4
    found = SHARE[kind](weights, jnp.asarray(size), kept)
    codes, codebook, count, values = (np.asarray(x) for x in jax.tree.leaves(found))
    assert (values[~kept] == weights[~kept]).all() and (codes[~kept] == 0).all()
    assert (values[kept] == codebook[codes[kept]]).all()
    used = np.unique(codes[kept])
    # Codes without a gap from 0 on, at most K of them, and values that ascend.
    assert (used == np.arange(used.size)).all() and used.size == count <= size
    assert (np.diff(codebook[used]) > 0).all() and not codebook[used.size :].any()
    line, code = weights[kept].astype(np.float64), codes[kept]
    width = np.abs(line).max()
    for place in used:
        members = line[code == place]
        if kind == "kmeans_zero" and codebook[place] == 0:
            continue
        assert abs(codebook[place] - members.mean()) <= 2e-6 * width
    order = np.argsort(line, kind="stable")
    assert (np.diff(code[order]) >= 0).all()
    if np.unique(line).size < size and what != "outlier" and kind != "uniform":
        assert loss(weights, found) <= 1e-10 * width**2 * line.size
    if np.unique(line).size == 1:
        np.testing.assert_allclose(values[kept], weights[kept], rtol=3e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_removed_entries_change_nothing_and_none_may_be_left(kind: str) -> None:
    weights, kept = tensor(1), half(2)
    wild = np.where(kept, weights, np.float32(np.nan))
    a, b = (SHARE[kind](w, jnp.asarray(9), kept) for w in (weights, wild))
    np.testing.assert_array_equal(a.codebook, b.codebook)
    np.testing.assert_array_equal(a.codes, b.codes)
    gone = SHARE[kind](weights, jnp.asarray(9), np.zeros(SHAPE, bool))
    np.testing.assert_array_equal(gone.values, weights)
    assert not np.asarray(gone.codebook).any()
    # A weight that is not finite is not hidden.
    lost = weights.copy()
    lost[kept] = np.where(np.arange(kept.sum()) == 3, np.nan, lost[kept])
    bad = SHARE[kind](lost, jnp.asarray(9), kept)
    assert np.isnan(np.asarray(bad.values)[kept]).any()


@pytest.mark.parametrize("spread", ["normal", "uniform", "heavy"])
def test_kmeans_is_close_to_the_best_codebook(spread: str) -> None:
    ratios = []
    for size in (2, 4, 8, 15):
        for seed in range(5):
            rng = np.random.default_rng([size, seed])
            draw = {"normal": rng.normal, "uniform": rng.uniform}.get(spread)
            shape = SHAPE[:2]
            weights = draw(size=shape) if draw else rng.standard_t(3, shape)
            weights = weights.astype(np.float32)
            wide = np.zeros(SHAPE, np.float32)
            wide[..., 0], kept = weights, np.zeros(SHAPE, bool)
            kept[..., 0] = True
            found = SHARE["kmeans"](wide, jnp.asarray(size), kept)
            ratios.append(loss(wide, found) / least_loss(weights, size))
    assert min(ratios) >= 1 - 1e-4 and np.mean(ratios) <= 1.15, np.mean(ratios)


@pytest.mark.parametrize("kind", ["kmeans", "kmeans_zero"])
def test_kmeans_ends_better_than_it_started(kind: str) -> None:
    sharing = KMeans(zero=kind == "kmeans_zero", steps=0)
    start = jax.jit(partial(sharing, max_size=MAX_SIZE))
    for seed, size in enumerate((2, 3, 4, 9, 20)):
        weights, kept = tensor(seed), half(seed)
        before, after = (
            loss(weights, share(weights, jnp.asarray(size), kept))
            for share in (start, SHARE[kind])
        )
        assert after < before or (size == 2 and after <= before * (1 + 1e-6))


@pytest.mark.parametrize("shift", [0.0, 0.3, 5.0])
def test_the_reserved_zero(shift: float) -> None:
    """Where 0 is near weights, it is a value exactly, of those that are nearest to it."""
    weights = (tensor(6) + shift).astype(np.float32)
    found = SHARE["kmeans_zero"](weights, jnp.asarray(8), np.ones(SHAPE, bool))
    used = int(found.used)
    codebook = np.asarray(found.codebook)[:used]
    assert (used == 8) == (0.0 in codebook) == (shift < 1)
    if shift < 1:
        values = np.asarray(found.values)
        near = np.abs(weights[..., None] - codebook).min(-1)
        # The weights of a cell stay together, so nearly the nearest.
        assert (np.abs(values - weights) <= near + 0.01).all()


def test_sums_of_many_weights_are_accurate() -> None:
    """Two values for millions of weights of one sign: where float32 sums lose digits."""
    count = 4_000_000
    weights = np.random.default_rng(0).gamma(2.0, 0.01, count).astype(np.float32)
    kept = np.ones(count, bool)
    found = jax.jit(uniform_bins, static_argnums=3)(weights, jnp.asarray(3), kept, 3)
    codes = np.asarray(found.codes)
    for place in range(3):
        mean = weights[codes == place].mean(dtype=np.float64)
        np.testing.assert_allclose(float(found.codebook[place]), mean, rtol=2e-6)


SHAPES = {"a": SHAPE, "b": (7,), "c": (2, 50)}
WEIGHTS = {name: jnp.asarray(tensor(len(s), s)) for name, s in SHAPES.items()}
KEPT = {name: jnp.asarray(half(len(s), s)) for name, s in SHAPES.items()}


@pytest.mark.parametrize("kind", ["uniform", "kmeans_zero"])
def test_several_tensors_with_a_codebook_each(kind: str) -> None:
    sizes = {"a": jnp.asarray(11), "b": jnp.asarray(2), "c": jnp.asarray(3)}
    each = jax.jit(partial(CODEBOOKS[kind].each, max_size=MAX_SIZE))(WEIGHTS, sizes, KEPT)
    alone = SHARE[kind](WEIGHTS["a"], sizes["a"], KEPT["a"])
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), each["a"], alone)
    for name, shape in SHAPES.items():
        assert each[name].values.shape == each[name].codes.shape == shape
        assert len(np.unique(each[name].values[KEPT[name]])) <= sizes[name]


def test_several_tensors_with_one_codebook() -> None:
    size = jnp.asarray(11)
    pool = jax.jit(partial(uniform_bins.pooled, max_size=MAX_SIZE))(WEIGHTS, size, KEPT)
    flat, mask = (
        jnp.concatenate([x.ravel() for x in tree.values()]) for tree in (WEIGHTS, KEPT)
    )
    together = SHARE["uniform"](flat, size, mask)
    for field in ("codes", "values"):
        line = np.concatenate([np.ravel(getattr(pool[name], field)) for name in SHAPES])
        np.testing.assert_allclose(line, getattr(together, field), rtol=1e-6)
    for name, shape in SHAPES.items():
        assert pool[name].values.shape == pool[name].codes.shape == shape
        np.testing.assert_allclose(pool[name].codebook, together.codebook, rtol=1e-6)


@pytest.mark.parametrize("kind", ["uniform", "kmeans_zero"])
def test_a_population_is_its_members(kind: str) -> None:
    weights = jnp.asarray(tensor(7))
    sizes = jnp.asarray([2, 5, 64])
    kept = np.stack([half(seed) for seed in range(3)])
    many = jax.jit(
        jax.vmap(lambda size, mask: CODEBOOKS[kind](weights, size, mask, MAX_SIZE))
    )(sizes, kept)
    for i in range(3):
        single = SHARE[kind](weights, sizes[i], kept[i])
        np.testing.assert_array_equal(many.codes[i], single.codes)
        np.testing.assert_allclose(many.values[i], single.values, rtol=1e-6)
