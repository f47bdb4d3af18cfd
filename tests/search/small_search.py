"""A search small enough to be run on several numbers of devices; one process of it.

python small_search.py FILE GENERATIONS ROWS [CHECKPOINTS] [--raced] --coordinator ..
    --processes .. --process-id ..
"""

import argparse
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

import jaxcompress as jc
from jaxcompress import objectives
from jaxcompress.processes import is_first, joined
from jaxcompress.search import tried_alone


@cache
def setting(mesh: Mesh | None, raced: bool) -> tuple[jc.NSGA2, jc.Evaluator]:
    """Returns a search of channels and bits of a convolution and a dense layer.

    Both are wide enough to run at several widths.

    Args:
        raced: for `Racing`: the errors of wrong labels, in more batches.
    """
    rng = np.random.default_rng(0)
    shapes = {"kernel": (3, 3, 1, 24), "dense": (24, 3)}
    params = {n: rng.normal(size=s).astype(np.float32) for n, s in shapes.items()}
    inputs = rng.normal(size=(60, 6, 6, 1)).astype(np.float32)

    def apply(params: Any, x: Any) -> Any:
        numbers = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(
            x, params["kernel"], (1, 1), "SAME", dimension_numbers=numbers
        )
        return jnp.maximum(x, 0.0).mean((1, 2)) @ params["dense"]

    targets = np.asarray(apply(params, inputs)).argmax(1).astype(np.int32)
    network = jc.trace(apply, params, inputs[:2])
    kinds = (jc.genes.ChannelCount(), jc.genes.WeightBits((2, 3, 4, 6, 8)))
    space = jc.Space(network, kinds)
    quality = objectives.Error("top1" if raced else "cross_entropy")
    goals = (quality, objectives.Size("dense"))
    splits = 8 if raced else 3
    evaluate = jc.Evaluator(
        network, space, goals, inputs=inputs, targets=targets, splits=splits, mesh=mesh
    )
    assert evaluate.products.narrow
    return jc.NSGA2(8, space, 2), evaluate


def small_search(
    generations: int,
    mesh: Mesh | None,
    checkpoint_dir: Path | None = None,
    raced: bool = False,
) -> jc.Result:
    algorithm, evaluate = setting(mesh, raced)
    return jc.search(
        jax.random.key(0),
        algorithm,
        jc.Racing(evaluate) if raced else evaluate,
        generations=generations,
        screening=4 if raced else 1,
        alone=tried_alone(evaluate, 30) if raced else None,
        checkpoint_dir=checkpoint_dir,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="One process of a small search.")
    parser.add_argument("file", type=Path)
    parser.add_argument("generations", type=int)
    parser.add_argument("rows", type=int, help='devices along "population"')
    parser.add_argument("checkpoints", type=Path, nargs="?")
    parser.add_argument("--raced", action="store_true", help="screened, guided")
    parser.add_argument("--coordinator")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--process-id", type=int)
    given = parser.parse_args()
    with joined(given.coordinator, given.processes, given.process_id, detect=False):
        columns = jax.device_count() // given.rows
        mesh = jax.make_mesh((given.rows, columns), ("population", "data"))
        found = small_search(given.generations, mesh, given.checkpoints, given.raced)
        if is_first():
            np.savez(
                given.file,
                devices=jax.device_count(),
                archive=found.archive.genotypes,
                genotypes=found.genotypes,
                objectives=found.objectives,
                forwards=found.history[-1].forwards,
            )


if __name__ == "__main__":
    main()
