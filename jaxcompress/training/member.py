"""One compressed network in training."""

from dataclasses import dataclass
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int32, PyTree, Shaped

from jaxcompress.compress import code
from jaxcompress.network import Network, normalisations
from jaxcompress.space import Plan


@no_type_check  # as a pytree it holds whatever it is mapped to
class Trainable(struct.PyTreeNode):
    """What gradient steps move.

    Attributes:
        params: by path.
        log_scales: by path, the logarithm of what the plan's scale is multiplied by: a
            step is relative, and a scale stays positive.
        log_ranges: by layer, that of its range of inputs.
    """

    params: dict[str, Float[Array, "..."]]
    log_scales: dict[str, Float[Array, "..."]]
    log_ranges: dict[str, Float[Array, ""]]


@no_type_check  # as a pytree it holds whatever it is mapped to
class Member(struct.PyTreeNode):
    """One network in training.

    What moves lies in one vector: an optimizer's step on a hundred small arrays is some
    hundred small kernels, which take longer than the network.

    Attributes:
        trained: what the last step left, see `Layout`.
        average: its exponential moving average.
        others: by path, the parameters that no gradient moves; the statistics of batch
            normalisation may follow the batches.
        moments: the optimizer's state.
        steps: int32 [], how many were taken.
        stopped: bool [], whether a loss or gradient was not finite; then nothing moves.
    """

    trained: Float[Array, " n"]
    average: Float[Array, " n"]
    others: dict[str, Shaped[Array, "..."]]
    moments: Any
    steps: Int32[Array, ""]
    stopped: Bool[Array, ""]


def scaled(network: Network, plan: Plan, params: PyTree) -> Plan:
    """Returns a plan that gives every scale which can be learned, as it is found now.

    Those are the scales of weights with bits and no ranks. A channel that has none, for
    its codes are all 0, gets a small one.
    """
    paths = [path for path in plan.weight_bits if path not in plan.ranks]
    if not paths:
        return plan
    coded = code(network, plan, params)
    least = {path: jnp.max(jnp.abs(coded[path].values)) * 1e-3 for path in paths}
    found: dict[str, Any] = {path: coded[path].scale for path in paths}
    scales = {p: jnp.where(found[p] > 0.0, found[p], least[p]) for p in paths}
    return plan.replace(scales=scales)


def learned(plan: Plan, trained: Trainable) -> Plan:
    """Returns a plan with the scales and ranges as they were learned."""
    scales, ranges = dict(plan.scales), dict(plan.activation_ranges)
    for path, factor in trained.log_scales.items():
        scales[path] = scales[path] * jnp.exp(factor)
    for name, factor in trained.log_ranges.items():
        ranges[name] = ranges[name] * jnp.exp(factor)
    return plan.replace(scales=scales, activation_ranges=ranges)


@dataclass(frozen=True)
class Layout:
    """What of a network moves, and where in a member's vector it lies.

    Attributes:
        statistics: whether means and variances of batch normalisation are statistics of
            batches.
        scales: whether the plan's scales and ranges are learned.
    """

    network: Network
    statistics: bool
    scales: bool

    def others(self) -> list[str]:
        """Returns the paths of the parameters that no gradient moves."""
        found = normalisations(self.network).values()
        measured = {path for each in found for path in (each.mean, each.var)}
        return sorted(non_trainable(self.network) | measured)

    def trainable(self, plan: Plan, params: PyTree) -> Trainable:
        """Returns what moves, where it starts."""
        others, leaves = set(self.others()), self.network.leaves(params)
        own = {p: jnp.asarray(x) for p, x in leaves.items() if p not in others}
        if not self.scales:
            return Trainable(own, {}, {})
        zeros = {path: jnp.zeros(np.shape(s)) for path, s in plan.scales.items()}
        return Trainable(own, zeros, {n: jnp.zeros(()) for n in plan.activation_bits})

    def result(self, plan: Plan, member: Member) -> tuple[PyTree, Plan]:
        """Returns a member's uncoded parameters, and its plan with what was learned."""
        found = self.unravel(plan, member.average)
        leaves = member.others | found.params
        return self.network.unflatten(leaves), learned(plan, found)

    def decayed(self, plan: Plan) -> Float[Array, " n"]:
        """Returns where in a member's vector weight decay acts: 1 there, else 0.

        That is in arrays of two axes and more: no biases, scales or shifts, as in `train`.
        """
        like = jax.eval_shape(lambda: self.trainable(plan, None))
        full = jax.tree.map(
            lambda leaf: jnp.full(leaf.shape, leaf.ndim > 1, leaf.dtype), like.params
        )
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
        return ravel_pytree(zeros.replace(params=full))[0]

    def unravel(self, plan: Plan, vector: Float[Array, " n"]) -> Trainable:
        """Returns what a vector of `ravel_pytree` holds, for a plan like this one."""
        like = jax.eval_shape(lambda: self.trainable(plan, None))
        like = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
        return ravel_pytree(like)[1](vector)


def non_trainable(network: Network) -> set[str]:
    """Returns the parameters that gradient steps must not move.

    Those are integers, and what goes straight under a root or a logarithm and is
    positive now: a variance that a step makes negative gives NaN.
    """
    leaves = network.leaves()
    fixed = {p for p, x in leaves.items() if not jnp.issubdtype(x.dtype, jnp.floating)}
    for step in network.program.walk():
        if step.primitive.name not in ("rsqrt", "sqrt", "log"):
            continue
        if not step.driven[0] and len(step.sources[0]) == 1:
            (leaf,) = step.sources[0]
            path = network.paths[leaf]
            if bool((np.asarray(leaves[path]) >= 0).all()):
                fixed.add(path)
    return fixed
