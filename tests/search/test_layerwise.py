"""Masks chosen by a genetic algorithm on a quadratic form, against all of them."""

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np

import jaxcompress as jc
from jaxcompress.evolution import Evaluation, GeneticAlgorithm, Grid, compiled, evolve
from jaxcompress.search import layerwise
from jaxcompress.space.importance import GatedLoss

RNG = np.random.default_rng(1)


def test_every_generation_keeps_the_number() -> None:
    # Two groups with numbers of their own, and a gene of none; nothing is repaired.
    groups = np.asarray([0] * 5 + [1] * 4 + [-1])
    first = np.stack(
        [[*np.roll([1, 1, 0, 0, 0], i), *np.roll([1, 1, 1, 0], i), i % 2] for i in range(8)]
    )
    algorithm = GeneticAlgorithm(
        8,
        Grid(np.full(10, 2), exchange=groups),
        1,
        selection="roulette",
        elites=0,
        initial=first,
    )
    rates = algorithm.default_params.replace(mutation_rate=jnp.float32(0.5))

    def cost(rows: jax.Array) -> Evaluation:
        return Evaluation(rows @ jnp.arange(10.0)[:, None], jnp.zeros(rows.shape[0]))

    run = compiled(lambda key: evolve(key, algorithm, cost, 10, rates).genotypes)
    rows = np.asarray(run(jax.random.key(0)))
    assert (rows[..., :5].sum(-1) == 2).all() and (rows[..., 5:9].sum(-1) == 3).all()
    assert len(np.unique(rows.reshape(-1, 10), axis=0)) > 20


def test_a_layer_is_cut_when_the_ones_before_are() -> None:
    sizes = {"a": (3, 5), "b": (5, 5), "c": (5, 2)}
    params = {name: RNG.normal(size=size) for name, size in sizes.items()}
    x, y = RNG.normal(size=(12, 3)), RNG.normal(size=(12, 2))
    single = {name: jnp.asarray(p, jnp.float32) for name, p in params.items()}

    def squared(outputs: jax.Array, targets: jax.Array) -> jax.Array:
        return jnp.square(outputs - targets).mean()

    network = jc.trace(
        lambda p, x: x @ p["a"] @ p["b"] @ p["c"], single, jnp.asarray(x[:2])
    )
    loss = GatedLoss(network, jnp.asarray(x), jnp.asarray(y), loss=squared)
    found = layerwise(
        jax.random.key(0), loss, {"a": 3, "b": 2}, population=8, generations=8
    )
    a, b = found.masks["a"], found.masks["b"]
    assert a.shape == b.shape == (8, 5)
    assert (a.sum(1) == 3).all() and (b.sum(1) == 2).all()
    assert min(found.correlation.values()) > 0.99  # the loss is quadratic in each

    def mean(first: np.ndarray, second: np.ndarray) -> float:
        outputs = (x @ params["a"] * first) @ (params["b"] * second) @ params["c"]
        return float(np.square(outputs - y).mean())

    def masks(size: int, count: int) -> list[np.ndarray]:
        chosen = combinations(range(size), count)
        return [np.eye(size)[list(kept)].sum(0) for kept in chosen]

    least = min(mean(mask, np.ones(5)) for mask in masks(5, 3))
    assert np.isclose(mean(a[0], np.ones(5)), least, rtol=1e-3)
    # Of the second the best is the one that suits what is left of the first.
    least = min(mean(a[0], mask) for mask in masks(5, 2))
    assert np.isclose(mean(a[0], b[0]), least, rtol=1e-3)
