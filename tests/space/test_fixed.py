"""Kinds that are decided already."""

import jax
import numpy as np
import pytest
from network.zoo import ZOO

import jaxcompress as jc

NETWORK = jc.trace(*ZOO["mlp"](jax.random.key(0))[:3])
COUNTS, BITS = jc.genes.ChannelCount(), jc.genes.WeightBits((2, 4, 8))
WHOLE = jc.Space(NETWORK, (COUNTS, BITS))


def test_only_the_others_are_searched() -> None:
    counts, bits = WHOLE.kinds
    chosen = np.asarray(WHOLE.sample(jax.random.key(1), 1))[0]
    part = jc.Space(NETWORK, (jc.genes.Fixed(COUNTS, chosen[counts]), BITS))
    assert part.names == WHOLE.names and (part.cardinality[counts] == 1).all()
    assert (part.cardinality[bits] == WHOLE.cardinality[bits]).all()
    genotype = np.asarray(part.sample(jax.random.key(2), 1))[0]
    whole = genotype.copy()
    whole[counts] = chosen[counts]
    plan = jax.jit(part.decode)(genotype)
    same = jax.tree.map(
        lambda a, b: bool((a == b).all()), plan, jax.jit(WHOLE.decode)(whole)
    )
    assert jax.tree.all(same)
    assert (np.asarray(part.encode(plan)) == genotype).all()
    dense = jc.Space(NETWORK, (jc.genes.Fixed(COUNTS), BITS))
    plan = jax.jit(dense.decode)(dense.dense)
    assert all(np.asarray(kept).all() for kept in plan.channels.values())


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        (np.zeros(9, int), r"shape \(9,\); ChannelCount has"),
        (WHOLE.dense[WHOLE.kinds[0]] + 1, "allowed: 0 to"),
    ],
)
def test_choices_must_be_those_of_the_kind(choices: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        jc.Space(NETWORK, (jc.genes.Fixed(COUNTS, choices),))
