"""Which surviving entries of the stored tensors a plan sets to zero."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcompress.compress.parts import (
    Part,
    grid,
    leaves_of,
    lines,
    parts_of,
    stored,
    tensors,
)
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
            share = jnp.asarray(plan.kernel_sparsity[part.path])
            axes = network.kernel_axes(part.path)
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


def survivors(
    network: Network, plan: Plan, parts: list[Part], alive: Bool[Array, " units"]
) -> Masks:
    """Returns by part name which entries of what a plan stores survive."""
    return {
        part.name: grid(lines(network, plan, part, alive)) & stored(network, plan, part)
        for part in parts
    }


def pooled(
    network: Network, plan: Plan, params: Any = None
) -> dict[str, tuple[Int[Array, ""], Int[Array, ""]]]:
    """Returns how many entries the tensors keep that are under one threshold.

    That is seen in the values alone.

    Args:
        params: what is compressed; the network's own parameters if None.

    Returns:
        By part name how many entries keep a value, and how many survive; empty if each
        tensor loses a share of its own.
    """
    if plan.sparsity_scope != "network":
        return {}
    parts = [part for part in parts_of(network, plan) if part.path in plan.sparsity]
    alive = network.alive(plan.channels, plan.blocks)
    present = survivors(network, plan, parts, alive)
    weights = tensors(network, parts, leaves_of(network, plan, params))
    kept = nonzero(network, plan, parts, weights, present)
    return {
        name: (kept[name].sum(dtype=jnp.int32), mask.sum(dtype=jnp.int32))
        for name, mask in present.items()
    }


def _kernels(
    weight: Float[Array, "..."],
    kept: Bool[Array, "..."],
    axes: tuple[int, ...],
    share: Array,
) -> Bool[Array, "..."]:
    """Keeps the kernels of largest summed magnitude."""
    norm = jnp.sum(jnp.where(kept, jnp.abs(weight), 0.0), axis=axes, keepdims=True)
    alive = jnp.any(kept, axis=axes, keepdims=True)
    count = kept_count(share, jnp.sum(alive, dtype=jnp.int32))
    (marked,) = largest([norm], [alive], count)
    return kept & marked
