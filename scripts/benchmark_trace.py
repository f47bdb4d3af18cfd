"""Times tracing: make_jaxpr, and all of jc.trace with its tables, on one core.

python scripts/benchmark_trace.py
"""

import os
import statistics
import time
from collections.abc import Callable

# Before JAX starts its threads.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import jaxcompress as jc
from jaxcompress.data import Task
from jaxcompress.models import ResNet, as_function

REPEATS = 5


def seconds(function: Callable[[], object]) -> tuple[float, float]:
    """Returns the time of the first call and the median of the next ones.

    Of this process alone: on a core of its own the same as the time that passes.
    """
    times = []
    for _ in range(1 + REPEATS):
        began = time.process_time()
        function()
        times.append(time.process_time() - began)
    return times[0], statistics.median(times[1:])


def main() -> None:
    images = jnp.ones((2, 32, 32, 3))
    print("seconds on one core: the first call, the median of the next", REPEATS)
    for depth in (56, 110):
        task = Task((32, 32, 3), 10)
        module = nnx.eval_shape(lambda d=depth, t=task: ResNet(t, d, rngs=nnx.Rngs(0)))
        graph, state = nnx.split(module)
        zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), state)
        apply, params = as_function(nnx.merge(graph, zeros))

        def jaxpr(apply=apply, params=params) -> object:
            return jax.make_jaxpr(apply)(params, images)

        def whole(apply=apply, params=params) -> str:
            return str(jc.trace(apply, params, images))

        for name, function in (("make_jaxpr", jaxpr), ("trace and table", whole)):
            first, median = seconds(function)
            print(f"ResNet-{depth} {name:16} {first:.3f} {median:.3f}", flush=True)


if __name__ == "__main__":
    main()
