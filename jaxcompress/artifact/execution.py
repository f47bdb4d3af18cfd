"""What a file's function computes with: float32, codes that become float32, or codes."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jaxcompress.codings.held import held
from jaxcompress.codings.manifest import EXECUTIONS
from jaxcompress.codings.tensor import Coding
from jaxcompress.network import Codes, Network, trace


def arguments(leaf: np.ndarray, coding: Coding, execution: str) -> list[np.ndarray]:
    """Returns what a function takes for one parameter: its values, or codes and table."""
    found = None if execution == "float32" else held(coding)
    return [leaf] if found is None else [found.codes, found.table]


def executable(network: Network, execution: str) -> Network:
    """Returns a compact network as it is executed.

    Args:
        network: from `compact`.
        execution: "float32"; "packed": parameters of at most 8 bits are `Codes` and become
            float32 where they are used; "integer": as that, but layers whose input is on a
            grid of at most 8 bits, too, multiply int8 x int8 -> int32.

    Returns:
        The same function of other parameters: `network.apply` takes either.

    Raises:
        ValueError: there is no such execution.

    Example:
        >>> fast = executable(compact(network, plan), "integer")  # doctest: +SKIP
        >>> outputs = fast.apply(fast.params, inputs)  # doctest: +SKIP
    """
    if execution not in EXECUTIONS:
        raise ValueError(f"execution is {execution!r}; allowed: {EXECUTIONS}")
    if execution == "float32":
        return network
    leaves: dict[str, Any] = {}
    for path, leaf in network.leaves().items():
        found = held(network.coding.get(path, Coding(32)))
        leaves[path] = leaf
        if found is not None:
            leaves[path] = Codes(
                *map(jax.numpy.asarray, (found.codes, found.table)),
                shape=leaf.shape,
                bits=found.bits,
                grid=found.grid,
                integer=execution == "integer",
            )
    other = trace(network.apply, network.unflatten(leaves), network.example)
    # Only its layers are asked for; how codes are unpacked is no concern of channels.
    return replace(other, batch_reason=network.batch_reason)


def executed(network: Network, function: Network) -> list[str]:
    """Returns for each layer of a network what its function really computes.

    Args:
        function: from `executable`; its steps are what is looked at.

    Returns:
        "int8", "float32 from 4-bit codes" (or other bits), "float32".
    """
    words = []
    codes = jax.tree.leaves(function.params, is_leaf=lambda x: isinstance(x, Codes))
    held_at = dict(zip(network.paths, codes, strict=True))
    for layer, own in zip(network.layers, function.layers, strict=True):
        params = function.contraction_at[own.step].step.params
        if params["preferred_element_type"] == np.int32:
            words.append("int8")
        elif isinstance(held_at[layer.weight], Codes):
            bits = network.coding[layer.weight].bits
            words.append(f"float32 from {bits}-bit codes")
        else:
            words.append("float32")
    return words
