"""Batch norm is found in any function, and its new statistics are those of float64."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from network.exact import close, compiled
from network.zoo import ZOO
from network.zoo.base import apply_unit, images, normal, unit
from real import WEIGHTS_DIR, images_for_testing, skip_without_weights

import jaxcompress as jc
from jaxcompress.compress import with_batch_statistics
from jaxcompress.data import Task
from jaxcompress.models import as_function, create
from jaxcompress.models.published import load
from jaxcompress.network import normalisations

EPSILON = 1e-5


def perturbed() -> jc.Network:
    """Two units and a head whose statistics say nothing about their activations."""
    rng = np.random.default_rng(0)
    params = {"a": unit(rng, 3, 6), "b": unit(rng, 6, 5), "head": normal(rng, 5, 2)}

    def apply(p: Any, x: Any) -> Any:
        x = jax.nn.relu(apply_unit(x, p["a"]))
        x = jax.nn.relu(apply_unit(x, p["b"]))
        return x.mean((1, 2)) @ p["head"]

    return jc.trace(apply, params, images())


def test_training_mode_has_the_gradients_of_flax() -> None:
    module = create("digits_cnn", 0, Task((8, 8, 1), 10))
    apply, params = as_function(module)
    x = jax.random.normal(jax.random.key(2), (32, 8, 8, 1))
    network = jc.trace(apply, params, x[:2])
    training = nnx.view(module, use_running_average=False)
    graph, own, rest = nnx.split(training, nnx.Param, ...)
    own, rest = nnx.to_pure_dict(own), nnx.to_pure_dict(rest)

    def ours(params: Any) -> Any:
        outputs, seen = with_batch_statistics(network, jc.Plan(), x, params)
        return jnp.square(outputs).sum(), seen

    def theirs(own: Any) -> Any:
        return jnp.square(nnx.merge(graph, own, rest)(x)).sum()  # type: ignore[operator]

    found, seen = compiled(jax.grad(ours, has_aux=True))(params)
    wanted = jax.tree.leaves(compiled(jax.grad(theirs))(own))
    moved = [g for path, g in network.leaves(found).items() if path not in seen]
    assert len(moved) == len(wanted)
    norms = [sorted(float(jnp.linalg.norm(g)) for g in side) for side in (moved, wanted)]
    np.testing.assert_allclose(*norms, rtol=1e-3, atol=1e-4 * max(norms[1]))


def test_the_evaluator_estimates_for_every_individual() -> None:
    network = perturbed()
    x = np.random.default_rng(4).normal(size=(40, 4, 4, 3)).astype(np.float32)
    y = np.arange(40, dtype=np.int32) % 2
    space = jc.Space(network, (jc.genes.ChannelCount(), jc.genes.WeightBits((2, 8))))
    error = jc.objectives.Error("cross_entropy")
    evaluate = jc.Evaluator(
        network, space, (error,), inputs=x[:30], targets=y[:30], calibration=x[30:]
    )
    genotypes = np.asarray(space.sample(jax.random.key(0), 3))
    found = np.asarray(evaluate(genotypes).objectives)[:, 0]

    @compiled
    def one(genotype: jax.Array) -> jax.Array:
        plan = space.decode(genotype)
        mended = jc.reestimate(network, plan, x[30:])
        return error(jc.forward(network, plan, x[:30], mended), jnp.asarray(y[:30]))

    wanted = [float(one(genotype)) for genotype in genotypes]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def convolved(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """3x3 with zeros around, NHWC and HWIO, in float64."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    return sum(  # type: ignore[return-value]
        padded[:, i : i + height, j : j + width] @ w[i, j]
        for i in range(3)
        for j in range(3)
    )


def test_statistics_and_outputs_are_those_of_float64() -> None:
    network = perturbed()
    places = list(normalisations(network).values())
    assert [(p.mean, p.var) for p in places] == [
        ("a/n/mean", "a/n/var"),
        ("b/n/mean", "b/n/var"),
    ]
    assert all(p.epsilon == np.float32(EPSILON) and p.axes == (0, 1, 2) for p in places)
    kept = np.array([True, False, True, True, False, True])
    (group,) = [g.name for g in network.prunable if g.size == 6]
    plan = jc.Plan(channels={group: kept}, weight_bits={"b/w": np.asarray(4, np.int32)})
    x = np.random.default_rng(1).normal(size=(64, 4, 4, 3)).astype(np.float32)
    found = compiled(lambda p: jc.reestimate(network, plan, x, p))(network.params)
    coded = compiled(lambda p: jc.compress(network, plan, p))(network.params)

    y = x.astype(np.float64)
    for name in "ab":
        p = jax.tree.map(lambda v: np.asarray(v, np.float64), coded[name])
        y = convolved(y, p["w"])
        mean, var = y.mean((0, 1, 2)), y.var((0, 1, 2))
        alive = kept if name == "a" else slice(None)
        np.testing.assert_allclose(found[name]["n"]["mean"][alive], mean[alive], atol=1e-5)
        np.testing.assert_allclose(found[name]["n"]["var"][alive], var[alive], rtol=1e-5)
        y = (y - mean) / np.sqrt(var + EPSILON) * p["n"]["scale"] + p["n"]["bias"]
        y = np.maximum(y, 0) * (kept if name == "a" else 1)
    expected = y.mean((1, 2)) @ np.asarray(network.params["head"], np.float64)
    outputs = compiled(lambda p: jc.forward(network, plan, x, p))(found)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    for path, leaf in network.leaves(found).items():  # and nothing else has changed
        if not path.endswith(("mean", "var")):
            np.testing.assert_array_equal(leaf, network.leaves()[path])


def test_it_is_what_flax_sees_in_training() -> None:
    """Without momentum, the running averages after a step are those of its batch."""
    module = create("digits_cnn", 0, Task((8, 8, 1), 10))
    apply, params = as_function(module)
    x = jax.random.normal(jax.random.key(1), (16, 8, 8, 1))
    network = jc.trace(apply, params, x[:2])
    assert len(normalisations(network)) == 4
    found = compiled(lambda p: jc.reestimate(network, jc.Plan(), x, p))(params)
    for _, part in nnx.iter_modules(module):
        if isinstance(part, nnx.BatchNorm):
            part.momentum = 0.0

    @nnx.jit
    def step(module: nnx.Module, x: jax.Array) -> None:
        module(x)  # type: ignore[operator]

    step(module, x)
    close(found, as_function(module)[1], 1e-4)


def test_it_is_found_in_other_libraries() -> None:
    for name in ("flax_nnx", "flax_linen", "haiku", "resnet_padded"):
        network = jc.trace(*ZOO[name](jax.random.key(0))[:3])
        means = {place.mean for place in normalisations(network).values()}
        named = {p for p in network.paths if p.endswith(("mean", "mean_ema/average"))}
        assert means == named and means, name
    norm, state = eqx.nn.make_with_state(eqx.nn.BatchNorm)(
        3, "batch", mode="ema", inference=True
    )
    params, static = eqx.partition((norm, state), eqx.is_inexact_array)

    def apply(p: Any, x: Any) -> Any:
        norm, state = eqx.combine(p, static)
        return jax.vmap(lambda x: norm(x, state)[0], axis_name="batch")(x)

    network = jc.trace(apply, params, jnp.ones((2, 3, 4, 4)))
    (place,) = normalisations(network).values()
    assert place.axes == (0, 2, 3)


def test_what_is_no_batch_norm_is_left_alone() -> None:
    class Net(linen.Module):
        @linen.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            shift = self.param("shift", linen.initializers.ones, (4,))
            x = linen.LayerNorm()(linen.Dense(4)(x)) - shift
            return linen.Dense(2)(x * jnp.sqrt(1 + jnp.square(shift)))

    module, x = Net(), jnp.ones((2, 3))
    params = module.init(jax.random.key(0), x)
    network = jc.trace(module.apply, params, x)
    assert normalisations(network) == {}
    assert jc.reestimate(network, jc.Plan(), x) is params


def test_a_pruned_published_network_becomes_usable() -> None:
    skip_without_weights("resnet8_cifar10")
    pixels, labels = images_for_testing("cifar10")
    apply, params = as_function(load("resnet8_cifar10", WEIGHTS_DIR))
    network = jc.trace(apply, params, jnp.zeros((2, 32, 32, 3)))
    plan = jc.Plan(
        channels={
            group: np.argsort(np.argsort(scores)) >= len(scores) // 4
            for group, scores in jc.importance.l1(network).items()
        }
    )
    # Other images than those that judge. The training split would do as well.
    calibration = jnp.asarray(pixels[2000:2256], jnp.float32)
    x, y = jnp.asarray(pixels[:1000], jnp.float32), labels[:1000]
    right = jax.jit(lambda p: (jc.forward(network, plan, x, p).argmax(-1) == y).mean())
    mended = jax.jit(lambda p: jc.reestimate(network, plan, calibration, p))(params)
    before, after = float(right(params)), float(right(mended))
    assert after > before + 0.05, (before, after)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_types_stay(dtype: Any) -> None:
    network = perturbed()
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), network.params)
    low = jc.trace(network.apply, params, images().astype(dtype))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 4, 4, 3)), dtype)
    found = compiled(lambda p: jc.reestimate(low, jc.Plan(), x, p))(params)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype(dtype)}
    assert not jnp.array_equal(found["b"]["n"]["mean"], params["b"]["n"]["mean"])
