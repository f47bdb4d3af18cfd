"""Seeds, on a network small enough to try every choice by hand."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network.zoo import ZOO

import jaxcompress as jc
from jaxcompress import objectives
from jaxcompress.compress import masked
from jaxcompress.search import (
    accepted,
    boundary,
    cheapest,
    corners,
    encoded,
    probes,
    up_to,
)

NETWORK = jc.trace(*ZOO["mlp"](jax.random.key(0))[:3])
SPACE = jc.Space(
    NETWORK, (jc.genes.ChannelCount(multiple_of=3), jc.genes.WeightBits((1, 2, 8)))
)
INPUTS = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
TARGETS = np.asarray(NETWORK.apply(NETWORK.params, INPUTS)).argmax(1).astype(np.int32)
EVALUATE = jc.Evaluator(
    NETWORK,
    SPACE,
    (objectives.Error(), objectives.Size("dense")),
    inputs=INPUTS,
    targets=TARGETS,
    chunk=8,
)


@pytest.fixture(scope="module")
def errors_alone() -> list[dict[int, float]]:
    """For each gene alone and each choice the error, one network after the other."""

    @jax.jit
    def outputs(genotype: Any) -> Any:
        plan = SPACE.decode(genotype)
        return masked(NETWORK, plan, INPUTS, jc.compress(NETWORK, plan))

    found: list[dict[int, float]] = []
    for gene, count in enumerate(SPACE.cardinality):
        found.append({})
        for choice in range(count):
            genotype = SPACE.dense.copy()
            genotype[gene] = choice
            wrong = np.asarray(outputs(jnp.asarray(genotype))).argmax(1) != TARGETS
            found[-1][choice] = float(wrong.mean())
    return found


@pytest.mark.parametrize("within", [0.0, 0.06, 0.2, 1.0])
def test_boundary_is_the_last_choice_within_the_threshold(errors_alone, within) -> None:
    found = boundary(EVALUATE, within)
    for gene, errors in enumerate(errors_alone):
        dense = errors[int(SPACE.dense[gene])]
        # In this space the lower choice is the cheaper one.
        expected = min(c for c, e in errors.items() if e <= dense + within + 1e-6)
        assert found[gene] == expected


def test_boundary_moves_with_its_threshold() -> None:
    strict, loose = boundary(EVALUATE, 0.0), boundary(EVALUATE, 1.0)
    assert (strict >= loose).all() and (strict > loose).any()
    assert (loose == 0).all()


def test_seeds_between_dense_and_the_limit() -> None:
    limit = boundary(EVALUATE, 0.2)
    rows = up_to(jax.random.key(0), SPACE, limit, 400)
    assert rows.dtype == np.int32 and rows.shape == (400, len(SPACE))
    assert (rows.min(0) == limit).all() and (rows.max(0) == SPACE.dense).all()
    middle = (limit + SPACE.dense) / 2
    assert np.abs(rows.mean(0) - middle).max() < 0.2
    assert (rows == up_to(jax.random.key(0), SPACE, limit, 400)).all()


def test_what_has_too_large_an_error_is_drawn_again() -> None:
    limit = boundary(EVALUATE, 0.2)
    errors = np.asarray(EVALUATE(up_to(jax.random.key(9), SPACE, limit, 64)).objectives)
    most = float(np.median(errors[:, 0]))
    rows, drawn = accepted(jax.random.key(0), EVALUATE, limit, 20, most)
    assert len(rows) == 20 and drawn % 20 == 0 and 40 <= drawn < 200
    assert (np.asarray(EVALUATE(rows).objectives)[:, 0] <= most + 1e-6).all()
    # Where too few will do, the best of all that were drawn fill up.
    rows, drawn = accepted(jax.random.key(0), EVALUATE, limit, 5, -1.0, rounds=2)
    keys = (jax.random.fold_in(jax.random.key(0), i) for i in range(2))
    every = np.concatenate([up_to(key, SPACE, limit, 5) for key in keys])
    best = np.sort(np.asarray(EVALUATE(every).objectives)[:, 0])[:5]
    assert drawn == 10
    assert (np.sort(np.asarray(EVALUATE(rows).objectives)[:, 0]) == best).all()


def test_the_cheapest_that_is_good_enough() -> None:
    rows = np.arange(4)[:, None]
    values = np.asarray([[0.1, 9, 5], [0.2, 8, 6], [0.3, 1, 1], [0.05, 9, 9]], np.float32)
    assert cheapest(rows, values, ("error", "size", "macs"), 0.2) == 0
    assert cheapest(rows, values, ("error", "size", "bops"), 0.2) == 1
    assert cheapest(rows, values, ("error", "size", "macs"), 0.01) == 3


def test_seeds_keep_the_number_of_a_mask() -> None:
    group = NETWORK.prunable[0]
    masks = jc.genes.ChannelMask({group.name: 2}, group.name)
    space = jc.Space(NETWORK, (masks, jc.genes.WeightBits((1, 8))))
    for rows in (corners(space), probes(space)):
        assert (rows[:, space.kinds[0]].sum(1) == 2).all()
    assert (probes(space)[1:, space.kinds[1]] != space.dense[space.kinds[1]]).any()


def test_probes_change_one_gene_at_a_time() -> None:
    rows = probes(SPACE)
    assert (rows[0] == SPACE.dense).all()
    assert ((rows[1:] != SPACE.dense).sum(1) == 1).all()
    assert len(np.unique(rows, axis=0)) == len(rows) == 1 + sum(SPACE.cardinality - 1)
    few = probes(SPACE, levels=2)
    assert len(few) == 1 + len(SPACE)
    assert (few.min(0) == 0).all()


def test_corners_are_all_or_nothing_by_kind() -> None:
    channels, bits = SPACE.kinds
    rows = {tuple(row) for row in corners(SPACE)}
    assert len(rows) == 4
    for row in map(np.asarray, rows):
        for part in (channels, bits):
            assert (row[part] == 0).all() or (row[part] == SPACE.dense[part]).all()


def test_plans_of_the_user_come_back() -> None:
    genotypes = np.asarray(SPACE.sample(jax.random.key(0), 3))
    plans = [SPACE.decode(genotype) for genotype in genotypes]
    assert (encoded(SPACE, plans) == genotypes).all()
    bits = {name: jnp.int32(5) for name in plans[0].weight_bits}
    ends = {name: jnp.int32(32) for name in plans[0].weight_bits}
    for strange in ({"weight_bits": bits}, {"weight_bits": ends}, {"channels": {}}):
        with pytest.raises(ValueError, match=r"plans\[1\] is not in the space"):
            encoded(SPACE, [plans[0], plans[0].replace(**strange)])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: boundary(EVALUATE, -0.1), "within is -0.1"),
        (lambda: boundary(EVALUATE, 0.1, cost="speed"), "no objective 'speed'"),
        (lambda: probes(SPACE, levels=1), "levels is 1"),
    ],
)
def test_bad_use_is_refused(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
