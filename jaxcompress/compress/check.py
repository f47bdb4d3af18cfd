"""Whether a plan fits a network: made by hand it may be anything."""

import numpy as np
from jax.core import Tracer

from jaxcompress.network import Network
from jaxcompress.space import Plan
from jaxcompress.transforms import ALLOWED_BITS


def check_plan(network: Network, plan: Plan) -> None:
    """Checks names and shapes, and the values too unless they are being traced.

    Raises:
        ValueError: the plan names what is not there, removes what must stay or a whole
            group, or has bits that are not allowed.
    """
    groups = {group.name: group for group in network.groups}
    for name, kept in plan.channels.items():
        if name not in groups:
            raise ValueError(f"plan: no channel group {name!r}; there are {list(groups)}")
        group = groups[name]
        if np.shape(kept) != (group.size,):
            raise ValueError(
                f"plan: group {name!r} has {group.size} channels, its mask has shape "
                f"{np.shape(kept)}"
            )
        if isinstance(kept, Tracer):
            continue
        if not group.prunable and not np.asarray(kept).all():
            raise ValueError(f"plan: group {name!r} is frozen: {group.reason}")
        if not np.asarray(kept).any():
            raise ValueError(f"plan: no channel of group {name!r} is left; keep one")
    weights = dict.fromkeys(layer.weight for layer in network.layers)
    for path, bits in plan.weight_bits.items():
        if path not in weights:
            raise ValueError(
                f"plan: {path!r} is no layer's weight; there are {list(weights)}"
            )
        if not isinstance(bits, Tracer) and int(bits) not in ALLOWED_BITS:
            raise ValueError(
                f"plan: {path!r} has {int(bits)} bits; allowed: {ALLOWED_BITS}"
            )
