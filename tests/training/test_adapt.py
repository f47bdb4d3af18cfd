"""Shared weights are trained under the plans that were asked for, and compile once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training.test_tune import assert_same, config, data, network

import jaxcompress as jc
from jaxcompress.training.tuner import Tuner

__all__ = ["data", "network"]  # fixtures


def test_steps_are_taken_under_the_given_plans_alone(network, data):
    space = jc.Space(network, (jc.genes.ChannelCount(), jc.genes.WeightBits((1, 4))))
    train = jc.Adapter(network, space, data, config())
    key, rows = jax.random.key(0), np.ones((1, len(space)), np.int32)
    begun = jax.tree.map(lambda leaf: 0.9 * leaf, network.params)
    compiled = [0]

    def heard(event: str, *_: object, **__: object) -> None:
        compiled[0] += event == "/jax/core/compile/backend_compile_duration"

    jax.monitoring.register_event_duration_secs_listener(heard)
    try:
        found = train(key, begun, rows)
        before = compiled[0]
        again = train(key, found, np.concatenate([rows, 0 * rows]))
    finally:
        jax.monitoring.unregister_event_duration_listener(heard)
    assert compiled[0] == before > 0
    assert not np.allclose(again["a"], found["a"])

    plan = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], space.decode(rows[0]))
    tuner = Tuner(network, data, config())
    state = tuner.start(plan, begun)
    order, _ = jax.random.split(key)
    for epoch in range(2):
        for batch in tuner.batches(order, epoch):
            for _ in range(4):  # both ends and two drawn
                state = tuner.step(plan, state, batch)
    params, _ = tuner.result(plan, state)
    assert_same(found, jax.tree.map(lambda leaf: leaf[0], params))


def test_genes_come_from_another_of_the_plans(network, data):
    """As many ones as a group must have stay: what is mixed is a genotype."""
    kinds = (jc.genes.ChannelMask({"a": 3}), jc.genes.WeightBits((1, 4)))
    space = jc.Space(network, kinds)
    train, key = jc.Adapter(network, space, data, config()), jax.random.key(0)
    rows = np.asarray(space.sample(jax.random.key(1), 2))
    found = train(key, network.params, rows, mixed=0.5)

    tuner = Tuner(network, data, config())

    def stacked(row: np.ndarray) -> jc.Plan:
        plan = space.decode(np.asarray(space.repair(jnp.asarray(row)[None]))[0])
        return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], plan)

    state = tuner.start(stacked(rows[0]), network.params)
    order, draw = jax.random.split(key)
    number, strange, ends = 0, 0, []
    for epoch in range(2):
        for batch in tuner.batches(order, epoch):
            told = train._of_rows(
                draw, jnp.asarray(number), jnp.asarray(2), jnp.float32(0.5)
            )
            for place, other, swapped in zip(*map(np.asarray, told), strict=True):
                row = np.where(swapped, rows[other], rows[place])
                strange += not any((row == known).all() for known in rows)
                state = tuner.step(stacked(row), state, batch)
            ends.append(np.asarray(told[0])[[0, 3]])
            number += 1
    assert strange and (np.asarray(ends) == [0, 1]).all()
    params, _ = tuner.result(stacked(rows[0]), state)
    assert_same(found, jax.tree.map(lambda leaf: leaf[0], params))


def test_places_and_genes_are_drawn_evenly(network, data):
    space = jc.Space(network, (jc.genes.ChannelCount(), jc.genes.WeightBits((1, 4))))
    train = jc.Adapter(network, space, data, config())
    told = [map(np.asarray, train._draw(jax.random.key(0), i, 5, 0.25)) for i in range(300)]
    places, others, swapped = map(np.stack, zip(*told, strict=True))
    assert swapped.shape == (300, 4, len(space)) and abs(swapped.mean() - 0.25) < 0.03
    for chosen in (places[:, 1:3], others):
        counts = np.bincount(chosen.ravel(), minlength=5) / chosen.size
        np.testing.assert_allclose(counts, 0.2, atol=0.06)


def test_steps_that_are_not_finite_are_said(network, data):
    space = jc.Space(network, (jc.genes.WeightBits((1, 4)),))
    with pytest.warns(RuntimeWarning, match="24 of 24 steps were passed over"):
        found = jc.adapt(
            jax.random.key(0),
            network,
            space,
            data,
            config(),
            lambda outputs, targets: jnp.nan * outputs.sum(),
        )
    assert_same(found, network.params)
