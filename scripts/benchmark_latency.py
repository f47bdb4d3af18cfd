"""Compares predicted with measured latency of compact networks, on one core or one GPU.

python scripts/benchmark_latency.py [--model mlperf_resnet8] [--plans 12] [--batch-size 1]
"""

import argparse
import os
import time
from functools import partial

# Before JAX starts its threads.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import jax
import jax.numpy as jnp
import numpy as np

import jaxcompress as jc
from jaxcompress import models
from jaxcompress.data import Task
from jaxcompress.objectives import Latency, Macs, measure_latency
from jaxcompress.objectives.measure_latency import WIDTHS, fastest


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's, without ties."""
    left, right = (np.argsort(np.argsort(x)) for x in (a, b))
    count = len(a)
    return 1.0 - 6.0 * float(((left - right) ** 2).sum()) / (count * (count**2 - 1))


def main() -> None:
    parser = argparse.ArgumentParser(description="Predicted and measured latency.")
    parser.add_argument("--plans", type=int, default=12, help="random plans")
    parser.add_argument("--batch-size", type=int, default=1, help="images of a call")
    parser.add_argument("--multiple-of", type=int, default=8, help="of channel counts")
    parser.add_argument("--widths", type=float, nargs="+", default=list(WIDTHS))
    parser.add_argument("--model", default="mlperf_resnet8", help="with random weights")
    given = parser.parse_args()
    task = Task((32, 32, 3), 10)
    apply, params = models.as_function(models.create(given.model, 0, task))
    network = jc.trace(apply, params, jnp.ones((2, *task.input_shape)))
    began = time.perf_counter()
    table = measure_latency(network, batch_size=given.batch_size, widths=given.widths)
    spent = time.perf_counter() - began
    print(f"{table['device']}, batch {given.batch_size}: table in {spent:.0f} s")

    space = jc.Space(network, (jc.genes.ChannelCount(multiple_of=given.multiple_of),))
    genotypes = space.sample(jax.random.key(0), given.plans)
    x = jnp.ones((given.batch_size, *task.input_shape))
    costs = jax.jit(lambda p: jnp.stack([Latency(table)(network, p), Macs()(network, p)]))
    rows, calls = [], []
    for genotype in genotypes:
        plan = space.decode(genotype)
        rows.append(costs(plan))
        small = jc.compact(network, plan)
        calls.append(partial(jax.jit(small.apply), small.params, x))
    predicted, macs = np.asarray(rows).T
    measured = 1e3 * np.asarray(fastest(calls))
    for p, m, count in zip(predicted, measured, macs, strict=True):
        print(f"predicted {p:.3f} ms  measured {m:.3f} ms  {count:,.0f} MACs")
    print(f"Spearman's rank correlation: {rank_correlation(predicted, measured):.3f}")
    print(f"of MACs with the measured latency: {rank_correlation(macs, measured):.3f}")


if __name__ == "__main__":
    main()
