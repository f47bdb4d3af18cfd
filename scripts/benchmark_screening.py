"""What screening finds: searches without, with, and guided, seed by seed.

python scripts/benchmark_screening.py [--seeds 0 1 2 3 4] [--searches 2]
    [--generations 25] [--population 32] [--draws 8] [--alone 64]
    [--json docs/results/screening.json] [--table docs/results/screening.md]

The searches of `benchmark_racing.py` without racing: three from each key, in as many
generations; two draw several offspring for each that they evaluate, one of them guided by
what each gene harms alone.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from benchmark_racing import prepared
from published_networks import RESULTS, command, versions, write

import jaxcompress as jc
from jaxcompress.search import tried_alone


def one(seed: int, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Returns hypervolumes and evaluations of all searches, generation by generation."""
    key, evaluate, measure = prepared(seed)
    evaluate(evaluate.space.dense[None])  # what is timed was compiled before
    ran, began = evaluate.forwards, time.perf_counter()
    alone = tried_alone(evaluate, given.alone)
    trial = {
        "evaluations": -(-(evaluate.forwards - ran) // evaluate.work),
        "seconds": time.perf_counter() - began,
        "examples": alone.examples,
    }
    algorithm = jc.NSGA2(given.population, evaluate.space, 2)
    ways: dict[str, dict[str, Any]] = {
        "plain": {},
        "screened": {"screening": given.draws},
        "guided": {"screening": given.draws, "alone": alone},
    }
    for how in ways.values():
        jc.search(key, algorithm, evaluate, generations=2, **how)
    rows = []
    for number in range(given.searches):
        found: dict[str, Any] = {"seed": seed, "examples": evaluate.examples}
        for name, how in ways.items():
            history = jc.search(
                jax.random.fold_in(key, number),
                algorithm,
                evaluate,
                generations=given.generations,
                measure=measure,
                **how,
            ).history
            agreed = [h.metrics.get("rank_correlation") for h in history[1:]]
            before = trial if "alone" in how else {"evaluations": 0, "seconds": 0.0}
            found[name] = {
                **before,
                "evaluations": [before["evaluations"] + h.evaluations for h in history],
                "hypervolume": [h.hypervolume for h in history],
                "seconds": before["seconds"] + history[-1].seconds,
                "rank_correlation": [rank for rank in agreed if rank is not None],
            }
        print(found, flush=True)
        rows.append(found)
    return rows


def mean_of(ranks: list[float]) -> str:
    """Returns their mean in words: where nothing was screened there are none."""
    return f"{np.mean(ranks):.2f}" if ranks else "none"


def page(found: dict[str, Any]) -> str:
    """Returns the Markdown page."""
    lines = [
        "# Screening",
        "",
        f"`{found['command']}`: digits network, channels and bits, error and size, "
        f"NSGA-II, population {found['population']}, {found['generations']} generations, "
        f"{found['rows'][0]['examples']:,} examples, {found['draws']} offspring drawn for "
        "each that is evaluated. All searches of a row begin with the same key. *Guided*: "
        f"by what each gene harms alone, told by {found['rows'][0]['guided']['examples']} "
        "examples; that counts as evaluations of as much work, and as time. *To the "
        "end of plain*: the evaluations after which a search has the "
        "hypervolume with which the plain one ends. *Rank correlation*: of errors as "
        "expected and as measured, the mean over generations.",
        "",
        "| seed | hypervolume, plain | screened | guided | evaluations | screened, to the "
        "end of plain | guided | rank correlation, screened | guided | seconds, plain | "
        "screened | guided |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    names = ("screened", "guided")
    ratios: dict[str, list[float]] = {name: [] for name in names}
    shares: dict[str, list[float]] = {name: [] for name in names}
    for row in found["rows"]:
        plain = row["plain"]
        end, spent = plain["hypervolume"][-1], plain["evaluations"][-1]
        needed = []
        for name in names:
            volumes = np.asarray(row[name]["hypervolume"])
            ratios[name].append(volumes[-1] / end)
            reached = np.flatnonzero(volumes >= end)
            needed.append(row[name]["evaluations"][reached[0]] if len(reached) else None)
            shares[name].append(np.inf if needed[-1] is None else needed[-1] / spent)
        cells = (
            str(row["seed"]),
            *(f"{row[name]['hypervolume'][-1]:.4f}" for name in ("plain", *names)),
            f"{spent}",
            *("never" if count is None else f"{count}" for count in needed),
            *(mean_of(row[name]["rank_correlation"]) for name in names),
            *(f"{row[name]['seconds']:.0f}" for name in ("plain", *names)),
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for name in names:
        lines.append(
            f"{name.capitalize()}: ratio of hypervolumes: mean "
            f"{np.mean(ratios[name]):.4f}, deviation {np.std(ratios[name], ddof=1):.4f}; "
            f"share of the evaluations that it needs: median {np.median(shares[name]):.2f}."
        )
        lines.append("")
    lines.append(
        ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    )
    return "\n".join(lines) + ".\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Screening.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--searches", type=int, default=2, help="of each network")
    parser.add_argument("--generations", type=int, default=25)
    parser.add_argument("--population", type=int, default=32)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--alone", type=int, default=64, help="examples that try genes")
    parser.add_argument("--json", type=Path, default=RESULTS / "screening.json")
    parser.add_argument("--table", type=Path, default=RESULTS / "screening.md")
    given = parser.parse_args()
    found = {
        "command": command("benchmark_screening"),
        "population": given.population,
        "generations": given.generations,
        "draws": given.draws,
        "alone": given.alone,
        "versions": versions(),
        "rows": [row for seed in given.seeds for row in one(seed, given)],
    }
    write(given.json, found, given.table, page(found))


if __name__ == "__main__":
    main()
