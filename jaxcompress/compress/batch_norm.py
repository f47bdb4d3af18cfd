"""Batch normalisation after compression: its statistics are estimated anew.

A network that lost channels or bits sends other activations into its normalisations than
their running averages say. One forward pass over a few hundred training examples mends
that, without a gradient: Li et al. 2020, EagleEye: Fast Sub-net Evaluation for Efficient
Neural Network Pruning, section 3.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from jaxcompress.compress.code import compress
from jaxcompress.compress.forward import AS_TRACED, masked
from jaxcompress.compress.parts import leaves_of
from jaxcompress.compress.products import Products
from jaxcompress.network import Network, Step, normalisations
from jaxcompress.space import Plan, check_plan


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
    network: Network,
    plan: Plan,
    inputs: Any,
    params: PyTree,
    products: Products = AS_TRACED,
) -> tuple[Any, dict[str, Array]]:
    """Runs the network with the statistics of its inputs in the place of the averages.

    What batch normalisation does in training: differentiable through the statistics.

    Args:
        plan, inputs: as of `reestimate`.
        params: coded already.
        products: how they are run.

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

    outputs = masked(network, plan, inputs, params, before, products)
    return outputs, found
