"""Batch normalisation after compression: its statistics are estimated anew.

A network that lost channels or bits sends other activations into its normalisations than
their running averages say. One forward pass over a few hundred training examples mends
that, without a gradient: Li et al. 2020, EagleEye: Fast Sub-net Evaluation for Efficient
Neural Network Pruning, section 3.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from jaxcompress.compress.code import compress
from jaxcompress.compress.forward import masked
from jaxcompress.compress.parts import leaves_of
from jaxcompress.network import Network, Step
from jaxcompress.space import Plan, check_plan

SHAPED = ("broadcast_in_dim", "reshape", "squeeze", "expand_dims", "convert_element_type")


@dataclass(frozen=True)
class Normalisation:
    """Where a network computes (x - mean) / sqrt(var + epsilon) with parameters.

    Attributes:
        mean, var: paths of the running averages.
        epsilon: as traced.
        axes: of x, those that the statistics are taken over.
    """

    mean: str
    var: str
    epsilon: float
    axes: tuple[int, ...]


def normalisations(network: Network) -> dict[int, Normalisation]:
    """Finds the batch normalisations of a network, by the step that takes off the mean.

    What counts is what the program computes, not what anything is called: a parameter is
    taken off activations, and the difference is multiplied by a reciprocal root (or
    divided by a root) of another parameter. Inside a scan they are not looked for.

    Returns:
        In the order of execution; empty if there are none.
    """
    made = {slot: step for step in network.program.steps for slot in step.results}
    leaves = dict(zip(network.program.inputs, range(len(network.paths)), strict=False))
    readers: dict[int, list[Step]] = {}
    for step in network.program.steps:
        for arg in step.args:
            if isinstance(arg, int):
                readers.setdefault(arg, []).append(step)

    def leaf(arg: Any) -> int | None:
        """Returns the parameter that an operand is, but for its shape and type."""
        while isinstance(arg, int) and arg not in leaves:
            step = made.get(arg)
            if step is None or step.primitive.name not in SHAPED:
                return None
            arg = step.args[0]
        return leaves[arg] if isinstance(arg, int) else None

    def root(arg: Any) -> tuple[int, float] | None:
        """Returns parameter and epsilon under the root that a factor is made of."""
        step = made.get(arg) if isinstance(arg, int) else None
        if step is None or any(step.driven):
            return None
        power = step.params.get("exponent", step.params.get("y"))
        if step.primitive.name in ("rsqrt", "sqrt") or power in (0.5, -0.5):
            return _under(made.get(step.args[0]), leaf)  # type: ignore[arg-type]
        found = [root(a) for a in step.args]
        known = [each for each in found if each is not None]
        return known[0] if len(known) == 1 else None

    result = {}
    for step in network.program.steps:
        if step.primitive.name != "sub" or step.driven != (True, False):
            continue
        mean = leaf(step.args[1])
        roots = [
            root(arg)
            for reader in readers.get(step.results[0], [])
            if reader.primitive.name in ("mul", "div")
            for arg in reader.args
        ]
        known = [each for each in roots if each is not None]
        if mean is None or len(known) != 1:
            continue
        (var, epsilon), axes = known[0], _axes(network, step, mean)
        if axes is not None:
            paths = network.paths
            result[step.index] = Normalisation(paths[mean], paths[var], epsilon, axes)
    return result


def reestimate(network: Network, plan: Plan, inputs: Any, params: PyTree = None) -> PyTree:
    """Returns parameters whose batch-norm statistics are those of the compressed network.

    Layer by layer in one forward pass: a normalisation sees what the ones before it, with
    their new statistics, hand on. Pure; may be traced and mapped over plans.

    Args:
        plan: what is done to the network.
        inputs: a few hundred training inputs [N, ...], never the test split.
        params: uncoded parameters; the network's own if None.

    Returns:
        Uncoded parameters; only means and variances differ, the biased ones over all
        examples and positions. A network without batch normalisation gets its own back.

    Example:
        >>> params = reestimate(network, plan, train_inputs[:512])  # doctest: +SKIP
        >>> compact(network, plan, params)  # doctest: +SKIP
    """
    if not normalisations(network) and plan.member is None:
        return network.params if params is None else params
    leaves = leaves_of(network, plan, params)
    check_plan(network, plan)
    found = _compiled(network)(plan, inputs, params)
    return network.unflatten(leaves | found)


@lru_cache(maxsize=4)
def _compiled(network: Network) -> Callable[[Plan, Any, Any], dict[str, Any]]:
    """Returns (plan, inputs, params) -> the new leaves, compiled once for all plans.

    Operation by operation the same takes many times as long to compile.
    """

    @jax.jit
    def mended(plan: Plan, inputs: Any, params: Any) -> dict[str, Any]:
        coded = compress(network, plan, params)
        return with_batch_statistics(network, plan, inputs, coded)[1]

    return mended


def with_batch_statistics(
    network: Network, plan: Plan, inputs: Any, params: PyTree
) -> tuple[Any, dict[str, Array]]:
    """Runs the network with the statistics of its inputs in the place of the averages.

    What batch normalisation does in training: differentiable through the statistics.

    Args:
        plan, inputs: as of `reestimate`.
        params: coded already.

    Returns:
        The outputs; and by path the mean or the biased variance of every normalisation.
    """
    places = normalisations(network)
    leaves = network.leaves(params)
    found: dict[str, Array] = {}

    def before(step: Step, operands: list[Any]) -> list[Any]:
        place = places.get(step.index)
        if place is None:
            return operands
        x, old = operands
        wide = x.astype(jnp.float32)
        mean, var = wide.mean(place.axes), wide.var(place.axes)
        shape = [1 if d in place.axes else x.shape[d] for d in range(x.ndim)]
        known = jnp.asarray(leaves[place.var]).reshape(shape)
        # What is handed on makes the rest of the normalisation, which still has its old
        # statistics, give what the new ones would.
        ratio = jnp.sqrt((known + place.epsilon) / (var.reshape(shape) + place.epsilon))
        for path, value in ((place.mean, mean), (place.var, var)):
            like = leaves[path]
            value = value.reshape(np.shape(like)).astype(like.dtype)
            # Producers of removed channels may be NaN: their statistics mean nothing.
            found[path] = jnp.where(jnp.isfinite(value), value, like)
        moved = old + (wide - mean.reshape(shape)) * ratio
        return [moved.astype(x.dtype), old]

    return masked(network, plan, inputs, params, before), found


def _under(step: Step | None, leaf: Any) -> tuple[int, float] | None:
    """Returns parameter and constant of `parameter + constant`."""
    if step is None or step.primitive.name != "add":
        return None
    for one, other in (step.args, step.args[::-1]):
        number = leaf(one)
        if number is not None and not isinstance(other, int) and np.ndim(other) == 0:
            return number, float(other)
    return None


def _axes(network: Network, step: Step, mean: int) -> tuple[int, ...] | None:
    """Returns the axes of x along which a mean is the same; None: they are not clear."""
    line = network.leaf_axes[mean]
    operand = step.ins[1]
    own = [
        d
        for d in range(operand.ndim)
        for factor in operand.factors_of([d])
        if any(np.array_equal(factor.nodes, known.nodes) for known in line.factors)
    ]
    shape = [operand.shape[d] for d in own]
    if shape != [n for n in line.shape if n != 1]:
        return None
    return tuple(d for d in range(operand.ndim) if d not in own)
