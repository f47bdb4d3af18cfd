"""Genotype and plan are inverse to each other; choices are checked."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from network.zoo import ZOO

import jaxcompress as jc

NETWORK = jc.trace(*ZOO["resnet_padded"](jax.random.key(0))[:3])
SPACE = jc.Space(
    NETWORK,
    (jc.genes.ChannelCount(multiple_of=2, minimum=2), jc.genes.WeightBits((1, 3, 8, 32))),
)
DECODE, ENCODE = jax.jit(SPACE.decode), jax.jit(SPACE.encode)


@settings(max_examples=100, deadline=None)
@given(st.tuples(*(st.integers(0, int(n) - 1) for n in SPACE.cardinality)))
def test_encode_inverts_decode(genotype: tuple[int, ...]) -> None:
    genes = jnp.asarray(genotype, jnp.int32)
    plan = DECODE(genes)
    assert (ENCODE(plan) == genes).all()
    for group in NETWORK.prunable:
        kept = int(plan.channels[group.name].sum())
        assert kept == group.size or (kept % 2 == 0 and kept >= 2)
    assert all(int(bits) in (1, 3, 8, 32) for bits in plan.weight_bits.values())


def test_different_genotypes_give_different_plans() -> None:
    genes = np.unique(np.asarray(SPACE.sample(jax.random.key(0), 300)), axis=0)
    plans = jax.vmap(SPACE.decode)(jnp.asarray(genes))
    flat = np.concatenate(
        [np.asarray(x).reshape(len(genes), -1) for x in jax.tree.leaves(plans)], 1
    )
    assert len(np.unique(flat, axis=0)) == len(genes)


def test_dense_keeps_everything_and_samples_fit() -> None:
    plan = SPACE.decode(SPACE.dense)
    assert all(bool(mask.all()) for mask in plan.channels.values())
    assert all(int(bits) == 32 for bits in plan.weight_bits.values())
    drawn = np.asarray(SPACE.sample(jax.random.key(1), 500))
    assert (drawn.min(0) == 0).all() and (drawn.max(0) == SPACE.cardinality - 1).all()


def test_the_best_scores_stay() -> None:
    group = NETWORK.prunable[0]
    scores = {g.name: np.arange(g.size, dtype=float) for g in NETWORK.prunable}
    space = jc.Space(NETWORK, (jc.genes.ChannelCount(scores),))
    kept = np.asarray(space.decode(jnp.zeros(len(space), jnp.int32)).channels[group.name])
    assert kept.tolist() == [False] * (group.size - 1) + [True]


def test_taylor_scores_are_the_gradient_at_a_gate() -> None:
    """Against finite differences of a gate put in by hand."""
    params = {"a": jnp.asarray([[1.0, -2.0], [0.5, 1.0]]), "b": jnp.asarray([[1.0], [3.0]])}

    def apply(p: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        return jnp.tanh(x @ p["a"]) @ p["b"]

    def loss(y: jax.Array, t: jax.Array) -> jax.Array:
        return jnp.square(y - t).mean()

    x, t = jnp.asarray([[1.0, 2.0], [0.3, -1.0]]), jnp.asarray([[0.0], [1.0]])
    network = jc.trace(apply, params, x)
    scores = jc.importance.taylor(network, x, t, loss=loss)["a"]
    for channel in range(2):
        values = []
        for step in (-1e-2, 1e-2):
            gate = jnp.ones(2).at[channel].add(step)
            values.append(float(loss((jnp.tanh(x @ params["a"]) * gate) @ params["b"], t)))
        assert scores[channel] == pytest.approx(abs(values[1] - values[0]) / 2e-2, rel=1e-3)


def test_l1_scores_are_sums_over_tied_layers() -> None:
    leaves = {k: np.asarray(v, np.float64) for k, v in NETWORK.leaves().items()}
    scores = jc.importance.l1(NETWORK)
    group = next(g for g in NETWORK.prunable if ("stem/w", 3) in g.members)
    own = np.abs(leaves["stem/w"]).sum((0, 1, 2)) + np.abs(leaves["a2/w"]).sum((0, 1, 2))
    padded = np.abs(leaves["b2/w"]).sum((0, 1, 2))[2:6]  # the shortcut is padded by 2
    np.testing.assert_allclose(scores[group.name], own + padded, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: jc.genes.WeightBits(()), "empty"),
        (lambda: jc.genes.WeightBits((0, 4)), "0 bits; allowed"),
        (lambda: jc.genes.WeightBits((40,)), "40 bits; allowed"),
        (lambda: jc.genes.WeightBits((4, 4)), "duplicates"),
        (lambda: jc.genes.WeightBits((4,), granularity="row"), "'row'; allowed"),
        (lambda: jc.genes.ChannelCount(multiple_of=0), "multiple_of is 0"),
        (lambda: jc.Space(NETWORK, ()), "empty"),
        (
            lambda: jc.Space(
                NETWORK, (jc.genes.WeightBits((4,)), jc.genes.WeightBits((8,)))
            ),
            "two gene kinds",
        ),
        (lambda: jc.Space(NETWORK, (jc.genes.ChannelCount({}),)), "no scores for group"),
    ],
)
def test_bad_choices_are_refused(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
