"""The work of layers, and the costs that only count it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compress.test_kinds import NETWORK as KINDS_NETWORK, PARAMS
from network.exact import compiled, random_plan
from network.zoo import ZOO
from network.zoo.base import conv
from objectives.counted import Shape, costs, one_memory

import jaxcompress as jc
from jaxcompress.compress import other_macs, total, work
from jaxcompress.network import Group, Tucker
from jaxcompress.objectives import Bops, Energy, Macs, Parameters
from jaxcompress.space.bases import bases

KINDS = [
    Macs(),
    Parameters(),
    Bops(),
    Energy("CI:CO"),
    Energy("X:FX", "eyeriss"),
    Energy("FX:FY", "tpu"),
]
NAMES = ["resnet_padded", "mobilenet", "resnext", "depth_multiplier", "vit", "gru"]


RANGE = np.asarray([-1.0, 1.0], np.float32)


def coded(network: jc.Network, seed: int, paths: Any) -> jc.Plan:
    rng = np.random.default_rng(seed)
    names = [layer.name for layer in network.layers][::2]
    return jc.Plan(
        weight_bits={p: jnp.int32(rng.choice([1, 3, 8, 32])) for p in paths},
        sparsity={p: jnp.float32(rng.random()) for p in paths},
        activation_bits={name: jnp.int32(rng.choice([2, 8])) for name in names},
        activation_ranges=dict.fromkeys(names, RANGE),
    )


@pytest.mark.parametrize("name", NAMES)
def test_costs_are_those_of_the_compact_network(name: str) -> None:
    """Whatever a plan removes is in no cost: the smaller network has none of it."""
    network = jc.trace(*ZOO[name](jax.random.key(0))[:3])
    removed = random_plan(network, 1)
    small = jc.compact(network, removed)
    coding = coded(network, 2, dict.fromkeys(layer.weight for layer in small.layers))
    names = [layer.name for layer in small.layers]
    bits = {n: b for n, b in coding.activation_bits.items() if n in names}
    coding = coding.replace(activation_bits=bits)
    joint = coding.replace(channels=removed.channels, blocks=removed.blocks)
    found = costs(network, KINDS)(joint)
    np.testing.assert_allclose(found, costs(small, KINDS)(coding), rtol=1e-5)
    assert float(found[0]) == pytest.approx(small.macs, rel=1e-6)
    assert float(found[1]) == small.size


OTHERS = ["tied_embedding", "scanned_layers", "einsum", "low_rank", "channels_first"]


@pytest.mark.parametrize("name", NAMES + OTHERS)
def test_macs_of_work_are_those_of_the_program(name: str) -> None:
    """Positions times kernel times channels, against the axes of the contraction."""
    network = jc.trace(*ZOO[name](jax.random.key(0))[:3])

    @jax.jit
    def both(plan: jc.Plan) -> tuple[jax.Array, jax.Array]:
        layers = total(work(network, plan), lambda layer: layer.macs)
        alive = network.alive(plan.channels, plan.blocks)
        return layers + other_macs(network, plan), network.count_macs(alive)

    for seed in range(3):
        found, expected = both(random_plan(network, seed))
        assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_work_by_hand() -> None:
    """Strided 3x3, then depthwise 3x3 with two outputs a channel, then dense."""
    params = {
        "a": jnp.ones((3, 3, 3, 4)),
        "b": jnp.ones((3, 3, 1, 8)),
        "c": jnp.ones((8, 5)),
    }

    def apply(p: Any, x: Any) -> Any:
        x = conv(conv(x, p["a"], stride=2), p["b"], groups=4)
        return x.mean((1, 2)) @ p["c"]

    network = jc.trace(apply, params, jnp.ones((2, 8, 6, 3)))
    group = network.prunable[0]
    plan = jc.Plan(
        channels={group.name: jnp.asarray([True, False, True, True])},
        weight_bits={"b": jnp.int32(3)},
        activation_bits={"c": jnp.int32(5)},
        activation_ranges={"c": RANGE},
    )
    works = work(network, plan)
    assert [each.kind for each in works] == ["convolution", "depthwise", "dense"]
    assert [each.kernel for each in works] == [(3, 3), (3, 3), ()]
    assert [each.layers for each in works] == [("a",), ("b",), ("c",)]
    names = ("positions", "input_positions", "groups", "inputs", "outputs", "weights")
    numbers = [[float(getattr(each, name)[0]) for name in names] for each in works]
    assert numbers[0] == [4 * 3, 8 * 6, 1, 3, 3, 9 * 3 * 3]
    assert numbers[1] == [4 * 3, 4 * 3, 3, 1, 6, 9 * 6]
    assert numbers[2] == [1, 1, 1, 6, 5, 6 * 5]
    macs = [12 * 27 * 3, 12 * 9 * 6, 30]
    assert [float(each.macs[0]) for each in works] == macs
    assert works[0].input_entries[0] == 48 * 3 and works[1].output_entries[0] == 12 * 6
    bits = macs[0] * 32 * 32 + macs[1] * 3 * 32 + macs[2] * 32 * 5
    assert float(Bops()(network, plan)) == bits
    assert float(Parameters()(network, plan)) == 81 + 54 + 30


def test_attention_has_bit_operations_of_floats() -> None:
    network = jc.trace(*ZOO["vit"](jax.random.key(0))[:3])
    paths = dict.fromkeys(layer.weight for layer in network.layers)
    plan = jc.Plan(
        weight_bits={path: jnp.int32(1) for path in paths},
        activation_bits={layer.name: jnp.int32(1) for layer in network.layers},
        activation_ranges={layer.name: RANGE for layer in network.layers},
    )
    layers = sum(layer.macs for layer in network.layers)
    assert 0 < layers < network.macs
    expected = layers + 32 * 32 * (network.macs - layers)
    assert float(Bops()(network, plan)) == pytest.approx(expected, rel=1e-6)


def test_one_program_for_all_plans() -> None:
    network = jc.trace(*ZOO["mobilenet"](jax.random.key(0))[:3])
    space = jc.Space(network, (jc.genes.ChannelCount(), jc.genes.WeightBits()))
    bound = Parameters() <= 100.0
    evaluate = jc.Evaluator(network, space, KINDS, constraints=[bound])
    genotypes = np.asarray(space.sample(jax.random.key(0), 40))
    evaluation = evaluate(genotypes)
    found = np.asarray(evaluation.objectives)
    assert found.shape == (40, len(KINDS)) and evaluate.compilations == 1
    dense = evaluate(np.asarray(space.dense)[None]).objectives
    assert (found <= dense).all() and np.isfinite(found).all()
    assert ((np.asarray(evaluation.violation) > 0) == (found[:, 1] > 100)).all()
    assert 0 < (found[:, 1] > 100).sum() < 40


def kept_of(group: Group, count: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).permutation(group.size) < count)


CHANNELS = dict(zip("abcd", (4, 5, 6, 7), strict=True))
RANKS = {"a": (2, 3), "c": (2,), "d": (3,)}
# Of the layers and factors that are left: kernel, inputs, outputs, and positions.
FACTORS = {
    "a/inputs": Shape(0, 3, 2, 64),
    "a/core": Shape(3, 2, 3, 64),
    "a/outputs": Shape(0, 3, 4, 64),
    "b": Shape(3, 4, 5, 16),
    "c/left": Shape(1, 5, 2, 16),
    "c/right": Shape(0, 2, 6, 16),
    "d/left": Shape(0, 6, 3, 1),
    "d/right": Shape(0, 3, 7, 1),
    "e": Shape(0, 7, 4, 1),
}
FIRST = ("a/inputs", "c/left", "d/left")


def quickly(network: jc.Network) -> Any:
    return compiled(lambda plan: jnp.stack([cost(network, plan) for cost in KINDS]))


def test_costs_of_ranks_are_those_of_the_factors() -> None:
    """Of the traced network with real factors, and counted by hand in float64."""
    groups = {group.name: group for group in KINDS_NETWORK.prunable}
    bits = dict(zip("abcde", (3, 8, 4, 2, 6), strict=True))
    zeros = dict(zip("abcde", (0.5, 0.25, 0.0, 0.75, 0.5), strict=True))
    plan = jc.Plan(
        channels={name: kept_of(groups[name], n) for name, n in CHANNELS.items()},
        ranks={path: jnp.asarray(ranks, jnp.int32) for path, ranks in RANKS.items()},
        weight_bits={path: jnp.int32(n) for path, n in bits.items()},
        sparsity={path: jnp.float32(share) for path, share in zeros.items()},
        activation_bits={name: jnp.int32(16) for name in "acd"},
        activation_ranges=dict.fromkeys("acd", RANGE),
    )
    found = quickly(KINDS_NETWORK)(plan)
    small = jc.compact(
        KINDS_NETWORK, plan.replace(activation_bits={}, activation_ranges={})
    )
    first = [layer.name for layer in small.layers if layer.weight in FIRST]
    assert len(first) == 3
    coding = jc.Plan(
        weight_bits={path: plan.weight_bits[path[0]] for path in FACTORS},
        sparsity={path: plan.sparsity[path[0]] for path in FACTORS},
        activation_bits={name: jnp.int32(16) for name in first},
        activation_ranges=dict.fromkeys(first, RANGE),
    )
    np.testing.assert_allclose(found, quickly(small)(coding), rtol=1e-5)
    macs, entries, bops, energy = 0, 0, 0, 0.0
    for path, shape in FACTORS.items():
        weights = max(1, shape.side) ** 2 * shape.inputs * shape.outputs
        entries += weights
        macs += weights * shape.positions
        inputs = 16 if path in FIRST else 32
        bops += weights * shape.positions * bits[path[0]] * inputs
        # Inputs of 16 bits are words of the one memory, as those of floats are.
        energy += one_memory([shape], "CI:CO", 1 - zeros[path[0]], bits[path[0]]) / 100
    np.testing.assert_allclose(found[:4], [macs, entries, bops, energy], rtol=1e-5)


def test_one_threshold_leaves_each_factor_its_own_density() -> None:
    """The threshold is found by sorting all of them in float64."""
    plan = jc.Plan(
        ranks={path: jnp.asarray(ranks, jnp.int32) for path, ranks in RANKS.items()},
        sparsity={path: jnp.float32(0.6) for path in "abcd"},
        sparsity_scope="network",
    )
    values = {"b": PARAMS["b"]}
    for path, ranks in RANKS.items():
        factors = bases(KINDS_NETWORK)[path].factors(PARAMS[path])
        if isinstance(factors, Tucker):
            first, second = ranks
            values[f"{path}/inputs"] = factors.inputs[:, :first]
            values[f"{path}/core"] = factors.core[:, :, :first, :second]
            values[f"{path}/outputs"] = factors.outputs[:second]
        else:
            values[f"{path}/left"] = factors.left[..., : ranks[0]]
            values[f"{path}/right"] = factors.right[: ranks[0]]
    sizes = {name: np.abs(np.asarray(v, np.float64)) for name, v in values.items()}
    line = np.sort(np.concatenate([size.ravel() for size in sizes.values()]))
    threshold = line[int(np.floor(0.6 * line.size + 0.5))]
    expected = {name: (size >= threshold).mean() for name, size in sizes.items()}
    expected["e"] = 1.0

    @compiled
    def densities(plan: jc.Plan) -> Any:
        return {
            name: (each.density[i], each.runs[i])
            for each in work(KINDS_NETWORK, plan)
            for i, name in enumerate(each.layers)
        }

    found = {name: float(share) for name, (share, runs) in densities(plan).items() if runs}
    assert found == pytest.approx(expected, rel=1e-6) and len(set(found.values())) > 5
