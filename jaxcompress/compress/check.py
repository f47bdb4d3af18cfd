"""Whether a plan fits a network: made by hand it may be anything."""

from collections.abc import Iterable
from typing import Any

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
    _check_names("channel group", plan.channels, groups)
    for name, kept in plan.channels.items():
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
    _check_names("block", plan.blocks, [block.name for block in network.blocks])
    for name, kept in plan.blocks.items():
        if np.shape(kept) != ():
            raise ValueError(
                f"plan: block {name!r} is kept or not, one bool; got shape {np.shape(kept)}"
            )
    weights = dict.fromkeys(layer.weight for layer in network.layers)
    _check_names("layer's weight", plan.weight_bits, weights)
    leaves = network.leaves()
    for path, bits in plan.weight_bits.items():
        exact = not isinstance(bits, Tracer) and int(bits) == 32
        if leaves[path].dtype != np.float32 and not exact:
            raise ValueError(
                f"plan: {path!r} is {leaves[path].dtype}; only float32 weights have bits"
            )
    layers = [layer.name for layer in network.layers]
    _check_names("layer", plan.activation_bits, layers)
    for name, bits in {**plan.weight_bits, **plan.activation_bits}.items():
        if not isinstance(bits, Tracer) and int(bits) not in ALLOWED_BITS:
            raise ValueError(
                f"plan: {name!r} has {int(bits)} bits; allowed: {ALLOWED_BITS}"
            )
    for name in plan.activation_bits:
        span = plan.activation_ranges.get(name)
        if span is None or np.shape(span) != (2,) or not _ordered(span):
            raise ValueError(
                f"plan: layer {name!r} has activation bits, but its range is {span}; "
                "give its least and largest value, finite, as from `calibrate`"
            )


def _ordered(span: Any) -> bool:
    return isinstance(span, Tracer) or bool(np.isfinite(span).all() and span[0] <= span[1])


def _check_names(what: str, given: Iterable[str], there: Iterable[str]) -> None:
    for name in given:
        if name not in there:
            raise ValueError(f"plan: no {what} {name!r}; there are {list(there)}")
