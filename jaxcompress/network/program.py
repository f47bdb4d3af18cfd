"""A jaxpr made flat: one list of steps, every array with its axes of channel nodes.

Inner jaxprs (jit, custom derivatives, remat) are inlined, so each call site has steps of
its own; the body of a scan stays a program inside its step. The same list serves every
reader: the channel groups, the MACs, the masked and the compact network.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, JaxprEqn

from jaxcompress.network.axes import Axes, assemble, freeze, fresh, select
from jaxcompress.network.coded import dense
from jaxcompress.network.factored import contract, is_factors
from jaxcompress.network.inline import Arg, inline
from jaxcompress.network.integer import Activations, multiply
from jaxcompress.network.nodes import Nodes
from jaxcompress.network.primitives import rule_of
from jaxcompress.network.sizes import Sizes
from jaxcompress.network.unite import unite


@dataclass(frozen=True, eq=False)
class Step:
    """One equation of a program.

    Attributes:
        index: position among all steps of the network, bodies included.
        primitive: the JAX primitive; params: its parameters, as traced.
        args: for each operand its slot, or a scalar array.
        results: the slots of the results.
        ins, outs: the axes of operands and results.
        driven: for each operand, whether it depends on the network's inputs.
        sources: for each operand the parameter leaves it is computed from.
        repeats: how often the step runs in one forward pass (more than once in a scan).
        body: the program of a scan's body.
    """

    index: int
    primitive: Any
    params: dict[str, Any]
    args: tuple[Arg, ...]
    results: tuple[int, ...]
    ins: tuple[Axes, ...]
    outs: tuple[Axes, ...]
    driven: tuple[bool, ...]
    sources: tuple[frozenset[int], ...]
    repeats: int
    body: "Program | None" = None

    def with_params(self, **params: Any) -> "Step":
        """Returns the same step with some of the primitive's parameters changed."""
        return replace(self, params=self.params | params)


# How a step's results come from its operands, and what stands around that.
Run = Callable[[Step, list[Any]], list[Any]]
Around = Callable[[Step, list[Any], Run], list[Any]]


@dataclass(frozen=True, eq=False)
class Program:
    """Steps in order, from input slots and constants to output slots."""

    inputs: tuple[int, ...]
    constants: tuple[tuple[int, Any, Axes], ...]
    steps: tuple[Step, ...]
    outputs: tuple[Arg, ...]
    slots: int

    def walk(self) -> "list[Step]":
        """Returns all steps, those of bodies included."""
        steps: list[Step] = []
        for step in self.steps:
            steps.append(step)
            if step.body is not None:
                steps += step.body.walk()
        return steps


def flatten(
    closed: ClosedJaxpr, nodes: Nodes, leaves: Sequence[Axes], inputs: Sequence[Axes]
) -> tuple[Program, list[Axes]]:
    """Returns the flat program of a jaxpr and the axes of its results.

    Args:
        leaves: the axes of the parameters, which come first among the jaxpr's inputs.
        inputs: the axes of the network's inputs.
    """
    origins = [Origin(False, frozenset([i])) for i in range(len(leaves))]
    origins += [Origin(True)] * len(inputs)
    return _Flattener(nodes).program(closed, [*leaves, *inputs], origins)


@dataclass(frozen=True)
class Origin:
    """What an array is computed from: the network's inputs, parameter leaves."""

    driven: bool = False
    sources: frozenset[int] = frozenset()


@dataclass
class _Flattener:
    nodes: Nodes
    count: int = 0
    repeats: int = 1
    axes: list[Axes] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    constants: list[tuple[int, Any, Axes]] = field(default_factory=list)

    def program(
        self, closed: ClosedJaxpr, inputs: Sequence[Axes], origins: Sequence[Origin]
    ) -> tuple[Program, list[Axes]]:
        slots = [self._slot(a, o) for a, o in zip(inputs, origins, strict=True)]
        outs = inline(closed.jaxpr, closed.consts, slots, self._constant, self._equation)
        program = Program(
            tuple(slots),
            tuple(self.constants),
            tuple(self.steps),
            tuple(outs),
            len(self.axes),
        )
        return program, [self._axes(out) for out in outs]

    def _slot(self, axes: Axes, origin: Origin) -> int:
        self.axes.append(axes)
        self.origins.append(origin)
        return len(self.axes) - 1

    def _origin(self, arg: Arg) -> Origin:
        return self.origins[arg] if isinstance(arg, int) else Origin()

    def _axes(self, arg: Arg) -> Axes:
        return self.axes[arg] if isinstance(arg, int) else Axes(((),) * np.ndim(arg), ())

    def _constant(self, value: Any) -> int:
        axes = fresh(self.nodes, np.shape(value))
        slot = self._slot(axes, Origin())
        self.constants.append((slot, value, axes))
        return slot

    def _equation(self, eqn: JaxprEqn, operands: list[Arg]) -> list[Arg]:
        if eqn.primitive.name == "scan":
            return self._scan(eqn, operands)
        ins = [self._axes(arg) for arg in operands]
        flow = rule_of(eqn.primitive.name).flow
        return self._emit(eqn, operands, flow(self.nodes, eqn, ins))

    def _emit(
        self,
        eqn: JaxprEqn,
        operands: list[Arg],
        outs: list[Axes],
        body: Program | None = None,
    ) -> list[Arg]:
        origins = [self._origin(arg) for arg in operands]
        origin = _joined(origins)
        results = [self._slot(axes, origin) for axes in outs]
        self.steps.append(
            Step(
                self.count,
                eqn.primitive,
                dict(eqn.params),
                tuple(operands),
                tuple(results),
                tuple(self._axes(arg) for arg in operands),
                tuple(outs),
                tuple(o.driven for o in origins),
                tuple(o.sources for o in origins),
                self.repeats,
                body,
            )
        )
        self.count += 1
        return list(results)

    def _scan(self, eqn: JaxprEqn, operands: list[Arg]) -> list[Arg]:
        """The body is walked once: what one turn unites holds for all turns."""
        nodes, params = self.nodes, eqn.params
        consts, carry = params["num_consts"], params["num_carry"]
        ins = [self._axes(arg) for arg in operands]
        for axes in ins[consts + carry :]:
            freeze(nodes, axes, [0], "a scan runs along this axis")
        turn = [select(nodes, axes, range(1, axes.ndim)) for axes in ins[consts + carry :]]
        origins = [self._origin(arg) for arg in operands]
        origins[consts : consts + carry] = [_joined(origins)] * carry
        body = _Flattener(nodes, self.count, self.repeats * params["length"])
        program, results = body.program(
            params["jaxpr"], [*ins[: consts + carry], *turn], origins
        )
        self.count = body.count
        for before, after in zip(ins[consts:], results[:carry], strict=False):
            dims = [d for d in range(before.ndim) if before.legs[d]]
            unite(nodes, before, dims, after, dims, "a scan's carry of unlike axes")
        outs = list(ins[consts : consts + carry])
        for axes in results[carry:]:
            line = fresh(nodes, (params["length"],), "a scan runs along this axis")
            outs.append(
                assemble(nodes, [line, axes], [(0, 0)] + [(1, d) for d in range(axes.ndim)])
            )
        return self._emit(eqn, operands, outs, program)


PRECISIONS = ("default", "high", "highest", "bfloat16", "tensorfloat32", "float32")


def _as_precise_as_asked(step: Step) -> Step:
    """Returns a product with the precision of `jax.default_matmul_precision`.

    It is that of the call and not of the trace; what the network itself asks for stays.
    """
    asked = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    if asked is None or step.params.get("precision", asked) is not None:
        return step
    if asked not in PRECISIONS:  # an algorithm of products: left to the call itself
        return step
    precision = (lax.Precision(asked),) * 2
    return step.with_params(precision=precision)


def _joined(origins: Sequence[Origin]) -> Origin:
    sources = frozenset().union(*(o.sources for o in origins))
    return Origin(any(o.driven for o in origins), sources)


@dataclass(frozen=True)
class Cut:
    """What of a program does not run.

    Attributes:
        dead: the steps that nothing needs any more.
        bypassed: by step index the operand that an addition passes on, its other one
            being gone.
    """

    dead: frozenset[int] = frozenset()
    bypassed: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Interpreter:
    """Runs a program on arrays whose axes may be narrower than traced.

    Attributes:
        sizes: how large axes are.
        before: called with (step, operands) ahead of each step; returns the operands to
            use instead. This is where masks and activation quantizers come in: of a layer
            whose weight is `Codes` the input may become `Activations`.
        cut: what is left out.
        around: called with (step, operands, how it runs) in the place of each step that
            multiplies no codes; returns the results.
    """

    sizes: Sizes
    before: Callable[[Step, list[Any]], list[Any]] | None = None
    cut: Cut = Cut()
    around: Around | None = None

    def run(self, program: Program, args: Sequence[Any]) -> list[Any]:
        env: list[Any] = [None] * program.slots
        for slot, value, axes in program.constants:
            env[slot] = self.sizes.narrowed(jnp.asarray(value), axes)
        for slot, value in zip(program.inputs, args, strict=True):
            env[slot] = value

        def read(arg: Arg) -> Any:
            return env[arg] if isinstance(arg, int) else jnp.asarray(arg)

        for step in program.steps:
            if step.index in self.cut.dead:
                continue
            step = _as_precise_as_asked(step)
            operands = [read(arg) for arg in step.args]
            if step.index in self.cut.bypassed:
                env[step.results[0]] = operands[self.cut.bypassed[step.index]]
                continue
            if self.before is not None:
                operands = self.before(step, operands)
            if any(isinstance(operand, Activations) for operand in operands):
                results = [multiply(step, operands, partial(self._rebuilt, step))]
            else:
                operands = [dense(operand) for operand in operands]
                if self.around is None or step.body is not None:
                    results = self._results(step, operands)
                else:
                    results = self.around(step, operands, self._results)
            for slot, value in zip(step.results, results, strict=True):
                env[slot] = value
        return [dense(read(arg)) for arg in program.outputs]

    def _results(self, step: Step, operands: list[Any]) -> list[Any]:
        if step.body is not None:
            return self._scan(step, step.body, operands)
        if any(map(is_factors, operands)):
            return [contract(step, operands)]
        return rule_of(step.primitive.name).rebuild(self.sizes, step, operands)

    def _rebuilt(self, step: Step, params: dict[str, Any], operands: list[Any]) -> Any:
        return self._results(replace(step, params=params), operands)[0]

    def _scan(self, step: Step, body: Program, operands: list[Any]) -> list[Any]:
        consts, carry = step.params["num_consts"], step.params["num_carry"]

        def turn(state: list[Any], inputs: list[Any]) -> tuple[list[Any], list[Any]]:
            results = self.run(body, [*operands[:consts], *state, *inputs])
            return results[:carry], results[carry:]

        state, ys = lax.scan(
            turn,
            operands[consts : consts + carry],
            operands[consts + carry :],
            step.params["length"],
            reverse=step.params["reverse"],
            unroll=step.params["unroll"],
        )
        return [*state, *ys]
