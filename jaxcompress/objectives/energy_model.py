"""What an access and a multiplication cost: models of accelerators, read from tables."""

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Protocol, runtime_checkable

import jax.numpy as jnp
import yaml

from jaxcompress.compress import FLOAT_BITS, Numbers, Work
from jaxcompress.objectives.dataflow import accesses

TABLES = ("emomc", "eyeriss", "tpu")


@runtime_checkable
class Model(Protocol):
    """The energy of a layer, mJ (traceable)."""

    def energy(self, work: Work, dataflow: str) -> Numbers:
        """Returns the energy of a layer as a plan leaves it."""
        ...

    def float32(self, work: Work, dataflow: str) -> Numbers:
        """Returns the energy of a layer in 32-bit floats."""
        ...


@dataclass(frozen=True)
class OneMemory:
    """Multipliers and one memory that holds everything.

    Activations and partial sums are 16-bit floats; an input with fewer bits is read at
    its own. A weight of b bits costs b + 1 in the multiplier and (b + 1) / 16 of a word.

    Source: Wang et al. 2021 (see `dataflow`), formulas of the released estimator.

    Attributes:
        unit: of the others, mJ.
        multiply: a MAC, for each of the b + 1.
        read, write: a word.
    """

    unit: float
    multiply: float
    read: float
    write: float

    def energy(self, work: Work, dataflow: str) -> Numbers:
        moved, bits = accesses(work, dataflow), work.weight_bits + 1.0
        words = jnp.minimum(work.activation_bits, 16.0) / 16.0
        reads = moved.weights * bits / 16.0 + moved.inputs * words + moved.sums
        multiplied = self.multiply * work.macs * work.density * bits
        return self.unit * (multiplied + self.read * reads + self.write * moved.outputs)

    def float32(self, work: Work, dataflow: str) -> Numbers:
        """Returns the energy of a layer in 32-bit floats.

        Every access moves two words. An m by n multiplier has (m - 1) n adders: 9 for
        each bit of a weight beside the 10-bit mantissa of a 16-bit float, and 22 * 23 for
        two mantissas of 23 bits, which are as many as those of a weight of 56.2 bits.
        """
        moved = accesses(work, dataflow)
        reads = 2.0 * (moved.weights + moved.inputs + moved.sums)
        multiplied = self.multiply * work.macs * (22.0 * 23.0 / 9.0 + 1.0)
        written = 2.0 * self.write * moved.outputs
        return self.unit * (multiplied + self.read * reads + written)


@dataclass(frozen=True)
class Hierarchy:
    """Multipliers with registers, a buffer on the chip, and DRAM.

    - A MAC that is not with a zero multiplies, at the product of both bits, and reads
      both operands and reads and writes a partial sum in registers.
    - The dataflow says what passes between buffer and array.
    - Weights, zeros included, come once from DRAM; input and output of a layer go
      through DRAM once each if they do not fit in the buffer together.

    Words are charged by their bits: weights and inputs by their own, partial sums by
    `sum`, outputs in DRAM as words.

    Attributes:
        unit: of the energies, mJ.
        word, sum: bits of a word and of a partial sum.
        multiply: a MAC of two words.
        register, network, buffer, memory: a word that is moved there.
        capacity: bytes of the buffer.
    """

    unit: float
    word: float
    sum: float
    multiply: float
    register: float
    network: float
    buffer: float
    memory: float
    capacity: int

    def energy(self, work: Work, dataflow: str) -> Numbers:
        return self._energy(work, dataflow, self.word, self.sum)

    def float32(self, work: Work, dataflow: str) -> Numbers:
        """Returns the energy of a layer in 32-bit floats; a MAC is 32 by 32 bits."""
        return self._energy(work, dataflow, FLOAT_BITS, FLOAT_BITS)

    def _energy(
        self, work: Work, dataflow: str, out_bits: float, sum_bits: float
    ) -> Numbers:
        weight, activation = work.weight_bits, work.activation_bits
        moved, macs = accesses(work, dataflow), work.macs * work.density
        multiplied = macs * weight * activation / self.word
        registers = macs * (weight + activation + 2 * sum_bits)
        buffered = (
            moved.weights * weight
            + moved.inputs * activation
            + (moved.outputs + moved.sums) * sum_bits
        )
        maps = work.input_entries * activation + work.output_entries * out_bits
        spilled = jnp.where(maps > 8 * self.capacity, maps, 0.0)
        bits = (
            self.multiply * multiplied
            + self.register * registers
            + (self.network + self.buffer) * buffered
            + self.memory * (work.weights * weight + spilled)
        )
        return self.unit * bits / self.word


@cache
def model(name: str) -> Model:
    """Returns the model that a table describes.

    Args:
        name: one of `TABLES`.
    """
    file = resources.files("jaxcompress.objectives") / "tables" / f"{name}.yaml"
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    del values["source"]
    kinds = {"one memory": OneMemory, "hierarchy": Hierarchy}
    return kinds[values.pop("model")](**values)
