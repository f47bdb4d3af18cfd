"""What a plan makes of a network's weights: codes, scales and codebooks, in full shapes.

The order of what is done to a weight is fixed: blocks and channels are removed, then it
is factorised, then whole kernels and single entries are set to zero, and what is left
shares the values of a codebook or lies on a grid of its bits.
"""

from typing import Any, no_type_check

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from jaxcompress.compress.parts import (
    Part,
    joined,
    leaves_of,
    parts_of,
    tensors,
)
from jaxcompress.compress.sparse import nonzero, survivors
from jaxcompress.network import Network
from jaxcompress.space import Plan, check_plan
from jaxcompress.space.plan import coded_paths
from jaxcompress.transforms import (
    CODEBOOK_SIZES,
    CODEBOOKS,
    quantize,
    straight_through,
)


@no_type_check  # as a pytree it holds whatever it is mapped to
class Coded(struct.PyTreeNode):
    """One stored tensor: indices into a table of values, under a mask of what is kept.

    Attributes:
        codes: int32, in the tensor's shape; 0 where `nonzero` is False.
        scale: float32, what a code is multiplied by; broadcasts against the codes.
        codebook: float32 [k], what a code is the place in, instead of a grid; or None.
        used: int32 [], how many places of the codebook are in use; None without one.
        bits: int32 [], of a code of a grid; 32: values are plain and codes 0.
        alive: bool, the entries that survive; none of a tensor that is not stored.
        nonzero: bool, the survivors that keep a value.
        values: float32, what the codes stand for; unchanged where an entry is removed.
    """

    codes: Int[Array, "..."]
    scale: Float[Array, "..."] | None
    codebook: Float[Array, " k"] | None
    used: Int[Array, ""] | None
    bits: Int[Array, ""]
    alive: Bool[Array, "..."]
    nonzero: Bool[Array, "..."]
    values: Float[Array, "..."]


def code(network: Network, plan: Plan, params: Any = None) -> dict[str, Coded]:
    """Codes every weight that the plan names; all statistics are of survivors.

    Args:
        params: the parameters to code; the network's own if None. Those of all members,
            stacked, if the plan names one of a library.

    Returns:
        By part name (the parameter's path, and path/0, path/1, ... for factors).
    """
    check_plan(network, plan)
    alive = network.alive(plan.channels, plan.blocks)
    parts = parts_of(network, plan)
    weights = tensors(network, parts, leaves_of(network, plan, params))
    present = survivors(network, plan, parts, alive)
    kept = nonzero(network, plan, parts, weights, present)
    shared = _shared(plan, parts, weights, kept)
    coded = {}
    for part in parts:
        weight, mask = weights[part.name], kept[part.name]
        found = shared.get(part.name)
        if found is None:
            found = _on_grid(plan, part, weight, mask)
        zeroed = present[part.name] & ~mask
        coded[part.name] = found.replace(
            codes=jnp.where(mask, found.codes, 0),
            alive=present[part.name],
            # What is zero is trained like any other, and may return.
            values=jnp.where(
                zeroed, straight_through(weight, jnp.zeros_like(weight)), found.values
            ),
        )
    return coded


def _on_grid(plan: Plan, part: Part, weight: Array, kept: Array) -> Coded:
    bits = jnp.asarray(plan.weight_bits.get(part.path, 32), jnp.int32)
    axes = part.out_axes if plan.granularity == "channel" else ()
    given = plan.scales.get(part.path)
    scale = None if given is None else jnp.asarray(given)
    found = quantize(weight, bits, kept, axes, plan.scale_by, scale)
    return Coded(
        codes=found.codes,
        scale=found.scale,
        codebook=None,
        used=None,
        bits=bits,
        alive=kept,
        nonzero=kept,
        values=found.values,
    )


def _shared(
    plan: Plan, parts: list[Part], weights: dict[str, Array], kept: dict[str, Array]
) -> dict[str, Coded]:
    """Codes the tensors that have a codebook, each its own or all one."""
    names = {p.name: p.path for p in parts if p.path in plan.codebook_sizes}
    if not names:
        return {}
    sharing, top = CODEBOOKS[plan.codebook_kind], CODEBOOK_SIZES[-1]
    sizes = {name: jnp.asarray(plan.codebook_sizes[path]) for name, path in names.items()}
    own = {name: weights[name] for name in names}
    masks = {name: kept[name] for name in names}
    if plan.codebook_scope == "network":
        found = sharing.pooled(own, next(iter(sizes.values())), masks, top)
    else:
        found = sharing.each(own, sizes, masks, top)
    used = {n: jnp.max(found[n].codes, where=masks[n], initial=-1) + 1 for n in names}
    if plan.codebook_scope == "network":
        used = dict.fromkeys(used, jnp.max(jnp.stack([*used.values()])))
    return {
        name: Coded(
            codes=found[name].codes,
            scale=None,
            codebook=found[name].codebook,
            used=used[name],
            bits=jnp.int32(32),
            alive=masks[name],
            nonzero=masks[name],
            values=found[name].values,
        )
        for name in names
    }


def compress(network: Network, plan: Plan, params: Any = None) -> Any:
    """Returns parameters of the same shapes with the values that the plan leaves.

    Args:
        plan: out of `Space.decode`, or made by hand.
        params: the parameters to compress, as for `code`.

    Returns:
        The parameter pytree; entries of removed channels hold values of no meaning. The
        gradient passes straight through to `params`; where the plan gives scales, as
        `transforms.on_grid` says.
    """
    leaves = leaves_of(network, plan, params)
    values = {
        name: coded.values if name in leaves else jnp.where(coded.alive, coded.values, 0.0)
        for name, coded in code(network, plan, params).items()
    }
    found = {path: joined(network, plan, path, values) for path in coded_paths(plan)}
    found |= {
        path: straight_through(leaves[path], value)
        for path, value in found.items()
        if path not in plan.scales
    }
    return network.unflatten(leaves | found)
