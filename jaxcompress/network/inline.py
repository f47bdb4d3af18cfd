"""Running through a jaxpr with every inner call in its place."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax.extend.core import JaxprEqn, Literal, Var

Arg = int | np.ndarray  # a slot, or a literal scalar

INLINED = "jaxpr call_jaxpr fun_jaxpr".split()
CALLS = set(
    """jit pjit closed_call core_call remat remat2 checkpoint custom_jvp_call
    custom_vjp_call custom_vjp_call_jaxpr custom_lin""".split()
)


def inline(
    jaxpr: Any,
    consts: Sequence[Any],
    args: Sequence[Arg],
    constant: Callable[[Any], int],
    emit: Callable[[JaxprEqn, list[Arg]], Sequence[Arg]],
) -> list[Arg]:
    """Hands out the equations of a jaxpr in order, those of jit, remat, ... included.

    Only equations from which a result is computed are handed out; literals are passed
    on into inner calls.

    Args:
        args: the slots of the jaxpr's inputs.
        constant: takes in a constant, returns its slot.
        emit: takes an equation and its operands, returns the slots of its results.

    Returns:
        The slots of the jaxpr's results.
    """
    env: dict[Var, Arg] = dict(zip(jaxpr.invars, args, strict=True))
    for var, value in zip(jaxpr.constvars, consts, strict=True):
        env[var] = constant(value)

    def read(atom: Any) -> Arg:
        if isinstance(atom, Literal):
            aval: Any = atom.aval
            return np.asarray(atom.val, aval.dtype)
        return env[atom]

    for eqn in _live(jaxpr):
        operands = [read(atom) for atom in eqn.invars]
        inner = next((eqn.params[k] for k in INLINED if k in eqn.params), None)
        if eqn.primitive.name in CALLS and inner is not None:
            inner_jaxpr = inner.jaxpr if hasattr(inner, "consts") else inner
            inner_consts = inner.consts if hasattr(inner, "consts") else ()
            outs = inline(inner_jaxpr, inner_consts, operands, constant, emit)
        else:
            outs = emit(eqn, operands)
        for var, out in zip(eqn.outvars, outs, strict=True):
            env[var] = out
    return [read(atom) for atom in jaxpr.outvars]


def _live(jaxpr: Any) -> list[JaxprEqn]:
    """Returns the equations from which a result is computed."""
    needed = {atom for atom in jaxpr.outvars if isinstance(atom, Var)}
    kept = []
    for eqn in reversed(jaxpr.eqns):
        if needed.intersection(eqn.outvars):
            needed |= {atom for atom in eqn.invars if isinstance(atom, Var)}
            kept.append(eqn)
    return kept[::-1]
