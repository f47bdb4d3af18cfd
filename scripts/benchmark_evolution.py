"""Times a generation of several engines side by side, and prints what docs/results quotes.

    pip install -e ".[bench]"
    python scripts/benchmark_evolution.py --out docs/results/evolution_speed.json

ZDT1 (2 objectives, 30 variables) and DTLZ2 (3 and 4 objectives) on a grid of 1,025 values,
for the real-valued engines on their own real numbers. Every measurement is a process of its
own, and the engines take turns, so that a machine that slows down slows down all of them.
An engine whose packages contradict those of jaxcompress runs from another environment:
`--python evox=/path/to/python`. One that is not installed, fails or runs out of its time is
in the table with the reason.

What is timed: `jaxcompress` and `pymoo` ask and tell, without the evaluation; the other
engines have no such cut and are timed with it, as is `jaxcompress, scanned`, where a whole
run is one program. Compilation is init, ask and tell together (scanned: init and the run),
by the clock and in CPU seconds of all threads. Memory is the peak of the process less what
it had after its imports, so it includes what the compiler took. What a file of an earlier
run holds of other sizes and engines is kept.
"""

# The other engines need not be installed where this is checked.
# pyright: reportMissingImports=false

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ENGINES = ("jaxcompress", "jaxcompress, scanned", "pymoo", "qdax", "evox")
PACKAGES = {"jaxcompress": "jax", "jaxcompress, scanned": "jax"}
TIMES = ("ms", "compile_s", "compile_cpu_s")
SCANNED = 20  # generations in one program


@dataclass(frozen=True)
class Seconds:
    """Seconds by the clock, and of all threads of this process together."""

    clock: float = 0.0
    cpu: float = 0.0

    @classmethod
    def now(cls) -> "Seconds":
        return cls(time.perf_counter(), time.process_time())

    def __add__(self, other: "Seconds") -> "Seconds":
        return Seconds(self.clock + other.clock, self.cpu + other.cpu)

    def __sub__(self, other: "Seconds") -> "Seconds":
        return Seconds(self.clock - other.clock, self.cpu - other.cpu)


class Clock:
    """Runs a generation again and again for some seconds, after the first two."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.baseline = _peak()

    def measure(
        self, generation: Callable[[], float], compilation: Seconds
    ) -> dict[str, Any]:
        """Calls `generation`, which returns the seconds that count.

        Returns:
            The median of the seconds that count, their number, compilation, memory.
        """
        for _ in range(2):
            generation()
        began, counted = time.perf_counter(), []
        while len(counted) < 3 or time.perf_counter() - began < self.seconds:
            counted.append(generation())
        return {
            "ms": 1e3 * statistics.median(counted),
            "generations": len(counted),
            "compile_s": compilation.clock,
            "compile_cpu_s": compilation.cpu,
            "peak_mb": _peak() - self.baseline,
        }


def _peak() -> float:
    """The most memory this process ever had, in MB."""
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def variables(m: int) -> int:
    return 30 if m == 2 else m + 9


def _compiled(jitted: Any, *arguments: Any) -> tuple[Any, Seconds]:
    """Returns the program and what it took to trace and compile it."""
    began = Seconds.now()
    program = jitted.lower(*arguments).compile()
    return program, Seconds.now() - began


def run_jaxcompress(population: int, m: int, seconds: float, scanned: bool) -> Any:
    import jax

    from jaxcompress.evolution import NSGA2, compiled, problems

    clock = Clock(seconds)
    problem = problems.zdt1() if m == 2 else problems.dtlz2(m)
    algorithm = NSGA2(population, problem.grid, m)
    params, key = algorithm.default_params, jax.random.key(0)
    init, took = _compiled(compiled(algorithm.init), key, params)
    state = init(key, params)
    keys = iter(jax.random.split(jax.random.key(1), 100_000))

    if scanned:

        def step(state, key):
            ask_key, tell_key = jax.random.split(key)
            rows, state = algorithm.ask(ask_key, state, params)
            return algorithm.tell(tell_key, rows, problem(rows), state, params)

        def several(key, state):
            return jax.lax.scan(step, state, jax.random.split(key, SCANNED))[0]

        run, more = _compiled(compiled(several), key, state)

        def generation() -> float:
            nonlocal state
            began = time.perf_counter()
            state = jax.block_until_ready(run(next(keys), state))
            return (time.perf_counter() - began) / SCANNED

        return clock.measure(generation, took + more)

    evaluate, _ = _compiled(jax.jit(problem), state.genotypes)
    told = evaluate(state.genotypes)
    ask, ask_took = _compiled(compiled(algorithm.ask), key, state, params)
    tell, tell_took = _compiled(
        compiled(algorithm.tell), key, state.genotypes, told, state, params
    )

    def generation() -> float:
        nonlocal state
        ask_key, tell_key = next(keys), next(keys)
        began = time.perf_counter()
        rows, state = jax.block_until_ready(ask(ask_key, state, params))
        asked = time.perf_counter()
        told = jax.block_until_ready(evaluate(rows))
        tick = time.perf_counter()
        state, _ = jax.block_until_ready(tell(tell_key, rows, told, state, params))
        return time.perf_counter() - tick + asked - began

    return clock.measure(generation, took + ask_took + tell_took)


def run_pymoo(population: int, m: int, seconds: float) -> Any:
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.problems import get_problem

    clock = Clock(seconds)
    problem: Any = (
        get_problem("zdt1") if m == 2 else get_problem("dtlz2", n_var=m + 9, n_obj=m)
    )
    algorithm = NSGA2(pop_size=population)
    algorithm.setup(problem, termination=("n_gen", 1_000_000), seed=0, verbose=False)

    def generation() -> float:
        began = time.perf_counter()
        asked: Any = algorithm.ask()
        stop = time.perf_counter()
        algorithm.evaluator.eval(problem, asked)
        tick = time.perf_counter()
        algorithm.tell(infills=asked)
        return time.perf_counter() - tick + stop - began

    return clock.measure(generation, Seconds())


def run_qdax(population: int, m: int, seconds: float) -> Any:
    from functools import partial

    import jax
    import jax.numpy as jnp
    from qdax.baselines.nsga2 import NSGA2
    from qdax.core.emitters.mutation_operators import (
        polynomial_crossover,
        polynomial_mutation,
    )
    from qdax.core.emitters.standard_emitters import MixingEmitter

    clock = Clock(seconds)
    d = variables(m)

    def score(x, key):
        if m == 2:
            g = 1 + 9 * x[:, 1:].mean(axis=1)
            objectives = [x[:, 0], g * (1 - jnp.sqrt(x[:, 0] / g))]
        else:
            g = 1 + ((x[:, m - 1 :] - 0.5) ** 2).sum(axis=1)
            angle = x[:, : m - 1] * jnp.pi / 2
            objectives = []
            for i in range(m):
                value = g * jnp.prod(jnp.cos(angle[:, : m - 1 - i]), axis=1)
                objectives.append(value * (jnp.sin(angle[:, m - 1 - i]) if i else 1.0))
        return -jnp.stack(objectives, axis=1), {}

    mutation = partial(
        polynomial_mutation, proportion_to_mutate=1 / d, eta=20.0, minval=0.0, maxval=1.0
    )
    crossover = partial(polynomial_crossover, proportion_var_to_change=0.5)
    emitter = MixingEmitter(mutation, crossover, 0.5, population)
    algorithm = NSGA2(score, emitter, lambda repertoire: {})
    key = jax.random.key(0)
    x = jax.random.uniform(key, (population, d))
    repertoire, emitted, _ = algorithm.init(x, population, key)
    update, took = _compiled(jax.jit(algorithm.update), repertoire, emitted, key)
    keys = iter(jax.random.split(jax.random.key(1), 100_000))

    def generation() -> float:
        nonlocal repertoire, emitted
        began = time.perf_counter()
        found = jax.block_until_ready(update(repertoire, emitted, next(keys)))
        repertoire, emitted = found[0], found[1]
        return time.perf_counter() - began

    return clock.measure(generation, took)


def run_evox(population: int, m: int, seconds: float) -> Any:
    import torch
    from evox.algorithms import NSGA2
    from evox.core import Problem
    from evox.problems.numerical import DTLZ2
    from evox.workflows import StdWorkflow

    clock = Clock(seconds)

    class ZDT1(Problem):
        def evaluate(self, pop):
            g = 1 + 9 * pop[:, 1:].mean(dim=1)
            return torch.stack([pop[:, 0], g * (1 - torch.sqrt(pop[:, 0] / g))], dim=1)

    d = variables(m)
    problem = ZDT1() if m == 2 else DTLZ2(d=d, m=m)
    algorithm = NSGA2(population, m, lb=torch.zeros(d), ub=torch.ones(d))
    workflow = StdWorkflow(algorithm, problem)
    workflow.init_step()

    def generation() -> float:
        began = time.perf_counter()
        workflow.step()
        return time.perf_counter() - began

    return clock.measure(generation, Seconds())


def child(engine: str, population: int, m: int, seconds: float) -> dict[str, Any]:
    """Measures one engine in this process."""
    if engine.startswith("jaxcompress"):
        measured = run_jaxcompress(population, m, seconds, engine.endswith("scanned"))
    else:
        measured = {"pymoo": run_pymoo, "qdax": run_qdax, "evox": run_evox}[engine](
            population, m, seconds
        )
    return measured | {"version": metadata.version(PACKAGES.get(engine, engine))}


def measure(engine: str, population: int, m: int, arguments: Any) -> dict[str, Any]:
    """Measures one engine in a process of its own; says why where that fails."""
    pythons = dict(item.split("=", 1) for item in arguments.python)
    command = [pythons.get(engine, sys.executable), __file__, "--child", engine]
    command += ["--populations", str(population), "--objectives", str(m)]
    command += ["--seconds", str(arguments.seconds)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=arguments.cap, check=False
        )
    except subprocess.TimeoutExpired:
        return {"reason": f"over {arguments.cap:g} s"}
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    missing = "ModuleNotFoundError" in last
    return {"reason": "not installed" if missing else last[:80]}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the median over the processes, and the spread of the time."""
    good = [run for run in runs if "ms" in run]
    if not good:
        return runs[-1]
    whole = {k: statistics.median(r[k] for r in good) for k in TIMES}
    times = [run["ms"] for run in good]
    return whole | {
        "ms_least": min(times),
        "ms_most": max(times),
        "peak_mb": max(run["peak_mb"] for run in good),
        "processes": len(good),
        "lost": [run["reason"] for run in runs if "reason" in run],
        "version": good[0]["version"],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the measurements as a Markdown table."""
    lines = [
        "| population | objectives | engine | ms a generation (spread) | pymoo's time "
        "over it | compilation, s | the same, CPU s | peak memory, MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        start = f"| {row['population']:,} | {row['objectives']} | {row['engine']} |"
        if "ms" not in row:
            lines.append(f"{start} {row['reason']} | | | | |")
            continue
        pymoo = next(
            (
                r.get("ms")
                for r in rows
                if r["engine"] == "pymoo" and _place(r) == _place(row)
            ),
            None,
        )
        ratio = f"{pymoo / row['ms']:.1f}" if pymoo else ""
        lines.append(
            f"{start} {row['ms']:.2f} ({row['ms_least']:.2f} to {row['ms_most']:.2f})"
            f"{''.join(f'; one {reason}' for reason in row['lost'])} | "
            f"{ratio} | {row['compile_s']:.1f} | {row['compile_cpu_s']:.1f} | "
            f"{row['peak_mb']:.0f} |"
        )
    return "\n".join(lines)


def _place(row: dict[str, Any]) -> tuple[int, int]:
    return row["population"], row["objectives"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Time a generation of several engines.")
    parser.add_argument("--child", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    sizes = [100, 1_000, 5_000, 20_000]
    parser.add_argument("--populations", type=int, nargs="+", default=sizes)
    parser.add_argument("--objectives", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--repeats", type=int, default=3, help="processes of each")
    parser.add_argument("--seconds", type=float, default=3.0, help="timed in each")
    parser.add_argument("--cap", type=float, default=120.0, help="seconds a process has")
    parser.add_argument("--python", nargs="*", default=[], metavar="ENGINE=PATH")
    parser.add_argument("--out", type=Path, help="JSON file for the measurements")
    arguments = parser.parse_args()
    if arguments.child:
        (population,), (m,) = arguments.populations, arguments.objectives
        print(json.dumps(child(arguments.child, population, m, arguments.seconds)))
        return
    rows: list[dict[str, Any]] = []
    given_up: dict[tuple[str, int], str] = {}
    for population in sorted(arguments.populations):
        for m in arguments.objectives:
            runs: dict[str, list[dict[str, Any]]] = {e: [] for e in arguments.engines}
            for _ in range(arguments.repeats):
                for engine in arguments.engines:
                    if (engine, m) in given_up:
                        continue
                    runs[engine].append(measure(engine, population, m, arguments))
                    if "reason" in runs[engine][-1]:
                        reason = runs[engine][-1]["reason"]
                        if reason.startswith("over"):
                            reason = f"{reason} at population {population:,}"
                        given_up[engine, m] = reason
            for engine in arguments.engines:
                found = runs[engine] or [{"reason": given_up[engine, m]}]
                place = {"population": population, "objectives": m, "engine": engine}
                rows.append(place | summary(found))
            print(table(rows[-len(arguments.engines) :]), flush=True)
    if arguments.out:
        rows = merged(arguments.out, rows)
        machine = {"cores": os.cpu_count(), "system": platform.platform()}
        whole = {"machine": machine, "rows": rows}
        arguments.out.write_text(json.dumps(whole, indent=1) + "\n")
    print("\n" + table(rows))


def merged(path: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the rows of a file with new ones in their places, in order."""
    before = json.loads(path.read_text())["rows"] if path.exists() else []
    whole = {(*_place(row), ENGINES.index(row["engine"])): row for row in [*before, *rows]}
    return [whole[place] for place in sorted(whole)]


if __name__ == "__main__":
    main()
