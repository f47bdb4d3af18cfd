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
    used: Sequence[bool] | None = None,
) -> list[Arg]:
    """Hands out the equations of a jaxpr in order, those of jit, remat, ... included.

    Only equations from which a result is computed are handed out; literals are passed
    on into inner calls.

    Args:
        args: the slots of the jaxpr's inputs.
        constant: takes in a constant, returns its slot.
        emit: takes an equation and its operands, returns the slots of its results.
        used: which of the jaxpr's results anything needs; None: all.

    Returns:
        The slots of the jaxpr's results; of one that is not used, any.
    """
    env: dict[Var, Arg] = dict(zip(jaxpr.invars, args, strict=True))
    for var, value in zip(jaxpr.constvars, consts, strict=True):
        env[var] = constant(value)

    def read(atom: Any) -> Arg:
        if isinstance(atom, Literal):
            aval: Any = atom.aval
            return np.asarray(atom.val, aval.dtype)
        return env[atom]

    used = [True] * len(jaxpr.outvars) if used is None else used
    wanted = [atom for atom, use in zip(jaxpr.outvars, used, strict=True) if use]
    equations, needed = _live(jaxpr, wanted)
    for eqn in equations:
        operands = [read(atom) for atom in eqn.invars]
        inner = next((eqn.params[k] for k in INLINED if k in eqn.params), None)
        if eqn.primitive.name in CALLS and inner is not None:
            inner_jaxpr = inner.jaxpr if hasattr(inner, "consts") else inner
            inner_consts = inner.consts if hasattr(inner, "consts") else ()
            read_later = [var in needed for var in eqn.outvars]
            outs = inline(inner_jaxpr, inner_consts, operands, constant, emit, read_later)
        else:
            outs = emit(eqn, operands)
        for var, out in zip(eqn.outvars, outs, strict=True):
            env[var] = out
    return [read(atom) if use else 0 for atom, use in zip(jaxpr.outvars, used, strict=True)]


def _live(jaxpr: Any, wanted: Sequence[Any]) -> tuple[list[JaxprEqn], set[Var]]:
    """Returns the equations from which a result is computed, and what they read."""
    needed = {atom for atom in wanted if isinstance(atom, Var)}
    kept = []
    for eqn in reversed(jaxpr.eqns):
        if needed.intersection(eqn.outvars):
            needed |= {atom for atom in eqn.invars if isinstance(atom, Var)}
            kept.append(eqn)
    return kept[::-1], needed
