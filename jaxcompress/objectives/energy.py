"""Cost: the energy of one example on an accelerator."""

from dataclasses import dataclass

import jax
from jaxtyping import Array, Float

from jaxcompress.compress import total, work
from jaxcompress.network import Network
from jaxcompress.objectives.dataflow import DATAFLOWS
from jaxcompress.objectives.energy_model import TABLES, model
from jaxcompress.objectives.objective import Cost
from jaxcompress.space import Plan


@dataclass(frozen=True)
class Energy(Cost):
    """Energy of the layers for one example, mJ.

    Channels and blocks that are removed are gone from the MACs; zeros among the weights
    that are left are a density. Products of activations with activations, and whatever
    is no convolution and no dot, are not charged.

    Attributes:
        dataflow: "X:Y" (output-stationary), "CI:CO", "FX:FY" (weight-stationary) or "X:FX"
            (row-stationary); see `dataflow.accesses`.
        table: "emomc" (one memory beside the multipliers; 16-bit float activations),
            "eyeriss" or "tpu" (registers, buffer, DRAM); a cited file in `tables/`.

    Raises:
        ValueError: the dataflow or the table is unknown.

    Example:
        >>> Energy("CI:CO", table="eyeriss").unit
        'mJ'
    """

    dataflow: str = "X:Y"
    table: str = "emomc"
    name = "energy"
    unit = "mJ"

    def __post_init__(self) -> None:
        if self.dataflow not in DATAFLOWS:
            raise ValueError(f"Energy: dataflow is {self.dataflow!r}; allowed: {DATAFLOWS}")
        if self.table not in TABLES:
            raise ValueError(f"Energy: table is {self.table!r}; allowed: {TABLES}")

    def __call__(self, network: Network, plan: Plan) -> Float[Array, ""]:
        energy = model(self.table).energy
        return total(work(network, plan), lambda layer: energy(layer, self.dataflow))

    def baseline(self, network: Network) -> float:
        """Returns the energy, mJ, of the whole network in 32-bit floats.

        Name it where a ratio to it is named: weights, activations and partial sums are
        32 bits wide, multipliers are those of two 32-bit floats (as the table's model
        has them: see `energy_model`), and nothing is removed or zero.
        """
        energy = model(self.table).float32

        def dense() -> Float[Array, ""]:
            works = work(network, Plan())
            return total(works, lambda layer: energy(layer, self.dataflow))

        return float(jax.jit(dense)())
