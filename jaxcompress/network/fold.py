"""Batch normalisation without its averages: scale and shift can take their part.

Under a mean of 0 and a variance of 1 the same is computed with
scale' = scale * sqrt((1 + epsilon) / (var + epsilon)) and
shift' = shift - mean * scale / sqrt(var + epsilon).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcompress.network.network import Network
from jaxcompress.network.normalisations import Normalisation, normalisations
from jaxcompress.network.trace import trace


def fold(network: Network) -> Network:
    """Returns a network that computes the same with fewer parameters, traced anew.

    The averages of batch normalisations are constants of its function, 0 and 1, wherever
    a scale and a shift follow that can take their part (see `Normalisation`). It is for
    inference: its averages can neither be trained nor estimated anew.

    Args:
        network: with concrete parameters.

    Returns:
        The network; None in the place of the averages. Itself if there are none.
    """
    places = foldable(network)
    if not places:
        return network
    leaves = network.leaves()
    kept = folded(network, leaves)
    small = network.unflatten(kept)
    structure = jax.tree.structure(small)

    def apply(params: Any, x: Any) -> Any:
        # In the place of an array there may be codes and their table.
        named = dict(zip(kept, structure.flatten_up_to(params), strict=True))
        named |= {place.mean: jnp.zeros_like(leaves[place.mean]) for place in places}
        named |= {place.var: jnp.ones_like(leaves[place.var]) for place in places}
        return network.apply(network.unflatten(named), x)

    coding = {path: code for path, code in network.coding.items() if path in kept}
    return replace(trace(apply, small, network.example), coding=coding)


def folded(
    network: Network, leaves: Mapping[str, Any], alive: Any = None
) -> dict[str, Any]:
    """Returns parameters without the averages that scale and shift can take the part of.

    Args:
        network: which they are of, or what is left of it in them.
        leaves: by path, concrete; in narrow shapes, or gone altogether.
        alive: which units survive in them; None: all.
    """
    found = dict(leaves)
    for place, (scale, shift) in foldable(network, alive).items():
        if place.mean not in found:
            continue
        mean, var = (np.asarray(found.pop(p), np.float64) for p in (place.mean, place.var))
        factor, term = np.asarray(found[scale]), np.asarray(found[shift])
        root = np.sqrt(var + place.epsilon)
        found[scale] = (factor * np.sqrt(1 + place.epsilon) / root).astype(factor.dtype)
        found[shift] = (term - mean * factor / root).astype(term.dtype)
    return found


def foldable(network: Network, alive: Any = None) -> dict[Normalisation, tuple[str, str]]:
    """Returns the batch normalisations whose averages a file need not hold.

    Args:
        alive: which units survive; None: all.

    Returns:
        With the paths of the scale and of the shift that take their part.
    """
    places = normalisations(network, alive).values()
    return {place: place.affine for place in places if place.affine is not None}
