"""Compilation of generations on their own."""

from collections.abc import Callable
from typing import Any

import jax

FEW = 64  # rows, up to which it takes longer to optimise than it saves
MANY = 512  # rows, above which the usual ones stay: 4,096 run 1.7 times as fast by them


def compiled(function: Callable[..., Any], rows: int | None = None) -> Any:
    """Returns `jax.jit` of a function, quicker to compile on CPU.

    At a lower level of the compiler a generation takes somewhat longer and compiles
    sooner; genotypes of NSGA-II and NSGA-III are the same bit for bit (tested). Not for
    use inside another `jit`.

    Args:
        rows: genotypes that one call is about; few of them take milliseconds at any level,
            for very many nothing is changed. None: not known.
    """
    if jax.default_backend() != "cpu" or (rows is not None and rows > MANY):
        return jax.jit(function)
    options = {
        "xla_backend_optimization_level": 0 if rows is not None and rows <= FEW else 1,
        "xla_cpu_use_fusion_emitters": False,
        "xla_cpu_parallel_codegen_split_count": 1,
    }
    return jax.jit(function, compiler_options=options)
