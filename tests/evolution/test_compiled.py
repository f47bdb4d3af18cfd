"""Generations that compile sooner have the bits of those compiled as usual."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import jax, numpy as np
import jaxcompress as jc
from jaxcompress.evolution import Evaluation

cardinality = np.asarray([5, 16, 2, 7, 32, 3, 9, 4], np.int32)
grid = jc.Grid(cardinality)


def values(rows):
    scaled = (rows / (cardinality - 1)).astype(np.float32)
    first, second = scaled.mean(1), (1 - scaled[:, ::2]).max(1) + scaled.std(1)
    objectives = np.stack([first, second], 1)
    return Evaluation(objectives=objectives, violation=np.float32(rows[:, 0] == 4))


def ran(rates, init, ask, tell):
    state, found = init(jax.random.key(0), rates), []
    for number in range(6):
        asked, told = jax.random.split(jax.random.fold_in(jax.random.key(1), number))
        rows, state = ask(asked, state, rates)
        rows = np.asarray(rows)
        found.append(rows)
        state, _ = tell(told, rows, values(rows), state, rates)
    return found


for size in (32, 256):  # each side of `FEW`
    algorithm = jc.ALGORITHM(size, grid, 2)
    rates = algorithm.default_params
    usual = ran(rates, *map(jax.jit, (algorithm.init, algorithm.ask, algorithm.tell)))
    quick = ran(rates, *algorithm.compiled)
    assert len(np.unique(np.concatenate(usual), axis=0)) > 2 * size
    np.testing.assert_array_equal(usual, quick)
"""


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["NSGA2", "NSGA3"])
def test_the_same_bits_as_by_default(algorithm: str) -> None:
    """In a process of its own: these tests change the compiler's defaults."""
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    program = PROGRAM.replace("ALGORITHM", algorithm)
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
