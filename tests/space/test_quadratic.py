"""The loss as a quadratic form of a mask, against all masks tried one by one."""

from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network.zoo import ZOO
from scipy.stats import spearmanr

import jaxcompress as jc
from jaxcompress.space.importance import GatedLoss, rank_correlation

RNG = np.random.default_rng(0)
LINEAR = {"a": (3, 5), "b": (5, 4), "c": (4, 2)}
PARAMS = {name: jnp.asarray(RNG.normal(size=size)) for name, size in LINEAR.items()}
X, T = (jnp.asarray(RNG.normal(size=(12, n)), jnp.float32) for n in (3, 2))


def linear(p: Any, x: Any) -> Any:
    return x @ p["a"] @ p["b"] @ p["c"]


def squared(y: jax.Array, t: jax.Array) -> jax.Array:
    return jnp.square(y - t).mean()


def all_masks(size: int) -> np.ndarray:
    return np.asarray(list(product((0, 1), repeat=size)), np.int32)


def test_it_is_exact_where_the_loss_is_quadratic() -> None:
    network = jc.trace(linear, PARAMS, X[:2])
    loss = GatedLoss(network, X, T, loss=squared, batch_size=4)
    a, b, c = (np.asarray(PARAMS[name], np.float64) for name in "abc")
    cut = np.asarray([1, 0, 1, 1, 0])

    def mean(first: np.ndarray, second: np.ndarray) -> float:
        outputs = ((np.asarray(X, np.float64) @ a * first) @ b * second) @ c
        return float(np.square(outputs - T).mean())

    # The second group, when the first is cut already; of batches the mean is that of all.
    masks, gates = all_masks(4), loss.gates({"a": cut})
    true = np.asarray([mean(cut, mask) for mask in masks]) - mean(cut, np.ones(4))
    form = loss.expanded("b", gates)
    np.testing.assert_allclose(form(masks), true, rtol=1e-3, atol=2e-4 * true.std())
    np.testing.assert_allclose(loss.changes("b", gates, masks), true, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(form.curvature, form.curvature.T, rtol=1e-4, atol=1e-4)


def test_it_ranks_masks_of_a_network_nearly_as_the_loss_does() -> None:
    network = jc.trace(*ZOO["mlp"](jax.random.key(0))[:3])
    inputs = jax.random.normal(jax.random.key(1), (64, *network.example.shape[1:]))
    targets = network.apply(network.params, inputs).argmax(1)
    loss = GatedLoss(network, inputs, targets)
    (group, *_) = network.prunable
    masks = all_masks(group.size)[1:]
    true = loss.changes(group.name, loss.gates(), masks)
    # What a gate does is what a plan does.
    for i in (0, len(masks) // 2):
        plan = jc.Plan(channels={group.name: masks[i] == 1})
        ends = [jc.forward(network, p, inputs) for p in (plan, jc.Plan())]
        logs = [np.asarray(jax.nn.log_softmax(y), np.float64) for y in ends]
        values = [-log[np.arange(64), targets].mean() for log in logs]
        assert true[i] == pytest.approx(values[0] - values[1], abs=1e-5)
    form = loss.expanded(group.name, loss.gates())
    assert rank_correlation(np.asarray(form(masks)), true) > 0.8
    slope = (masks - 1) @ form.gradient  # the first order alone says less
    assert rank_correlation(slope, true) < rank_correlation(np.asarray(form(masks)), true)


def test_rank_correlation_is_spearmans() -> None:
    for _ in range(20):
        first, second = RNG.integers(0, 6, (2, 15)).astype(float)
        expected = spearmanr(first, second)[0]
        assert rank_correlation(first, second) == pytest.approx(expected)
    assert np.isnan(rank_correlation(np.ones(3), np.arange(3.0)))
