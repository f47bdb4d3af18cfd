"""How many bits each layer's weights have."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxcompress.network import Network
from jaxcompress.space.genes.choices import (
    Choices,
    Patterns,
    checked_choices,
    chosen_layers,
    is_number,
)
from jaxcompress.transforms import ALLOWED_BITS, GRANULARITIES, SCALES


@dataclass(frozen=True)
class WeightBits:
    """One ordered gene for each float32 weight: its bits, on a symmetric grid.

    Attributes:
        choices: the allowed bits, each out of 1..8, 16 and 32 (32: unchanged).
        granularity: "channel" (a scale for each output channel) or "tensor" (one).
        scale_by: "least_squares", "max" or "percentile", see `transforms.quantize`.
        layers: which layers, by name or pattern.

    Example:
        >>> from jaxcompress import genes
        >>> genes.WeightBits((2, 4, 8)).choices
        (2, 4, 8)
    """

    choices: Sequence[int] = (2, 3, 4, 5, 6, 8)
    granularity: str = "channel"
    scale_by: str = "least_squares"
    layers: Patterns = "*"

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", checked_bits("WeightBits", self.choices))
        for name, allowed in (("granularity", GRANULARITIES), ("scale_by", SCALES)):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"WeightBits: {name} is {getattr(self, name)!r}; allowed: {allowed}"
                )

    def bind(self, network: Network) -> Choices:
        layers = chosen_layers(network, self.layers, "WeightBits")
        paths = [(layer.weight,) for layer in layers]
        return Choices(
            network,
            "bits",
            "weight_bits",
            paths,
            np.asarray(self.choices, np.int32),
            {"granularity": self.granularity, "scale_by": self.scale_by},
        )


def checked_bits(kind: str, choices: Any) -> tuple[int, ...]:
    """Returns the choices in ascending order.

    Raises:
        ValueError: as of `checked_choices`; bits are out of `ALLOWED_BITS`.
    """

    def fits(bits: Any) -> bool:
        return is_number(bits) and bits in ALLOWED_BITS

    return checked_choices(f"{kind}: choices", choices, fits, f"{ALLOWED_BITS} bits")
