"""The plan: what is done to every layer and channel group of a network."""

from collections.abc import Mapping
from typing import no_type_check

from flax import struct
from jaxtyping import Array, Bool, Int


@no_type_check  # as a pytree it holds whatever it is mapped to
class Plan(struct.PyTreeNode):
    """What a genotype means for one network; a pytree, so it can be mapped over.

    Attributes:
        channels: by group name, the channels that are kept, bool [n]; a group that is
            not named is kept whole.
        weight_bits: by parameter path, the bits of its weights, int32; a parameter that
            is not named stays float32.
        granularity: "tensor" or "channel": what shares one scale.
    """

    channels: Mapping[str, Bool[Array, "..."]] = struct.field(default_factory=dict)
    weight_bits: Mapping[str, Int[Array, "..."]] = struct.field(default_factory=dict)
    granularity: str = struct.field(pytree_node=False, default="channel")
