"""Where a network computes batch normalisations, whatever anything is called."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcompress.network.axes import Axes
from jaxcompress.network.network import Network
from jaxcompress.network.program import Step

SHAPED = ("broadcast_in_dim", "reshape", "squeeze", "expand_dims")


@dataclass(frozen=True)
class Normalisation:
    """Where a network computes (x - mean) / sqrt(var + epsilon) with parameters.

    Attributes:
        mean, var: paths of the running averages.
        epsilon: as traced.
        axes: of x, those that the statistics are taken over.
        affine: paths of the scale that it is multiplied by then and of the shift that is
            added, if all four are of one shape and serve nothing else; otherwise None.
    """

    mean: str
    var: str
    epsilon: float
    axes: tuple[int, ...]
    affine: tuple[str, str] | None


def normalisations(network: Network, alive: Any = None) -> dict[int, Normalisation]:
    """Finds the batch normalisations of a network, by the step that takes off the mean.

    What counts is what the program computes: a parameter is taken off activations, and the
    difference is multiplied by a reciprocal root (or divided by a root) of another
    parameter. Inside a scan they are not looked for.

    Args:
        alive: which units survive (see `Network.alive_on_host`): what they leave out is
            not there; None: all.

    Returns:
        In the order of execution; empty if there are none.
    """
    search, result = _Search(network, alive), {}
    for step in search.steps:
        found = search.at(step)
        if found is not None:
            result[step.index] = found
    return result


class _Search:
    """What is asked of a program again and again: who makes a value, and who reads it."""

    def __init__(self, network: Network, alive: Any) -> None:
        self.network, program = network, network.program
        self.steps = [
            step
            for step in program.steps
            if alive is None or bool(network.runs(step.index, alive))
        ]
        self.made = {slot: step for step in self.steps for slot in step.results}
        self.leaves = dict(zip(program.inputs, range(len(network.paths)), strict=False))
        self.outputs = {arg for arg in program.outputs if isinstance(arg, int)}
        self.readers: dict[int, list[Step]] = {}
        # By parameter the steps in which it, or what is made of it, meets activations.
        self.meets: dict[int, list[Step]] = {}
        for step in self.steps:
            for arg in {arg for arg in step.args if isinstance(arg, int)}:
                self.readers.setdefault(arg, []).append(step)
            for driven, sources in zip(step.driven, step.sources, strict=True):
                for leaf in sources if any(step.driven) and not driven else ():
                    self.meets.setdefault(leaf, []).append(step)
        # The parameters of which outputs are made without activations.
        self.told = {self.leaves[slot] for slot in self.outputs if slot in self.leaves}
        for slot in self.outputs & {*self.made}:
            if not any(self.made[slot].driven):
                self.told.update(*self.made[slot].sources)

    def at(self, step: Step) -> Normalisation | None:
        """Returns the normalisation whose mean a step takes off, if it does."""
        if step.primitive.name != "sub" or step.driven != (True, False):
            return None
        mean = self.leaf(step.args[1])
        roots = [
            self.root(arg)
            for reader in self.readers.get(step.results[0], [])
            if reader.primitive.name in ("mul", "div")
            for arg in reader.args
        ]
        known = [each for each in roots if each is not None]
        if mean is None or len(known) != 1:
            return None
        (var, epsilon), (x, operand) = known[0], step.ins
        axes = _axes(self.network, x, operand, [mean])
        if axes is None:
            return None
        paths, affine = self.network.paths, self.affine(step, mean, var, axes)
        return Normalisation(paths[mean], paths[var], epsilon, axes, affine)

    def leaf(self, arg: Any) -> int | None:
        """Returns the parameter that an operand is, but for its shape and type."""
        while isinstance(arg, int) and arg not in self.leaves:
            step = self.made.get(arg)
            if step is None or not _only_shapes(step):
                return None
            arg = step.args[0]
        return self.leaves[arg] if isinstance(arg, int) else None

    def root(self, arg: Any) -> tuple[int, float] | None:
        """Returns parameter and epsilon under the root that a factor is made of."""
        step = self.made.get(arg) if isinstance(arg, int) else None
        if step is None or any(step.driven):
            return None
        if _is_root(step):
            return self._under(step.args[0])
        found = [self.root(a) for a in step.args]
        known = [each for each in found if each is not None]
        return known[0] if len(known) == 1 else None

    def _under(self, arg: Any) -> tuple[int, float] | None:
        """Returns parameter and constant of `parameter + constant`."""
        step = self.made.get(arg) if isinstance(arg, int) else None
        if step is None or step.primitive.name != "add":
            return None
        for one, other in (step.args, step.args[::-1]):
            number = self.leaf(one)
            if number is not None and not isinstance(other, int) and np.ndim(other) == 0:
                return number, float(other)
        return None

    def affine(
        self, step: Step, mean: int, var: int, axes: tuple[int, ...]
    ) -> tuple[str, str] | None:
        """Returns the scale and the shift that follow on a difference, if both do.

        Args:
            step: the difference of activations and the mean.
            axes: along which the mean is the same, and so must be all that follows.
        """
        steps, others = [step], []
        scales, roots = [], []
        while steps[-1].primitive.name != "add":
            (slot,) = steps[-1].results
            readers = self.readers.get(slot, [])
            if len(readers) != 1 or slot in self.outputs:
                return None
            reader, others = readers[0], [a for a in readers[0].args if a != slot]
            steps.append(reader)
            if _only_rounds(reader):
                continue
            if len(others) != 1 or len(reader.args) != 2:
                return None
            divides = reader.primitive.name == "div" and reader.args[0] == slot
            if reader.primitive.name == "mul" or divides:
                found = self.factors(others[0], divides)
                if found is None:
                    return None
                for leaf, under_a_root in found:
                    (roots if under_a_root else scales).append(leaf)
            elif reader.primitive.name != "add":
                return None
        shift = self.leaf(others[0])
        if shift is None or len(scales) != 1 or roots != [var]:
            return None
        four = (mean, var, scales[0], shift)
        if len({*four}) < 4 or self.serve_others(four, steps):
            return None
        if len({self.network.leaf_axes[leaf].shape for leaf in four}) > 1:
            return None
        for each in (each for each in steps if len(each.ins) == 2):
            place = each.driven.index(True)
            x, operand = each.ins[place], each.ins[1 - place]
            if _axes(self.network, x, operand, four) != axes:
                return None
        return self.network.paths[scales[0]], self.network.paths[shift]

    def serve_others(self, leaves: Sequence[int], steps: Sequence[Step]) -> bool:
        """Returns whether parameters have an effect in other steps than these."""
        own = {step.index for step in steps}
        meets = [step.index for leaf in leaves for step in self.meets.get(leaf, [])]
        return not own.issuperset(meets) or not self.told.isdisjoint(leaves)

    def factors(self, arg: Any, divides: bool) -> list[tuple[int, bool]] | None:
        """Returns the parameters whose product an operand is, and which are under a root.

        Args:
            divides: whether it is divided by the operand, which must be a root then; a
                factor must be a reciprocal one.
        """
        leaf = self.leaf(arg)
        if leaf is not None:
            return None if divides else [(leaf, False)]
        step = self.made.get(arg) if isinstance(arg, int) else None
        if step is None or any(step.driven):
            return None
        if _only_shapes(step):
            return self.factors(step.args[0], divides)
        if _is_root(step):
            under = self._under(step.args[0])
            return (
                None if under is None or _inverts(step) == divides else [(under[0], True)]
            )
        if step.primitive.name == "mul" and not divides:
            one, other = (self.factors(each, False) for each in step.args)
            return None if one is None or other is None else [*one, *other]
        return None


def _only_shapes(step: Step) -> bool:
    """Returns whether a step leaves the values and their order as they are."""
    if step.primitive.name == "reshape" and step.params.get("dimensions") is not None:
        return False
    return step.primitive.name in SHAPED or _only_rounds(step)


def _only_rounds(step: Step) -> bool:
    """Returns whether a step converts to floats of another precision."""
    if step.primitive.name != "convert_element_type":
        return False
    kind = step.params["new_dtype"]
    return jnp.issubdtype(kind, jnp.floating) and jnp.finfo(kind).bits >= 16


def _is_root(step: Step) -> bool:
    return step.primitive.name in ("rsqrt", "sqrt") or _power(step) in (0.5, -0.5)


def _inverts(step: Step) -> bool:
    return step.primitive.name == "rsqrt" or _power(step) == -0.5


def _power(step: Step) -> Any:
    return step.params.get("exponent", step.params.get("y"))


def _axes(
    network: Network, x: Axes, operand: Axes, leaves: Sequence[int]
) -> tuple[int, ...] | None:
    """Returns the axes of x along which an operand is the same; None: they are not clear.

    Args:
        leaves: what the operand is made of, all of one shape.
    """
    lines = [network.leaf_axes[leaf] for leaf in leaves]
    known = [factor.nodes for line in lines for factor in line.factors]
    own = [
        d
        for d in range(operand.ndim)
        for factor in operand.factors_of([d])
        if any(np.array_equal(factor.nodes, nodes) for nodes in known)
    ]
    shape = [operand.shape[d] for d in own]
    if shape != [n for n in lines[0].shape if n != 1]:
        return None
    return tuple(d for d in range(x.ndim) if d not in own)
