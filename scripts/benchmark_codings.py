"""How fast the entropy coders are, and the reader of `range` without constriction.

python scripts/benchmark_codings.py [--rounds 3]

Prints CPU time of one thread: MB of float32 weights a second, the best of all rounds.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import numpy as np

from jaxcompress import codings
from jaxcompress.codings import ans

COUNT = 1 << 20


def speed(call: Callable[[], Any], rounds: int) -> str:
    """Returns megabytes of float32 a second."""
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        call()
        taken.append(time.process_time() - began)
    return f"{4 * COUNT / 1e6 / min(taken):.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the entropy coders.")
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    weights = np.random.default_rng(0).laplace(size=COUNT)
    print("| bits | coding | bytes | encode | decode | decode without constriction |")
    print("|---" * 6 + "|")
    for bits in (4, 8, 16):
        most = 2 ** (bits - 1) - 1
        symbols = np.rint(weights / np.abs(weights).max() * most).astype(np.int32) + most
        for how in ("range", "huffman"):
            data = codings.encode(how, symbols, 2 * most + 1)
            decode = partial(codings.decode, how, data, 2 * most + 1, COUNT)
            encode = partial(codings.encode, how, symbols, 2 * most + 1)
            row = [f"{len(data):,}", speed(encode, rounds), speed(decode, rounds)]
            with mock.patch.object(ans, "constriction", None):
                row.append(speed(decode, rounds) if how == "range" else row[-1])
            print(f"| {bits} | {how} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
