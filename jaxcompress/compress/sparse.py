"""Which surviving entries of the stored tensors a plan sets to zero."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcompress.compress.parts import Part
from jaxcompress.network import Network
from jaxcompress.space import Plan
from jaxcompress.transforms import kept_count, largest

Masks = dict[str, Bool[Array, "..."]]


def nonzero(
    network: Network,
    plan: Plan,
    parts: list[Part],
    weights: dict[str, Float[Array, "..."]],
    present: Masks,
) -> Masks:
    """Returns by part name the surviving entries that keep a value.

    First whole kernels go, then single entries; the least magnitudes each time, and only
    survivors are counted.

    Args:
        weights: the values of all parts; present: which of their entries survive.
    """
    kept = dict(present)
    for part in parts:
        if part.path in plan.kernel_sparsity and part.factor is None:
            share = plan.kernel_sparsity[part.path]
            axes = kernel_axes(network, part.path)
            kept[part.name] = _kernels(weights[part.name], kept[part.name], axes, share)
    chosen = [part.name for part in parts if part.path in plan.sparsity]
    if plan.sparsity_scope == "network":
        pools = [chosen] if chosen else []
    else:
        pools = [[name] for name in chosen]
    paths = {part.name: part.path for part in parts}
    for pool in pools:
        share = jnp.asarray(plan.sparsity[paths[pool[0]]])
        masks = [kept[name] for name in pool]
        total = jnp.zeros((), jnp.int32)
        for mask in masks:
            total = total + jnp.sum(mask, dtype=jnp.int32)
        sizes = [jnp.abs(weights[name]) for name in pool]
        marked = largest(sizes, masks, kept_count(share, total))
        kept |= dict(zip(pool, marked, strict=True))
    return kept


def kernel_axes(network: Network, path: str) -> tuple[int, ...]:
    """Returns the axes of a parameter along a convolution's window; () for others."""
    found = (layer.kernel_axes for layer in network.layers if layer.weight == path)
    return next(found, ())


def _kernels(
    weight: Float[Array, "..."],
    kept: Bool[Array, "..."],
    axes: tuple[int, ...],
    share: Array,
) -> Bool[Array, "..."]:
    """Keeps the kernels of largest summed magnitude."""
    norm = jnp.sum(jnp.where(kept, jnp.abs(weight), 0.0), axis=axes, keepdims=True)
    alive = jnp.any(kept, axis=axes, keepdims=True)
    count = kept_count(jnp.asarray(share), jnp.sum(alive, dtype=jnp.int32))
    (marked,) = largest([norm], [alive], count)
    return kept & marked
