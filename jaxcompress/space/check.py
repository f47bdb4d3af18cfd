"""Whether a plan fits a network: made by hand it may be anything."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxcompress.network import Network
from jaxcompress.space.bases import bases
from jaxcompress.space.plan import Plan, coded_paths
from jaxcompress.transforms import (
    ALLOWED_BITS,
    CODEBOOK_SIZES,
    CODEBOOKS,
    GRANULARITIES,
    SCALES,
)

STATIC = {
    "granularity": GRANULARITIES,
    "scale_by": SCALES,
    "codebook_kind": CODEBOOKS,
    "codebook_scope": ("layer", "network"),
    "sparsity_scope": ("layer", "network"),
}


def check_plan(network: Network, plan: Plan) -> None:
    """Checks names, shapes and types, and the values too unless they are being traced.

    Raises:
        ValueError: the plan names what is not there, has masks or numbers of another
            shape or type, removes what must stay or a whole group, or has bits that are
            not allowed.
    """
    for name, allowed in STATIC.items():
        if getattr(plan, name) not in allowed:
            raise ValueError(
                f"plan: {name} is {getattr(plan, name)!r}; allowed: {tuple(allowed)}"
            )
    groups = {group.name: group for group in network.groups}
    _check_names("channel group", plan.channels, groups)
    for name, kept in plan.channels.items():
        group = groups[name]
        if not _is(kept, np.bool_, (group.size,)):
            raise ValueError(
                f"plan: group {name!r} has {group.size} channels, its mask is "
                f"{_described(kept)}; give an array, bool of shape ({group.size},)"
            )
        if not _known(kept):
            continue
        if not group.prunable and not np.asarray(kept).all():
            raise ValueError(f"plan: group {name!r} is frozen: {group.reason}")
        if not np.asarray(kept).any():
            raise ValueError(f"plan: no channel of group {name!r} is left; keep one")
    if plan.member is not None and not _is(plan.member, np.integer, ()):
        raise ValueError(
            f"plan: the member of a library is one integer; got {_described(plan.member)}"
        )
    _check_names("block", plan.blocks, [block.name for block in network.blocks])
    for name, kept in plan.blocks.items():
        if not _is(kept, np.bool_, ()):
            raise ValueError(
                f"plan: block {name!r} is kept or not, one bool; got {_described(kept)}"
            )
    _check_weights(network, plan)
    layers = [layer.name for layer in network.layers]
    _check_names("layer", plan.activation_bits, layers)
    for name, bits in chain(plan.weight_bits.items(), plan.activation_bits.items()):
        if not _is(bits, np.integer, ()):
            raise ValueError(
                f"plan: the bits of {name!r} are one integer; got {_described(bits)}"
            )
        if _known(bits) and int(bits) not in ALLOWED_BITS:
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


def _check_weights(network: Network, plan: Plan) -> None:
    """Checks what is done to single weights: ranks, zeros, codebooks and bits."""
    weights = dict.fromkeys(layer.weight for layer in network.layers)
    leaves = network.leaves()
    out_axes = {layer.weight: layer.out_axes for layer in network.layers}
    for path in coded_paths(plan):
        _check_names("layer's weight", [path], weights)
        bits: Any = plan.weight_bits.get(path)
        exact = coded_paths(Plan(weight_bits=plan.weight_bits)) == coded_paths(plan)
        exact = exact and _is(bits, np.integer, ()) and _known(bits) and int(bits) == 32
        if leaves[path].dtype != np.float32 and not exact:
            raise ValueError(
                f"plan: {path!r} is {leaves[path].dtype}; only float32 weights are coded"
            )
    for path, ranks in plan.ranks.items():
        if path not in bases(network):
            raise ValueError(
                f"plan: {path!r} has ranks, but can not be factorised: it must be the "
                "weight of a dense layer or an ungrouped convolution, used as it is and "
                f"once; such are {list(bases(network))}"
            )
        full = bases(network)[path].full
        if not _is(ranks, np.integer, (len(full),)):
            raise ValueError(
                f"plan: {path!r} has ranks, {_described(ranks)}; wanted {len(full)} "
                f"integers in an array, each from 1 to {full}"
            )
        if _known(ranks) and not all(1 <= r <= f for r, f in zip(ranks, full, strict=True)):
            raise ValueError(
                f"plan: {path!r} has ranks {np.asarray(ranks).tolist()}; allowed: from 1 "
                f"to {full}"
            )
        if path in plan.kernel_sparsity:
            raise ValueError(
                f"plan: {path!r} has ranks and loses kernels; a factorised weight has no "
                "kernels of its own: choose one of the two"
            )
    for path, scale in plan.scales.items():
        if path not in plan.weight_bits or path in plan.ranks:
            raise ValueError(
                f"plan: {path!r} has a scale; a scale may be given to what has bits and "
                "no ranks: leave it out"
            )
        own = out_axes[path] if plan.granularity == "channel" else ()
        shape = tuple(n if d in own else 1 for d, n in enumerate(leaves[path].shape))
        if not _is(scale, np.floating, shape):
            raise ValueError(
                f"plan: the scale of {path!r} is {_described(scale)}; give floats of "
                f"shape {shape}, one for each {plan.granularity}"
            )
        if _known(scale) and not (np.isfinite(scale).all() and (scale >= 0).all()):
            raise ValueError(f"plan: the scale of {path!r} must be finite and not negative")
    for path in plan.codebook_sizes:
        if path in plan.weight_bits:
            raise ValueError(
                f"plan: {path!r} has bits and a codebook; its entries lie on a grid or "
                "share the values of a codebook: choose one of the two"
            )
    for path, size in plan.codebook_sizes.items():
        if not _is(size, np.integer, ()):
            raise ValueError(
                f"plan: the size of the codebook of {path!r} is one integer; got "
                f"{_described(size)}"
            )
        allowed = (CODEBOOK_SIZES[0], CODEBOOK_SIZES[-1])
        if _known(size) and not allowed[0] <= int(size) <= allowed[1]:
            raise ValueError(
                f"plan: the codebook of {path!r} has {int(size)} values; allowed: "
                f"{allowed[0]} to {allowed[1]}"
            )
    shared = {path: leaves[path].size for path in plan.codebook_sizes}
    if plan.codebook_scope == "network":
        shared = dict.fromkeys(shared, sum(shared.values()))
    for path, size in plan.codebook_sizes.items():
        if _known(size) and int(size) > shared[path]:
            raise ValueError(
                f"plan: the codebook of {path!r} has {int(size)} values, more than the "
                f"{shared[path]} weights that share them; give it fewer"
            )
    for path, share in chain(plan.kernel_sparsity.items(), plan.sparsity.items()):
        if not _is(share, np.number, ()):
            raise ValueError(
                f"plan: the share of {path!r} that is to be zero is one number; got "
                f"{_described(share)}"
            )
        if _known(share) and not 0 <= float(share) < 1:
            raise ValueError(
                f"plan: a share of {share} of {path!r} is to be zero; allowed: [0, 1)"
            )
    _check_one("codebook_sizes", plan.codebook_sizes, plan.codebook_scope)
    _check_one("sparsity", plan.sparsity, plan.sparsity_scope)
    for path in plan.kernel_sparsity:
        if not network.kernel_axes(path):
            raise ValueError(
                f"plan: {path!r} loses kernels, but is no convolution with a window"
            )


def _check_one(what: str, chosen: Mapping[str, Any], scope: str) -> None:
    """Checks that a choice for the network is one and the same for every weight."""
    given = {np.asarray(value).item() for value in chosen.values() if _known(value)}
    if scope == "network" and len(given) > 1:
        raise ValueError(
            f"plan: {what} has {sorted(given)}, but is one for the network; give every "
            'weight the same, or choose the scope "layer"'
        )


def _known(value: Any) -> bool:
    return not isinstance(value, Tracer)


def _is(value: Any, kind: type, shape: tuple[int, ...]) -> bool:
    """Returns whether a value is an array (or a scalar) of a kind of numbers."""
    dtype = getattr(value, "dtype", type(value))
    return bool(jnp.issubdtype(dtype, kind)) and np.shape(value) == shape


def _described(value: Any) -> str:
    if not hasattr(value, "dtype"):
        return f"a {type(value).__name__}"
    return f"{value.dtype} of shape {np.shape(value)}"


def _ordered(span: Any) -> bool:
    return isinstance(span, Tracer) or bool(np.isfinite(span).all() and span[0] <= span[1])


def _check_names(what: str, given: Iterable[str], there: Iterable[str]) -> None:
    for name in given:
        if name not in there:
            raise ValueError(f"plan: no {what} {name!r}; there are {list(there)}")
