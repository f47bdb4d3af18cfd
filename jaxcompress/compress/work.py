"""The work that a plan leaves: what every layer still multiplies and moves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcompress.network import Column, Layer, Network
from jaxcompress.network.blocks import needed_each
from jaxcompress.space import Plan

Numbers = Float[Array | np.ndarray, " layers"]
FLOAT_BITS = 32.0  # of what no gene touches
SHAPES = ("positions", "input_positions", "groups", "inputs", "outputs", "weights")


@dataclass(frozen=True, eq=False)
class Work:
    """What some layers do for one example: executed layers of one kind and one kernel.

    Every number is a vector over the layers, float32 [layers], and may be traced. (One
    work for each layer would be simpler, but a deep network would compile for long.)

    Attributes:
        layers: their names.
        paths: the paths of their parameters.
        kind: "convolution", "depthwise", "grouped" or "dense".
        kernel: the kernel's shape in space; () for dense layers.
        repeats: how often a layer runs (more than once in a scan).
        positions: output positions in space; of a dense layer how many vectors it takes.
        input_positions: the same of its input.
        groups: how many groups of channels are convolved apart; 1 for most.
        inputs: surviving input channels of a group.
        outputs: surviving output channels of all groups.
        weights: surviving entries of the parameter.
        weight_bits, activation_bits: of weights and input; 32 if not chosen.
        density: the share of the weights that is not zero. Removed channels are not
            zeros: they are gone, and in none of these numbers.
        runs: whether a layer is left when blocks are removed; no other number says so.
    """

    layers: tuple[str, ...]
    paths: tuple[str, ...]
    kind: str
    kernel: tuple[int, ...]
    repeats: Numbers
    positions: Numbers
    input_positions: Numbers
    groups: Numbers
    inputs: Numbers
    outputs: Numbers
    weights: Numbers
    weight_bits: Numbers
    activation_bits: Numbers
    density: Numbers
    runs: Bool[Array, " layers"]

    @property
    def area(self) -> float:
        """Positions of the kernel."""
        return float(prod(self.kernel))

    @property
    def macs(self) -> Numbers:
        """Multiply-accumulates; zeros and positions in the padding count too."""
        return self.output_entries * self.area * self.inputs

    @property
    def input_entries(self) -> Numbers:
        """Entries of the input; each is counted once however often it is used."""
        return self.repeats * self.input_positions * self.groups * self.inputs

    @property
    def output_entries(self) -> Numbers:
        """Entries of the output."""
        return self.repeats * self.positions * self.outputs


def work(
    network: Network, plan: Plan, density: Mapping[str, Float[Array, ""]]
) -> list[Work]:
    """Returns the work of all layers with whole weights, like layers together (traceable).

    A weight that several layers use is in the work of each.

    Args:
        density: by parameter path the share that is not zero, where the plan's own shares
            do not say it.
    """
    alive = network.alive(plan.channels, plan.blocks)
    shapes = [_shape(network, layer) for layer in network.layers]
    arrays = [shape[name] for name in SHAPES for shape in shapes]
    entries = network.layout.entries(arrays, alive).reshape(len(SHAPES), len(shapes))
    runs = needed_each([network.liveness.steps[x.step] for x in network.layers], alive)
    alike: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    for place, layer in enumerate(network.layers):
        alike.setdefault((layer.kind, _kernel(network, layer)), []).append(place)
    works = []
    for (kind, kernel), places in alike.items():
        layers = [network.layers[place] for place in places]
        paths = tuple(layer.weight for layer in layers)
        names = tuple(layer.name for layer in layers)
        numbers: dict[str, Any] = dict(
            zip(SHAPES, entries[:, np.asarray(places)], strict=True)
        )
        steps = [network.contraction_at[layer.step].step for layer in layers]
        zeros, zero_kernels = (
            chosen({p: s for p, s in shares.items() if p not in density}, paths, 0.0)
            for shares in (plan.sparsity, plan.kernel_sparsity)
        )
        works.append(
            Work(
                layers=names,
                paths=paths,
                kind=kind,
                kernel=kernel,
                repeats=np.asarray([step.repeats for step in steps], np.float32),
                **numbers,
                weight_bits=chosen(plan.weight_bits, paths, FLOAT_BITS),
                activation_bits=chosen(plan.activation_bits, names, FLOAT_BITS),
                density=chosen(density, paths, 1.0) * (1.0 - zeros) * (1.0 - zero_kernels),
                runs=runs[np.asarray(places)],
            )
        )
    return works


def other_macs(network: Network, plan: Plan) -> Float[Array, ""]:
    """Returns the MACs of one example that are no layer's (traceable).

    Such are the products of activations with activations in attention.
    """
    others = [c for c in network.contractions if c.step.index not in network.layer_at]
    return network.count_macs(network.alive(plan.channels, plan.blocks), others)


def total(works: Sequence[Work], cost: Callable[[Work], Numbers]) -> Float[Array, ""]:
    """Returns the sum of a cost over the layers that run (traceable)."""
    result = jnp.zeros((), jnp.float32)
    for each in works:
        result = result + jnp.where(each.runs, cost(each), 0.0).sum()
    return result


def chosen(values: Mapping[str, Any], names: Sequence[str], default: float) -> Numbers:
    """Returns what a plan chooses for each name, float32; a default where it does not."""
    named = [place for place, name in enumerate(names) if name in values]
    if not named:
        return np.full(len(names), default, np.float32)
    found = jnp.stack([jnp.asarray(values[names[place]]) for place in named])
    found = found.astype(jnp.float32)
    if len(named) == len(names):
        return found
    return jnp.full(len(names), default, jnp.float32).at[np.asarray(named)].set(found)


def _kernel(network: Network, layer: Layer) -> tuple[int, ...]:
    step = network.contraction_at[layer.step].step
    if layer.kind == "dense":
        return ()
    _, _, *space = step.params["dimension_numbers"].rhs_spec
    return tuple(step.ins[1].shape[dim] for dim in space)


def _shape(network: Network, layer: Layer) -> dict[str, list[Column]]:
    """Returns by number of a work the axes whose lengths multiply to it."""
    contraction = network.contraction_at[layer.step]
    step, column = contraction.step, network.layout.column
    if layer.kind == "dense":
        place = 1 - layer.operand
        inner, outer = contraction.contracted[place], contraction.outer[place]
        weight, operand = step.ins[place], step.ins[layer.operand]
        apart = [d for d in range(weight.ndim) if d not in inner + outer]
        groups = [column(weight, dim) for dim in apart]
        positions = [column(operand, dim) for dim in contraction.outer[layer.operand]]
        inputs = [column(weight, dim) for dim in inner]
        outputs = groups + [column(weight, dim) for dim in outer]
        input_positions = positions
    else:
        (left, right), (output,) = step.ins, step.outs
        spec = step.params["dimension_numbers"]
        groups = [Column(step.params["feature_group_count"], 1, ())]
        if layer.kind == "depthwise":  # a group is an input channel, and may be gone
            groups = [column(left, spec.lhs_spec[1])]
        positions = [column(output, dim) for dim in spec.out_spec[2:]]
        input_positions = [column(left, dim) for dim in spec.lhs_spec[2:]]
        inputs = [column(right, spec.rhs_spec[1])]
        outputs = [column(right, spec.rhs_spec[0])]
    weights = list(network.columns(layer.weight))
    axes = (positions, input_positions, groups, inputs, outputs, weights)
    return dict(zip(SHAPES, axes, strict=True))
