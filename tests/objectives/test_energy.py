"""Energy against published figures, float64 formulas, and counts by hand."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from network.zoo.base import conv
from objectives.counted import Shape, costs, lenet5, one_memory, uniform, vgg16

import jaxcompress as jc
from jaxcompress.compress import Work, work
from jaxcompress.objectives import Energy
from jaxcompress.objectives.dataflow import DATAFLOWS
from jaxcompress.objectives.energy_model import TABLES, model

# Density, bits, and the energies of the four dataflows, 0.01 mJ.
VGG16 = [
    (1.0, 16, (782.6, 789.5, 823.4, 783.8)),
    (0.2, 8, (109.3, 189.5, 144.5, 176.7)),
    (0.2, 4, (81.0, 107.0, 116.3, 141.3)),
    (0.2, 2, (66.9, 65.7, 102.2, 123.5)),
]
LENET5 = [
    (1.0, 16, (1.076, 1.267, 1.092, 0.952)),
    (0.2, 4, (0.120, 0.226, 0.136, 0.168)),
]


@pytest.mark.parametrize(
    ("make", "weights", "macs", "rows"),
    [(vgg16, 14_715_584, 313_201_664, VGG16), (lenet5, 61_470, 416_520, LENET5)],
)
def test_published_energies(make: Any, weights: int, macs: int, rows: Any) -> None:
    network = make()
    assert (network.size, network.macs) == (weights, macs)
    energies = costs(network, [Energy(dataflow) for dataflow in DATAFLOWS])
    for density, bits, expected in rows:
        found = 100 * np.asarray(energies(uniform(network, density, bits)))
        digits = 1 if make is vgg16 else 3
        assert [round(float(e), digits) for e in found] == list(expected)


def test_energies_of_a_library_are_those_of_its_members() -> None:
    """The published figures of LeNet-5, by genotype: one member dense, one 0.2 of it."""
    network = lenet5()
    shares = {layer.weight: jnp.asarray([0.8, 0.0]) for layer in network.layers}
    kinds = (
        jc.genes.Library(jc.Plan(sparsity=shares)),
        jc.genes.WeightBits((4, 16), granularity="tensor", scale_by="max"),
    )
    space = jc.Space(network, kinds)
    energies = costs(network, [Energy(dataflow) for dataflow in DATAFLOWS])
    genotypes = (space.dense, np.zeros(len(space), np.int32))
    for genotype, (_, _, expected) in zip(genotypes, LENET5, strict=True):
        found = 100 * np.asarray(energies(space.decode(genotype)))
        assert [round(float(e), 3) for e in found] == list(expected)


SHAPES = [
    Shape(3, 24, 25, 49),
    Shape(5, 25, 24, 1),
    Shape(1, 7, 40, 16),
    Shape(3, 4, 12, 36, groups=3),
    Shape(3, 1, 16, 25, groups=16),
    Shape(0, 30, 20, 1),
    Shape(0, 8, 24, 9),
]


def as_work(shape: Shape, **others: Any) -> Work:
    """One layer, or what `others` give vectors for."""
    side = shape.side
    kind = "dense" if not side else "convolution" if shape.groups == 1 else "grouped"
    numbers = {
        "repeats": 1,
        "positions": shape.positions,
        "input_positions": shape.positions,
        "groups": shape.groups,
        "inputs": shape.inputs,
        "outputs": shape.outputs,
        "weights": max(side, 1) ** 2 * shape.inputs * shape.outputs,
        "weight_bits": 32,
        "activation_bits": 32,
        "density": 1,
    }
    size = max([np.size(value) for value in others.values()], default=1)
    vectors: dict[str, Any] = {
        name: jnp.broadcast_to(jnp.asarray(value, jnp.float32), size)
        for name, value in (numbers | others).items()
    }
    return Work(
        layers=("a",) * size,
        paths=("a/w",) * size,
        kind=kind,
        kernel=(side, side) if side else (),
        runs=jnp.ones(size, bool),
        **vectors,
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_one_memory_equals_the_table_in_float64(shape: Shape, dataflow: str) -> None:
    """Also for groups, for dense layers on sequences, and around 24 channels."""
    density, bits = (1.0, 0.37, 0.9), (16, 5, 1)
    layers = as_work(shape, density=np.asarray(density), weight_bits=np.asarray(bits))
    found = 100 * np.asarray(model("emomc").energy(layers, dataflow))
    pairs = zip(density, bits, strict=True)
    expected = [one_memory([shape], dataflow, p, b) for p, b in pairs]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_baseline_is_32_bits_throughout() -> None:
    """One 3x3 convolution, 2 to 4 channels, 5x5 positions, output-stationary."""
    weight, x = jnp.ones((3, 3, 2, 4)), jnp.ones((2, 5, 5, 2))
    network = jc.trace(lambda w, x: conv(x, w), weight, x)
    macs = 25 * 9 * 2 * 4
    multiplied = 0.102 * macs * (506 / 9 + 1)
    moved = 2 * (0.728 * (macs + 72) + 0.447 * 100)
    found = Energy().baseline(network)
    assert found == pytest.approx(1e-8 * (multiplied + moved), rel=1e-5)
    # 8-bit words: 4 a float; all maps fit in the buffer.
    multiplied, registers = 0.3 * macs * 16, 0.25 * macs * 4 * 4
    moved = 12.5 * 4 * (macs + 72 + 100) + 162.5 * 4 * 72
    found = Energy(table="tpu").baseline(network)
    assert found == pytest.approx(1e-9 * (multiplied + registers + moved), rel=1e-5)


def test_hierarchy_by_hand() -> None:
    """A dense layer of 300 vectors, 200 to 500 entries, whose maps do not fit."""
    coded = {"density": 0.5, "weight_bits": 4, "activation_bits": 8}
    layer = as_work(Shape(0, 200, 500, 300), **coded)
    macs = 200 * 500 * 300
    bits = 0.5 * macs * (4 + 8 + 16 + 16)  # registers
    bits += 8 * (100_000 * 4 + 0.5 * macs * 8 + 150_000 * 16)  # network and buffer
    bits += 200 * (100_000 * 4 + 60_000 * 8 + 150_000 * 16)  # DRAM: 360 kB of maps
    expected = 0.85e-9 * (0.5 * macs * 4 * 8 / 256 + bits / 16)
    found = model("eyeriss").energy(layer, "X:Y")
    np.testing.assert_allclose(found, [expected], rtol=1e-5)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_less_never_costs_more(table: str, dataflow: str) -> None:
    """Fewer channels, weights, positions or bits, whatever the others are."""
    rng = np.random.default_rng(0)
    count = 400
    high = {
        "inputs": rng.integers(2, 60, count),
        "outputs": rng.integers(2, 60, count),
        "positions": rng.integers(1, 2000, count),
        "weight_bits": rng.integers(2, 33, count),
        "activation_bits": rng.integers(2, 33, count),
        "density": rng.uniform(0.1, 1.0, count),
    }

    def energy(values: dict[str, Any]) -> np.ndarray:
        weights = 9.0 * values["inputs"] * values["outputs"]
        places = {"input_positions": 4.0 * values["positions"], "weights": weights}
        layers = as_work(Shape(3, 1, 1, 1), **(values | places))
        return np.asarray(model(table).energy(layers, dataflow))

    before = energy(high)
    for name in high:
        least = 0.05 if name == "density" else 1
        low = least + (high[name] - least) * rng.uniform(0, 1, count)
        low = low if name == "density" else np.floor(low)
        after = energy(high | {name: low})
        assert (after <= before * (1 + 1e-6)).all(), name
        assert (after < before).any(), name


def test_channels_are_counted_once_and_zeros_are_a_density() -> None:
    """Half of all channels gone is a smaller network, not a sparser one."""
    network = lenet5()
    halves = {g.name: jnp.arange(g.size) % 2 == 0 for g in network.prunable}
    plan = uniform(network, 0.3, 4).replace(channels=halves)
    layers = [
        Shape(5, 1, 3, 784),
        Shape(5, 3, 8, 100),
        Shape(5, 8, 60, 1),
        Shape(0, 60, 42, 1),
        Shape(0, 42, 10, 1),
    ]
    found = 100 * np.asarray(costs(network, [Energy(d) for d in DATAFLOWS])(plan))
    expected = [one_memory(layers, dataflow, 0.3, 4) for dataflow in DATAFLOWS]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    convolutions = [layer.weight for layer in network.layers if layer.kernel_axes]
    kernels = plan.replace(
        kernel_sparsity=dict.fromkeys(convolutions, jnp.float32(0.5)),
        sparsity={**plan.sparsity, **dict.fromkeys(convolutions, jnp.float32(0.4))},
    )
    again = 100 * np.asarray(costs(network, [Energy()])(kernels))
    np.testing.assert_allclose(again, expected[:1], rtol=1e-5)
    for layers in work(network, kernels):
        np.testing.assert_allclose(layers.density, 0.3, rtol=1e-6)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"dataflow is 'CO:CI'; allowed: \('X:Y', 'CI:CO'"):
        Energy("CO:CI")
    with pytest.raises(ValueError, match=r"table is 'gpu'; allowed: \('emomc', 'eyeriss'"):
        Energy(table="gpu")


def test_one_threshold_is_charged_with_what_it_leaves_of_each_layer() -> None:
    """The weights of one layer are ten times larger: nearly all zeros are the other's."""
    rng = np.random.default_rng(0)
    weights = {
        "a": rng.normal(size=(20, 30)).astype(np.float32),
        "b": 0.1 * rng.normal(size=(30, 12)).astype(np.float32),
    }
    network = jc.trace(
        lambda p, x: jnp.maximum(x @ p["a"], 0.0) @ p["b"],
        {name: jnp.asarray(weight) for name, weight in weights.items()},
        jnp.ones((2, 20)),
    )
    kept = rng.random(30) < 0.6
    plan = jc.Plan(
        channels={network.prunable[0].name: jnp.asarray(kept)},
        sparsity=dict.fromkeys(weights, jnp.float32(0.5)),
        weight_bits=dict.fromkeys(weights, jnp.int32(4)),
        sparsity_scope="network",
    )
    alive = [np.abs(weights["a"][:, kept]), np.abs(weights["b"][kept])]
    line = np.sort(np.concatenate([w.ravel() for w in alive]))
    threshold = line[int(np.floor(0.5 * line.size + 0.5))]
    shares = [(w >= threshold).mean() for w in alive]
    assert shares[0] > 0.7 and shares[1] < 0.2
    expected = sum(
        one_memory([Shape(0, w.shape[0], w.shape[1], 1)], "X:Y", share, 4) / 100
        for w, share in zip(alive, shares, strict=True)
    )
    assert float(costs(network, [Energy()])(plan)[0]) == pytest.approx(expected, rel=1e-5)
