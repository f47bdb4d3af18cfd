"""Scores that need no data: from the parameters alone."""

from collections.abc import Callable, Iterable

import jax
import numpy as np
from jaxtyping import Array, Key

from jaxcompress.network import ALWAYS, Network, Program

Scores = dict[str, np.ndarray]

ROOTS = ("pow", "rsqrt", "sqrt")
PASSING = set(
    "add broadcast_in_dim convert_element_type max reshape squeeze transpose".split()
)


def l1(network: Network) -> Scores:
    """Returns the sum of magnitudes of the weights that make each channel.

    Li et al. 2017, Pruning Filters for Efficient ConvNets; summed over all layers whose
    outputs are tied together. For channels that no layer makes (the width of an
    embedding) everything that holds them counts.
    """
    return _norms(network, np.abs)


def l2(network: Network) -> Scores:
    """Returns the sum of squares of the weights that make each channel."""
    return _norms(network, np.square)


def batch_norm(network: Network) -> Scores:
    """Returns the magnitude of the scale by which each channel is normalised.

    Liu et al. 2017, Learning Efficient Convolutional Networks through Network Slimming;
    summed over all normalisations that are tied together. The scales are found in the
    function itself: vectors that multiply what a root divides (batch, layer and group
    normalisation). A group without one has its `l1` score.
    """
    scales = [network.paths[leaf] for leaf in _scales(network.program, _vectors(network))]
    axes = [(path, axis) for path in scales for axis in range(len(network.columns(path)))]
    total, seen = _summed(network, axes, np.abs)
    return {
        name: total[group.units] if seen[group.units].all() else scores
        for group, (name, scores) in zip(network.prunable, l1(network).items(), strict=True)
    }


def random(network: Network, key: Key[Array, ""]) -> Scores:
    """Returns scores drawn uniformly from [0, 1): the baseline of all criteria.

    Args:
        key: consumed.
    """
    draws = np.asarray(jax.random.uniform(key, (network.layout.count,)), np.float64)
    return {group.name: draws[group.units] for group in network.prunable}


def _norms(network: Network, size: Callable[[np.ndarray], np.ndarray]) -> Scores:
    made = [(la.weight, axis) for la in network.layers for axis in la.out_axes]
    total, seen = _summed(network, dict.fromkeys(made), size)
    scores = {}
    for group in network.prunable:
        if not seen[group.units].all():
            total, _ = _summed(network, group.members, size)
        scores[group.name] = total[group.units]
    return scores


def _summed(
    network: Network,
    members: Iterable[tuple[str, int]],
    size: Callable[[np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Returns what parameter axes hold of each unit, and which units they hold."""
    leaves = network.leaves()
    total, seen = np.zeros(network.layout.count), np.zeros(network.layout.count, bool)
    for path, axis in members:
        weight = size(np.asarray(leaves[path], np.float64))
        line = weight.sum(tuple(d for d in range(weight.ndim) if d != axis))
        for units in network.columns(path)[axis].units:
            np.add.at(total, units[units != ALWAYS], line[units != ALWAYS])
            seen[units[units != ALWAYS]] = True
    return total, seen


def _vectors(network: Network) -> set[int]:
    shapes = [axes.shape for axes in network.leaf_axes]
    return {i for i, shape in enumerate(shapes) if sum(n > 1 for n in shape) == 1}


def _scales(program: Program, vectors: set[int]) -> set[int]:
    """Returns the parameters that scale a normalised array.

    Either (x - mean) * (rsqrt(variance) * scale) or ((x - mean) / root) * scale.
    """
    roots: dict[object, frozenset[int]] = {}  # by slot, the scales multiplied in so far
    normalised: set[object] = set()
    found: set[int] = set()
    for step in program.steps:
        name, (result, *_) = step.primitive.name, step.results
        if name in ROOTS:
            roots[result] = frozenset()
        elif name in PASSING:
            for arg in step.args:
                if isinstance(arg, int) and arg in roots:
                    roots[result] = roots[arg]
                elif isinstance(arg, int) and arg in normalised:
                    normalised.add(result)
        elif name in ("mul", "div"):
            for place in (0, 1):
                arg, other = step.args[place], step.args[1 - place]
                if not isinstance(arg, int):
                    continue
                scale = step.sources[1 - place] & vectors
                plain = not step.driven[1 - place] and len(step.sources[1 - place]) == 1
                if arg in roots and plain:
                    roots[result] = roots[arg] | scale
                elif arg in roots and not (isinstance(other, int) and other in roots):
                    normalised.add(result)
                    found |= roots[arg]
                elif arg in normalised and plain:
                    found |= scale
    return found
