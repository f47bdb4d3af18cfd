"""Energy against published figures, float64 formulas, and counts by hand."""

from typing import Any

import jax
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


SHAPES = [
    Shape(3, 24, 25, 49),
    Shape(5, 25, 24, 1),
    Shape(1, 7, 40, 16),
    Shape(3, 4, 12, 36, groups=3),
    Shape(3, 1, 16, 25, groups=16),
    Shape(0, 30, 20, 1),
    Shape(0, 8, 24, 9),
]


def as_work(shape: Shape, density: Any = 1.0, bits: Any = 32.0, **others: Any) -> Work:
    kinds = {0: "dense", 1: "convolution"}
    side = shape.side
    kind = kinds[min(side, 1)] if shape.groups == 1 else "grouped"
    numbers: dict[str, Any] = {
        "positions": float(shape.positions),
        "input_positions": float(shape.positions),
        "groups": float(shape.groups),
        "inputs": float(shape.inputs),
        "outputs": float(shape.outputs),
        "weights": float(max(side, 1) ** 2 * shape.inputs * shape.outputs),
        "weight_bits": bits,
        "activation_bits": 32.0,
        "density": density,
    }
    kernel = (side, side) if side else ()
    return Work(
        layer="a", weight="a/w", kind=kind, kernel=kernel, repeats=1.0, runs=True,
        **(numbers | others),
    )  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_one_memory_equals_the_table_in_float64(shape: Shape, dataflow: str) -> None:
    """Also for groups, for dense layers on sequences, and around 24 channels."""
    energy = jax.jit(
        lambda density, bits: model("emomc").energy(as_work(shape, density, bits), dataflow)
    )
    for density, bits in ((1.0, 16), (0.37, 5), (0.9, 1)):
        found = 100 * float(energy(jnp.float32(density), jnp.float32(bits)))
        expected = one_memory([shape], dataflow, density, bits)
        assert found == pytest.approx(expected, rel=1e-5)


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
    layer = as_work(
        Shape(0, 200, 500, 300), 0.5, 4.0, activation_bits=8.0, input_positions=300.0
    )
    macs = 200 * 500 * 300
    bits = 0.5 * macs * (4 + 8 + 16 + 16)  # registers
    bits += 8 * (100_000 * 4 + 0.5 * macs * 8 + 150_000 * 16)  # network and buffer
    bits += 200 * (100_000 * 4 + 60_000 * 8 + 150_000 * 16)  # DRAM: 360 kB of maps
    expected = 0.85e-9 * (0.5 * macs * 4 * 8 / 256 + bits / 16)
    found = jnp.asarray(model("eyeriss").energy(layer, "X:Y"))
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_less_never_costs_more(table: str, dataflow: str) -> None:
    """Fewer channels, weights, positions or bits, whatever the others are."""
    rng = np.random.default_rng(0)
    count = 400
    high = {
        "inputs": rng.integers(2, 60, count),
        "outputs": rng.integers(2, 60, count),
        "groups": np.ones(count),
        "positions": rng.integers(1, 2000, count),
        "weight_bits": rng.integers(2, 33, count),
        "activation_bits": rng.integers(2, 33, count),
        "density": rng.uniform(0.1, 1.0, count),
    }

    @jax.jit
    @jax.vmap
    def energy(values: dict[str, jax.Array]) -> jax.Array:
        weights = 9.0 * values["inputs"] * values["outputs"]
        places = {"input_positions": 4.0 * values["positions"], "weights": weights}
        layer = as_work(Shape(3, 1, 1, 1), **(values | places))
        return jnp.asarray(model(table).energy(layer, dataflow))

    def floats(values: dict[str, Any]) -> dict[str, jax.Array]:
        return {name: jnp.asarray(value, jnp.float32) for name, value in values.items()}

    before = np.asarray(energy(floats(high)))
    for name in set(high) - {"groups"}:
        least = 0.05 if name == "density" else 1
        low = least + (high[name] - least) * rng.uniform(0, 1, count)
        low = low if name == "density" else np.floor(low)
        after = np.asarray(energy(floats(high | {name: low})))
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
    kernels = uniform(network, 0.6, 4).replace(
        kernel_sparsity=dict.fromkeys(plan.sparsity, jnp.float32(0.5)), channels=halves
    )
    again = 100 * np.asarray(costs(network, [Energy(d) for d in DATAFLOWS])(kernels))
    np.testing.assert_allclose(again, expected, rtol=1e-5)
    assert float(work(network, kernels)[0].density) == pytest.approx(0.3)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"dataflow is 'CO:CI'; allowed: \('X:Y', 'CI:CO'"):
        Energy("CO:CI")
    with pytest.raises(ValueError, match=r"table is 'gpu'; allowed: \('emomc', 'eyeriss'"):
        Energy(table="gpu")
