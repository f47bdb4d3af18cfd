"""Criteria by which channels are ranked, against sums and differences by hand."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network.zoo import ZOO

import jaxcompress as jc
from jaxcompress.space.importance import Scores

NETWORK = jc.trace(*ZOO["resnet_padded"](jax.random.key(0))[:3])
LEAVES = {k: np.asarray(v, np.float64) for k, v in NETWORK.leaves().items()}
GATED = {"a": jnp.asarray([[1.0, -2.0], [0.5, 1.0]]), "b": jnp.asarray([[1.0], [3.0]])}
X, T = jnp.asarray([[1.0, 2.0], [0.3, -1.0]]), jnp.asarray([[0.0], [1.0]])


def squared(y: jax.Array, t: jax.Array) -> jax.Array:
    return jnp.square(y - t).mean()


def by_difference(rows: slice) -> np.ndarray:
    """The change of the loss with a gate that was put in by hand."""
    slopes = []
    for channel in range(2):
        values = []
        for step in (-1e-2, 1e-2):
            gate = jnp.ones(2).at[channel].add(step)
            outputs = (jnp.tanh(X[rows] @ GATED["a"]) * gate) @ GATED["b"]
            values.append(float(squared(outputs, T[rows])))
        slopes.append((values[1] - values[0]) / 2e-2)
    return np.abs(slopes)


def gated(p: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    return jnp.tanh(x @ p["a"]) @ p["b"]


def test_taylor_is_the_gradient_of_a_batch_at_a_gate() -> None:
    network = jc.trace(gated, GATED, X)
    scores = jc.importance.taylor(network, X, T, loss=squared)["a"]
    np.testing.assert_allclose(scores, by_difference(slice(0, 2)), rtol=1e-3)


def test_gradient_at_mask_is_that_of_single_examples() -> None:
    network = jc.trace(gated, GATED, X)
    scores = jc.importance.gradient_at_mask(network, X, T, loss=squared)["a"]
    each = [by_difference(slice(i, i + 1)) for i in range(2)]
    np.testing.assert_allclose(scores, np.mean(each, 0), rtol=1e-3)


def test_l1_scores_are_sums_over_tied_layers() -> None:
    scores = jc.importance.l1(NETWORK)
    group = next(g for g in NETWORK.prunable if ("stem/w", 3) in g.members)
    own = np.abs(LEAVES["stem/w"]).sum((0, 1, 2)) + np.abs(LEAVES["a2/w"]).sum((0, 1, 2))
    padded = np.abs(LEAVES["b2/w"]).sum((0, 1, 2))[2:6]  # the shortcut is padded by 2
    np.testing.assert_allclose(scores[group.name], own + padded, rtol=1e-6)


def test_batch_norm_scores_are_scales_summed_over_tied_layers() -> None:
    scores = jc.importance.batch_norm(NETWORK)
    group = next(g for g in NETWORK.prunable if ("stem/w", 3) in g.members)
    own = np.abs(LEAVES["stem/n/scale"]) + np.abs(LEAVES["a2/n/scale"])
    padded = np.abs(LEAVES["b2/n/scale"])[2:6]
    np.testing.assert_allclose(scores[group.name], own + padded, rtol=1e-6)


def scale_first(p: Any, x: Any) -> Any:
    """As Haiku and Flax write it: the scale multiplies the root."""
    factor = jax.lax.rsqrt(p["var"] + 1e-5) * p["scale"]
    return (x - p["mean"]) * factor + p["bias"]


def divided(p: Any, x: Any) -> Any:
    return (x - p["mean"]) / jnp.sqrt(p["var"] + 1e-5) * p["scale"] + p["bias"]


def by_layer(p: Any, x: Any) -> Any:
    return jax.nn.standardize(x.reshape(-1, 2, 3), axis=1).reshape(-1, 6) * p["scale"]


def sloped(p: Any, x: Any) -> Any:
    """A slope is no scale of a normalisation."""
    return jnp.where(x > 0, x, x * p["scale"])


@pytest.mark.parametrize(
    ("norm", "is_scale"),
    [(scale_first, True), (divided, True), (by_layer, True), (sloped, False)],
)
def test_scales_are_found_however_they_are_written(
    norm: Callable[[Any, Any], Any], is_scale: bool
) -> None:
    rng = np.random.default_rng(0)
    vectors = {n: rng.normal(size=6) for n in ("mean", "scale", "bias")}
    tree = {"a": rng.normal(size=(4, 6)), "b": rng.normal(size=(6, 3)), **vectors}
    params = {k: jnp.asarray(v, jnp.float32) for k, v in tree.items()}
    params["var"] = jnp.exp(params["mean"])
    network = jc.trace(lambda p, x: norm(p, x @ p["a"]) @ p["b"], params, jnp.ones((2, 4)))
    (group,) = network.prunable
    assert group.size >= 2
    scores = jc.importance.batch_norm(network)[group.name]
    magnitude = np.abs(vectors["scale"]) if is_scale else np.abs(tree["a"]).sum(0)
    if group.size == 6:
        np.testing.assert_allclose(scores, magnitude, rtol=1e-5)
    else:  # three channels, each in both halves
        np.testing.assert_allclose(scores, magnitude.reshape(2, 3).sum(0), rtol=1e-5)


def test_random_scores_depend_on_the_key_alone() -> None:
    a, b, c = (jc.importance.random(NETWORK, jax.random.key(i)) for i in (0, 0, 1))
    for group in NETWORK.prunable:
        name = group.name
        assert a[name].shape == (group.size,) and (a[name] == b[name]).all()
        assert (a[name] != c[name]).any()


@pytest.mark.parametrize("rank", [jc.importance.taylor, jc.importance.gradient_at_mask])
def test_bad_data_is_refused(rank: Callable[..., Scores]) -> None:
    network = jc.trace(gated, GATED, X)
    with pytest.raises(ValueError, match="0 inputs and 0 targets; give"):
        rank(network, X[:0], T[:0])
    with pytest.raises(ValueError, match="the network has 1 outputs, so allowed are 0"):
        rank(network, X, jnp.asarray([0, 1]))
