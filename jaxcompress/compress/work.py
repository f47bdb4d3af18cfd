"""The work that a plan leaves: what every layer still multiplies and moves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcompress.network import Contraction, Network
from jaxcompress.network.axes import Axes
from jaxcompress.space import Plan

# Of one layer, or of several layers a vector.
Number = float | Float[Array | np.ndarray, "..."]
FLOAT_BITS = 32  # of what no gene touches
STATIC = ("layer", "weight", "kind", "kernel")


@dataclass(frozen=True, eq=False)
class Work:
    """What one executed layer does for one example; its numbers may be traced.

    Attributes:
        layer: its name.
        weight: the path of its parameter.
        kind: "convolution", "depthwise", "grouped" or "dense".
        kernel: the kernel's shape in space; () for a dense layer.
        repeats: how often it runs (more than once in a scan).
        positions: output positions in space; of a dense layer how many vectors it takes.
        input_positions: the same of its input.
        groups: how many groups of channels are convolved apart; 1 for most.
        inputs: surviving input channels of a group.
        outputs: surviving output channels of all groups.
        weights: surviving entries of its parameter.
        weight_bits, activation_bits: of its weights and its input; 32 if not chosen.
        density: the share of its weights that is not zero. Removed channels are not
            zeros: they are gone, and in none of these numbers.
        runs: whether it is left when blocks are removed; the other numbers do not say.
    """

    layer: str
    weight: str
    kind: str
    kernel: tuple[int, ...]
    repeats: Number
    positions: Number
    input_positions: Number
    groups: Number
    inputs: Number
    outputs: Number
    weights: Number
    weight_bits: Number
    activation_bits: Number
    density: Number
    runs: bool | Bool[Array | np.ndarray, "..."]

    @property
    def fan_in(self) -> Number:
        """How many products are summed to one output."""
        return prod(self.kernel) * self.inputs

    @property
    def macs(self) -> Number:
        """Multiply-accumulates; zeros and positions in the padding count too."""
        return self.output_entries * self.fan_in

    @property
    def input_entries(self) -> Number:
        """Entries of the input; each is counted once however often it is used."""
        return self.repeats * self.input_positions * self.groups * self.inputs

    @property
    def output_entries(self) -> Number:
        """Entries of the output."""
        return self.repeats * self.positions * self.outputs


NUMBERS = tuple(f.name for f in fields(Work) if f.name not in STATIC)


def work(network: Network, plan: Plan) -> list[Work]:
    """Returns the work of every layer, in the order of execution (traceable).

    A weight that several layers use is in the work of each.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxcompress as jc
        >>> params = {"w": jnp.ones((4, 8)), "v": jnp.ones((8, 2))}
        >>> apply = lambda p, x: jnp.maximum(x @ p["w"], 0.0) @ p["v"]
        >>> network = jc.trace(apply, params, jnp.ones((2, 4)))
        >>> [float(layer.macs) for layer in work(network, jc.Plan())]
        [32.0, 16.0]
    """
    alive = network.alive(plan.channels, plan.blocks)

    def count(axes: Axes, dims: Sequence[int]) -> Number:
        columns = [network.layout.column(axes, dim) for dim in dims]
        return _product(network.layout.length(column, alive) for column in columns)

    works = []
    for layer in network.layers:
        path, contraction = layer.weight, network.contraction_at[layer.step]
        shape = _dense if contraction.kind == "dense" else _convolution
        works.append(
            Work(
                layer=layer.name,
                weight=path,
                kind=layer.kind,
                repeats=float(contraction.step.repeats),
                **shape(contraction, count),
                weights=_product(
                    network.layout.length(column, alive) for column in network.columns(path)
                ),
                weight_bits=_number(plan.weight_bits.get(path, FLOAT_BITS)),
                activation_bits=_number(plan.activation_bits.get(layer.name, FLOAT_BITS)),
                density=(1.0 - _number(plan.sparsity.get(path, 0.0)))
                * (1.0 - _number(plan.kernel_sparsity.get(path, 0.0))),
                runs=network.runs(layer.step, alive),
            )
        )
    return works


def other_macs(network: Network, plan: Plan) -> Float[Array, ""]:
    """Returns the MACs of one example that are no layer's (traceable).

    Such are the products of activations with activations in attention.
    """
    others = [c for c in network.contractions if c.step.index not in network.layer_at]
    return network.count_macs(network.alive(plan.channels, plan.blocks), others)


def total(works: Sequence[Work], cost: Callable[[Work], Number]) -> Float[Array, ""]:
    """Returns the sum of a cost over the layers that run (traceable).

    Layers of the same kind and kernel are costed at once, or a deep network would take
    long to compile.

    Args:
        cost: of one work whose numbers are vectors over layers; elementwise.
    """
    alike: dict[Any, list[Work]] = {}
    for each in works:
        alike.setdefault((each.kind, each.kernel), []).append(each)
    result = jnp.zeros((), jnp.float32)
    for some in alike.values():
        vectors: Any = {name: stacked(some, name) for name in NUMBERS}
        joined = replace(some[0], layer=", ".join(each.layer for each in some), **vectors)
        result = result + jnp.where(joined.runs, cost(joined), 0.0).sum()
    return result


def stacked(works: Sequence[Work], name: str) -> Array | np.ndarray:
    """Returns one number of several works, [layers]; on the host where none is traced."""
    values = [getattr(each, name) for each in works]
    if all(isinstance(value, (float, bool)) for value in values):
        return np.asarray(values, bool if name == "runs" else np.float32)
    return jnp.stack([jnp.asarray(value) for value in values])


def _convolution(contraction: Contraction, count: Callable[..., Number]) -> dict[str, Any]:
    step = contraction.step
    (left, right), (output,) = step.ins, step.outs
    spec = step.params["dimension_numbers"]
    out, inner, *kernel = spec.rhs_spec
    groups = float(step.params["feature_group_count"])
    if contraction.kind == "depthwise":  # a group is an input channel, and may be gone
        groups = count(left, [spec.lhs_spec[1]])
    return {
        "kernel": tuple(right.shape[dim] for dim in kernel),
        "positions": count(output, spec.out_spec[2:]),
        "input_positions": count(left, spec.lhs_spec[2:]),
        "groups": groups,
        "inputs": count(right, [inner]),
        "outputs": count(right, [out]),
    }


def _dense(contraction: Contraction, count: Callable[..., Number]) -> dict[str, Any]:
    place = 0 if contraction.weight == 0 else 1
    weight, operand = contraction.step.ins[place], contraction.step.ins[1 - place]
    inner, outer = contraction.contracted[place], contraction.outer[place]
    batch = [d for d in range(weight.ndim) if d not in inner + outer]
    positions = count(operand, contraction.outer[1 - place])
    groups = count(weight, batch)
    return {
        "kernel": (),
        "positions": positions,
        "input_positions": positions,
        "groups": groups,
        "inputs": count(weight, inner),
        "outputs": groups * count(weight, outer),
    }


def _number(value: Any) -> Number:
    if isinstance(value, (int, float)):
        return float(value)
    return jnp.asarray(value).astype(jnp.float32)


def _product(lengths: Any) -> Number:
    product = 1.0
    for length in lengths:
        product = product * length
    return product
