"""Genotype and plan are inverse to each other; choices are checked."""

from inspect import unwrap
from typing import Any

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

WINDOWS = [layer.name for layer in NETWORK.layers if layer.kernel_axes]
LAST = NETWORK.layers[-1].name
OTHERS = jc.Space(
    NETWORK,
    (
        jc.genes.ChannelMask(),
        jc.genes.KernelMask((0.5, 0.0, 0.75), layers=WINDOWS[:2]),
        jc.genes.Rank(steps=3, layers=[*WINDOWS[2:], LAST]),
        jc.genes.Sparsity((0.0, 0.9, 0.3)),
    ),
)
# A third, two thirds and all of the ranks, rounded by hand.
THIRDS = {3: (1, 2, 3), 4: (1, 3, 4), 5: (2, 3, 5), 6: (2, 4, 6), 8: (3, 5, 8)}


def unchecked(kind: Any, *given: Any, **options: Any) -> Any:
    """Makes one as outside of tests, where no annotation is checked."""
    made = object.__new__(kind)
    unwrap(kind.__init__)(made, *given, **options)
    return made


@jax.jit
def there_and_back(genes: jax.Array) -> Any:
    plan = OTHERS.decode(genes)
    return plan, OTHERS.encode(plan), OTHERS.canonical(genes)


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


@settings(max_examples=50, deadline=None)
@given(st.tuples(*(st.integers(0, int(n) - 1) for n in OTHERS.cardinality)))
def test_every_gene_means_what_it_says_and_is_found_again(
    genotype: tuple[int, ...],
) -> None:
    plan, *encoded = jax.device_get(there_and_back(jnp.asarray(genotype, jnp.int32)))
    said = dict(zip(OTHERS.names, genotype, strict=True))
    for group in NETWORK.prunable:
        genes = [f"channels of {group.name}[{i}]" for i in range(group.size)]
        if not any(said[gene] for gene in genes):
            said[genes[0]] = 1  # one must stay
        assert plan.channels[group.name].tolist() == [said[gene] == 1 for gene in genes]
    assert len(plan.kernel_sparsity) == 2
    for path, share in plan.kernel_sparsity.items():
        assert share == np.float32((0.75, 0.5, 0.0)[said[f"zero kernels of {path}"]])
    assert len(plan.sparsity) == len(NETWORK.layers)
    for path, share in plan.sparsity.items():
        assert share == np.float32((0.9, 0.3, 0.0)[said[f"zeros of {path}"]])
    assert len(plan.ranks) == len(NETWORK.layers) - 2
    for path, ranks in plan.ranks.items():
        *window, inputs, outputs = NETWORK.leaves()[path].shape
        full = (inputs, outputs) if window else (min(inputs, outputs),)
        kinds = ("input rank", "output rank") if window else ("rank",)
        wanted = [
            THIRDS[n][said[f"{k} of {path}"]] for n, k in zip(full, kinds, strict=True)
        ]
        assert ranks.tolist() == wanted
    for found in encoded:
        assert found.tolist() == list(said.values())


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
        (lambda: jc.genes.WeightBits((0, 4)), "choices has 0; allowed"),
        (lambda: jc.genes.WeightBits((40,)), "choices has 40; allowed"),
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
        (
            lambda: unchecked(jc.genes.WeightBits, 4),
            "choices is 4; give a sequence of numbers",
        ),
        (lambda: unchecked(jc.genes.WeightBits, (True, 4)), "choices has True; allowed"),
        (lambda: unchecked(jc.genes.WeightBits, (4.0,)), "choices has 4.0; allowed"),
        (
            lambda: unchecked(jc.genes.Codebook, 16),
            "sizes is 16; give a sequence of numbers",
        ),
        (
            lambda: unchecked(jc.genes.Sparsity, "0.5"),
            "shares is '0.5'; give a sequence of numbers",
        ),
        (
            lambda: unchecked(jc.genes.KernelMask, (0.0, 0.0)),
            "shares .0.0, 0.0. has duplicates",
        ),
        (
            lambda: unchecked(jc.genes.KernelMask, (1.0,)),
            r"shares has 1.0; allowed: \[0, 1\)",
        ),
        (
            lambda: unchecked(jc.genes.Rank, "8"),
            "steps is '8'; allowed: an integer, 2 or more",
        ),
        (lambda: unchecked(jc.genes.Rank, 2.5), "steps is 2.5; allowed"),
        (
            lambda: unchecked(jc.genes.ChannelCount, multiple_of=2.5),
            "multiple_of is 2.5; allowed",
        ),
        (
            lambda: unchecked(jc.genes.ChannelMask, {"a": 2.5}),
            "keep says 2.5 of 'a'; allowed",
        ),
        (lambda: space(jc.genes.ChannelMask({"zz": 1})), "keep says 1 of 'zz'"),
        (lambda: space(jc.genes.ChannelMask(groups="zz")), "'zz', which names none of"),
        (lambda: space(jc.genes.KernelMask(layers=LAST)), "no convolution with a window"),
    ],
)
def test_bad_choices_are_refused(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def space(*kinds: Any) -> jc.Space:
    return jc.Space(NETWORK, kinds)


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ((jc.genes.ChannelMask(), jc.genes.ChannelCount()), "decide about the channels of"),
        (
            (
                jc.genes.Codebook((4,), layers=LAST),
                jc.genes.Codebook((8,), layers=WINDOWS[0]),
            ),
            "two gene kinds decide about the codebook of the network",
        ),
        (
            tuple(jc.genes.Sparsity((0.5,), "network", n) for n in (LAST, WINDOWS)),
            "two gene kinds decide about the zeros of the network",
        ),
        ((jc.genes.Codebook((4,)), jc.genes.WeightBits()), "choose one of the two"),
        ((jc.genes.Rank(), jc.genes.KernelMask()), "choose one of the two"),
    ],
)
def test_kinds_that_contradict_each_other_are_refused(kinds: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        space(*kinds)


@pytest.mark.parametrize("given", [jc.genes.WeightBits(), (jc.genes.WeightBits,), 4])
def test_what_is_no_sequence_of_kinds_is_refused(given: Any) -> None:
    with pytest.raises(
        ValueError, match="give a sequence that is not empty, of gene kinds"
    ):
        unchecked(jc.Space, NETWORK, given)


@pytest.mark.parametrize(
    ("genotype", "words"),
    [
        (np.zeros(9, np.int32), r"has shape \(9,\) and dtype int32; wanted integers"),
        (np.asarray([0, 2, 0, 0, 0, 0], np.int32), r"gene 1, .* is 2; allowed: 0\.\.1"),
        (np.asarray([0, 0, -1, 0, 0, 0], np.int32), "gene 2, .* is -1"),
    ],
)
def test_what_is_no_genotype_is_refused(genotype: Any, words: str) -> None:
    bits = space(jc.genes.WeightBits((2, 4)))
    assert len(bits) == 6
    for use in (bits.decode, bits.canonical):
        with pytest.raises(ValueError, match=words):
            use(genotype)


def test_a_plan_of_another_space_is_refused() -> None:
    with pytest.raises(ValueError, match="the plan says nothing of"):
        space(jc.genes.WeightBits((2, 4))).encode(jc.Plan())
