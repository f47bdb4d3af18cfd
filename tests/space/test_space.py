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
