"""Genotypes that mean the same network have one canonical form, and no others do."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcompress as jc

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(5, 4)), jnp.float32)
P = {n: jnp.asarray(RNG.normal(size=(4, 4)), jnp.float32) for n in ("in", "a", "b", "out")}
LARGEST = 10_000
SHAPES = {"a": (6, 6), "out": (5, 3)}


def nested(p: Any, x: Any) -> Any:
    """A block (b) within a block (a), each with a width of its own."""
    x = x @ p["in"]
    y = jnp.tanh(x @ p["a"])
    y = y + jnp.sin(y @ p["b"])
    return (y @ p["a"].T + x) @ p["out"]


NETWORK = jc.trace(nested, P, X)
RANGES = {layer.name: np.asarray([-3.0, 3.0], np.float32) for layer in NETWORK.layers}
SPACE = jc.Space(
    NETWORK,
    (
        jc.genes.KeepBlock(),
        jc.genes.ChannelCount(minimum=3),
        jc.genes.WeightBits((3, 32)),
        jc.genes.ActivationBits({"b": RANGES["b"]}, (2, 32)),
    ),
)


def everything() -> np.ndarray:
    count = int(np.prod(SPACE.cardinality))
    assert count <= LARGEST
    grid = np.unravel_index(np.arange(count), tuple(int(n) for n in SPACE.cardinality))
    return np.stack(grid, 1).astype(np.int32)


def test_equal_networks_are_one_genotype() -> None:
    """Over the whole space, by what a genotype computes and costs."""
    assert {block.name for block in NETWORK.blocks} == {"a", "b"}
    costs = (jc.objectives.Size("dense"), jc.objectives.Macs())

    def signature(genotype: jax.Array) -> jax.Array:
        plan = SPACE.decode(genotype)
        outputs = jc.forward(NETWORK, plan, X).ravel()
        return jnp.concatenate([outputs, jnp.stack([c(NETWORK, plan) for c in costs])])

    rows = jnp.asarray(everything())
    seen = np.asarray(jax.jit(lambda r: jax.lax.map(signature, r))(rows))
    canonical = np.asarray(jax.jit(jax.vmap(SPACE.canonical))(rows))
    by_network = np.unique(seen, axis=0, return_inverse=True)[1].ravel()
    by_genotype = np.unique(canonical, axis=0, return_inverse=True)[1].ravel()
    pairs = np.unique(np.stack([by_network, by_genotype]), axis=1)
    assert pairs.shape[1] == by_network.max() + 1 == by_genotype.max() + 1 < len(rows)
    again = np.asarray(jax.vmap(SPACE.canonical)(jnp.asarray(canonical)))
    np.testing.assert_array_equal(again, canonical)
    mine = jax.vmap(lambda g: SPACE.encode(SPACE.decode(g)))(rows)
    np.testing.assert_array_equal(mine, rows)


def test_channels_that_run_through_constants_have_an_effect() -> None:
    """The block is gone, and with it every parameter that holds them."""
    first, last = RNG.normal(size=(4, 6)), RNG.normal(size=(6, 5))

    def apply(p: Any, x: Any) -> Any:
        h = x @ jnp.asarray(first, jnp.float32)
        h = h + jnp.tanh(h @ p["a"])
        return jnp.tanh(h @ jnp.asarray(last, jnp.float32)) @ p["out"]

    params = {n: jnp.asarray(RNG.normal(size=s), jnp.float32) for n, s in SHAPES.items()}
    network = jc.trace(apply, params, X)
    space = jc.Space(network, (jc.genes.KeepBlock(), jc.genes.ChannelCount()))
    wide, thin = (np.array(space.dense, np.int32) for _ in range(2))
    gone = space.names.index("block a")
    (gene,) = (i for i, n in enumerate(space.cardinality) if n == 6)
    wide[gone] = thin[gone] = 0
    thin[gene] = 0
    plans = [space.decode(jnp.asarray(row)) for row in (wide, thin)]
    macs = [float(jc.objectives.Macs()(network, plan)) for plan in plans]
    assert macs[1] < macs[0]
    assert (space.canonical(jnp.asarray(thin)) == thin).all()


def test_without_blocks_every_genotype_stands_for_itself() -> None:
    space = jc.Space(NETWORK, (jc.genes.ChannelCount(), jc.genes.WeightBits((3, 8))))
    genotype = space.sample(jax.random.key(0), 1)[0]
    assert (space.canonical(genotype) == genotype).all()


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 130])
def test_any_number_of_rows_is_made_canonical_each_alone(count: int) -> None:
    space = jc.Space(NETWORK, (jc.genes.ChannelMask(),))
    rows = np.array(space.sample(jax.random.key(count), count))
    rows[::3] = 0  # which stands for another
    told = space.canonical_rows(rows)
    alone = [np.asarray(space.canonical(jnp.asarray(row))) for row in rows]
    np.testing.assert_array_equal(told, np.reshape(alone, rows.shape))
    assert count < 2 or (told != rows).any()


def test_an_empty_mask_is_the_one_that_keeps_the_first_channel() -> None:
    group = NETWORK.prunable[0]
    space = jc.Space(NETWORK, (jc.genes.ChannelMask(groups=group.name),))
    rows = np.stack(np.unravel_index(np.arange(16), (2,) * 4), 1).astype(np.int32)
    assert rows.shape[1] == group.size and not rows[0].any()
    expected = rows.copy()
    expected[0, 0] = 1
    np.testing.assert_array_equal(space.canonical_rows(rows), expected)
    masks = np.asarray(jax.vmap(space.decode)(rows).channels[group.name])
    np.testing.assert_array_equal(masks, expected == 1)


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        ({"x": np.zeros(2)}, "range of 'x' is .* for one of .'in', 'a', 'b'"),
        ({"a": np.zeros(3)}, "wanted two finite numbers"),
        ({"a": np.asarray([3.0, -3.0])}, "the least first"),
        ({"a": np.asarray([0, np.nan], np.float32)}, "wanted two finite numbers"),
    ],
)
def test_bad_ranges_are_refused(ranges: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        jc.Space(NETWORK, (jc.genes.ActivationBits(ranges),))


def test_bad_choices_of_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="ActivationBits: choices has 5000; allowed"):
        jc.genes.ActivationBits(RANGES, (4, 5000))
