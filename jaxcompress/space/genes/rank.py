"""At which ranks each layer's weight is factorised."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jaxcompress.network import Network
from jaxcompress.space.bases import bases
from jaxcompress.space.genes.choices import Patterns, chosen_layers, is_number
from jaxcompress.space.plan import Plan


@dataclass(frozen=True)
class Rank:
    """Ordered genes for each weight that can be factorised: the ranks of its factors.

    One gene for a dense layer or a 1x1 convolution (truncated singular value
    decomposition); two, of inputs and outputs, for a convolution with a window (Tucker-2,
    Kim et al. 2016). With all genes of a layer at their last choice, the full ranks, the
    weight is not factorised.

    Attributes:
        steps: how many ranks a gene chooses from, evenly spread up to the full one; of
            two factors those are left out that would hold no fewer numbers than the
            weight does.
        layers: which layers, by name or pattern; others than those above have no gene.

    Example:
        >>> from jaxcompress import genes
        >>> genes.Rank(steps=4)
        Rank(steps=4, layers='*')
    """

    steps: int = 8
    layers: Patterns = "*"

    def __post_init__(self) -> None:
        if not is_number(self.steps) or self.steps < 2:
            raise ValueError(
                f"Rank: steps is {self.steps!r}; allowed: an integer, 2 or more"
            )

    def bind(self, network: Network) -> "_Bound":
        choices = {}
        for layer in chosen_layers(network, self.layers, "Rank"):
            basis = bases(network).get(layer.weight)
            if basis is None:
                continue
            choices[layer.weight] = [_spread(full, self.steps) for full in basis.full]
            if len(basis.full) == 1:
                (ranks,), (full,) = choices[layer.weight], basis.full
                rows = basis.outputs.shape[0]
                numbers = int(np.prod(layer.shape))
                saves = ranks * (numbers // rows + rows) < numbers
                choices[layer.weight] = [ranks[saves | (ranks == full)]]
        return _Bound(network, choices)


def _spread(full: int, steps: int) -> np.ndarray:
    heights = np.arange(1, steps + 1) / steps
    return np.unique(np.maximum(1, np.round(heights * full))).astype(np.int32)


@dataclass(frozen=True, eq=False)
class _Bound:
    """Attributes: by weight, for each of its ranks the choices in ascending order."""

    network: Network
    choices: dict[str, Sequence[np.ndarray]]

    @property
    def names(self) -> tuple[str, ...]:
        found = []
        for path, axes in self.choices.items():
            kinds = ("rank",) if len(axes) == 1 else ("input rank", "output rank")
            found += [f"{kind} of {path}" for kind in kinds]
        return tuple(found)

    @property
    def cardinality(self) -> np.ndarray:
        lengths = [len(ranks) for axes in self.choices.values() for ranks in axes]
        return np.asarray(lengths, np.int32)

    @property
    def ordered(self) -> np.ndarray:
        return np.ones(len(self.names), bool)

    @property
    def dense(self) -> np.ndarray:
        return self.cardinality - 1

    def decode(self, plan: Plan, genes: Int[Array, " k"]) -> Plan:
        ranks, at = dict(plan.ranks), 0
        for path, axes in self.choices.items():
            own = [jnp.asarray(a)[genes[at + i]] for i, a in enumerate(axes)]
            ranks[path], at = jnp.stack(own), at + len(axes)
        return replace(plan, ranks=ranks)

    def encode(self, plan: Plan) -> Int[Array, " k"]:
        genes = [
            jnp.searchsorted(jnp.asarray(ranks), jnp.asarray(plan.ranks[path])[i])
            for path, axes in self.choices.items()
            for i, ranks in enumerate(axes)
        ]
        return jnp.stack(genes).astype(jnp.int32) if genes else jnp.zeros(0, jnp.int32)

    def effective(self, alive: Bool[Array, " units"]) -> list[Bool[Array, ""] | bool]:
        return [
            self.network.needs(path, alive)
            for path, axes in self.choices.items()
            for _ in axes
        ]
