"""Products of a network in fewer bits than it was traced with, where hardware is faster."""

from functools import partial
from typing import Any

import jax.numpy as jnp

from jaxcompress.network import Around, Run, Step

PRECISIONS = ("float32", "bfloat16")
PRODUCTS = ("conv_general_dilated", "dot_general")


def check_precision(precision: str) -> None:
    """Raises ValueError if there is no such precision."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}; allowed: {', '.join(PRECISIONS)}")


def in_precision(precision: str, around: Around | None) -> Around | None:
    """Returns how each step of a network is run, its products in a precision.

    Args:
        precision: "float32" as traced, which a backend may run as it likes (TensorFloat-32
            on NVIDIA's cards, see `jax_default_matmul_precision`); or "bfloat16": float32
            operands of convolutions and dots are rounded to it, and so are results where
            the network leaves the type of sums open; the rest stays float32.
        around: how steps are run otherwise, as for `Network.interpret`; None: as they are.
    """
    if precision == "float32":
        return around

    def rounded(step: Step, operands: list[Any], run: Run) -> list[Any]:
        if step.primitive.name in PRODUCTS:
            run = partial(_rounded, run=run)
        return run(step, operands) if around is None else around(step, operands, run)

    return rounded


def _rounded(step: Step, operands: list[Any], run: Run) -> list[Any]:
    if any(operand.dtype != jnp.float32 for operand in operands):
        return run(step, operands)
    results = run(step, [operand.astype(jnp.bfloat16) for operand in operands])
    return [result.astype(jnp.float32) for result in results]
