"""How many numbers a plan leaves of each tensor, without looking at any."""

from dataclasses import dataclass
from math import prod

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jaxcompress.compress.check import check_plan
from jaxcompress.compress.parts import (
    Part,
    coded_paths,
    grid,
    lines,
    parts_of,
    stored,
    tensors,
)
from jaxcompress.compress.sparse import kernel_axes, nonzero
from jaxcompress.network import Network
from jaxcompress.space import Plan
from jaxcompress.transforms import kept_count


@dataclass(frozen=True, eq=False)
class Count:
    """What is stored of one tensor; numbers may be traced.

    Attributes:
        part: which tensor.
        stored: bool, whether it is in the file at all; the numbers below do not say.
        entries: int32, its surviving entries.
        nonzero: int32, those that a plan does not set to zero.
        scales: int32, the scales of its codes, if it has any.
        bits: int32, of a code as it is stored: zeros of one-bit codes need two.
    """

    part: Part
    stored: Bool[Array, ""]
    entries: Int[Array, ""]
    nonzero: Int[Array, ""]
    scales: Int[Array, ""]
    bits: Int[Array, ""]


def counts(network: Network, plan: Plan) -> list[Count]:
    """Returns what is stored of every parameter (traceable).

    Raises:
        ValueError: the plan does not fit the network.
    """
    check_plan(network, plan)
    alive = network.alive(plan.channels, plan.blocks)
    coded = parts_of(network, plan)
    named = {*coded_paths(plan)}
    plain = [
        Part(path, None, tuple(range(len(network.columns(path)))), ())
        for path in network.paths
        if path not in named
    ]
    pooled = _pooled(network, plan, coded, alive)
    found = []
    for part in [*coded, *plain]:
        sizes = [mask.sum(dtype=jnp.int32) for mask in lines(network, plan, part, alive)]
        entries = _product(sizes)
        left = entries
        if part.path in plan.kernel_sparsity and part.factor is None:
            window = prod(
                part_size
                for d, part_size in enumerate(_shape(network, part.path))
                if d in kernel_axes(network, part.path)
            )
            share = jnp.asarray(plan.kernel_sparsity[part.path])
            left = kept_count(share, entries // window) * window
        if part.name in pooled:
            left = pooled[part.name]
        elif part.path in plan.sparsity:
            left = kept_count(jnp.asarray(plan.sparsity[part.path]), left)
        bits = jnp.asarray(plan.weight_bits.get(part.path, 32), jnp.int32)
        bits = jnp.where((bits == 1) & (left < entries), 2, bits)
        own = part.out_axes if plan.granularity == "channel" else ()
        there = stored(network, plan, part) & network.needs(part.path, alive)
        scales = _product([sizes[axis] for axis in own])
        found.append(Count(part, there, entries, left, scales, bits))
    return found


def _pooled(
    network: Network, plan: Plan, parts: list[Part], alive: Bool[Array, " units"]
) -> dict[str, Int[Array, ""]]:
    """Under one threshold for all tensors, how many each keeps is seen in the values."""
    if plan.sparsity_scope != "network" or not plan.sparsity:
        return {}
    weights = tensors(network, parts, network.leaves())
    present = {
        part.name: grid(lines(network, plan, part, alive)) & stored(network, plan, part)
        for part in parts
    }
    kept = nonzero(network, plan, parts, weights, present)
    chosen = [part.name for part in parts if part.path in plan.sparsity]
    return {name: kept[name].sum(dtype=jnp.int32) for name in chosen}


def _shape(network: Network, path: str) -> tuple[int, ...]:
    return tuple(column.size for column in network.columns(path))


def _product(sizes: list[Int[Array, ""]]) -> Int[Array, ""]:
    product = jnp.ones((), jnp.int32)
    for size in sizes:
        product = product * size
    return product
