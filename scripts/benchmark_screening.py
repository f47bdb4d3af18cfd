"""What screening finds: searches with and without, seed by seed.

python scripts/benchmark_screening.py [--seeds 0 1 2 3 4] [--searches 2]
    [--generations 25] [--population 32] [--draws 8]
    [--json docs/results/screening.json] [--table docs/results/screening.md]

The searches of `benchmark_racing.py` without racing: two from each key, with as many
evaluations; one draws several offspring for each that it evaluates.
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import numpy as np
from benchmark_racing import prepared
from published_networks import RESULTS, command, versions, write

import jaxcompress as jc


def one(seed: int, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Returns hypervolumes and evaluations of both searches, generation by generation."""
    key, evaluate, measure = prepared(seed)
    algorithm = jc.NSGA2(given.population, evaluate.space, 2)
    for draws in (1, given.draws):  # what is timed was compiled before
        jc.search(key, algorithm, evaluate, generations=2, screening=draws)
    rows = []
    for number in range(given.searches):
        found: dict[str, Any] = {"seed": seed, "examples": evaluate.examples}
        for name, draws in (("plain", 1), ("screened", given.draws)):
            history = jc.search(
                jax.random.fold_in(key, number),
                algorithm,
                evaluate,
                generations=given.generations,
                measure=measure,
                screening=draws,
            ).history
            agreed = [h.metrics.get("rank_correlation") for h in history[1:]]
            found[name] = {
                "evaluations": [h.evaluations for h in history],
                "hypervolume": [h.hypervolume for h in history],
                "seconds": history[-1].seconds,
                "rank_correlation": [rank for rank in agreed if rank is not None],
            }
        print(found, flush=True)
        rows.append(found)
    return rows


def page(found: dict[str, Any]) -> str:
    """Returns the Markdown page."""
    lines = [
        "# Screening",
        "",
        f"`{found['command']}`: digits network, channels and bits, error and size, "
        f"NSGA-II, population {found['population']}, {found['generations']} generations, "
        f"{found['rows'][0]['examples']:,} examples, {found['draws']} offspring drawn for "
        "each that is evaluated. Both searches of a row begin with the same key. *To the "
        "end of plain*: the evaluations after which the screened search has the "
        "hypervolume with which the plain one ends. *Rank correlation*: of errors as "
        "expected and as measured, the mean over generations.",
        "",
        "| seed | hypervolume, plain | screened | evaluations | screened, to the end of "
        "plain | rank correlation | seconds | screened |",
        "|---|---|---|---|---|---|---|---|",
    ]
    ratios, shares = [], []
    for row in found["rows"]:
        plain, screened = row["plain"], row["screened"]
        end, mine = plain["hypervolume"][-1], np.asarray(screened["hypervolume"])
        ratios.append(mine[-1] / end)
        spent = plain["evaluations"][-1]
        needed = None
        if mine[-1] >= end:
            needed = screened["evaluations"][int(np.argmax(mine >= end))]
        shares.append(np.inf if needed is None else needed / spent)
        cells = (
            str(row["seed"]),
            f"{end:.4f}",
            f"{mine[-1]:.4f}",
            f"{spent}",
            "never" if needed is None else f"{needed}",
            f"{np.mean(screened['rank_correlation']):.2f}",
            f"{plain['seconds']:.0f}",
            f"{screened['seconds']:.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"Ratio of hypervolumes: mean {np.mean(ratios):.4f}, deviation "
        f"{np.std(ratios, ddof=1):.4f}. Share of the evaluations that screening needs: "
        f"median {np.median(shares):.2f}.",
        "",
        ", ".join(f"{name} {number}" for name, number in found["versions"].items()) + ".",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Screening.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--searches", type=int, default=2, help="of each network")
    parser.add_argument("--generations", type=int, default=25)
    parser.add_argument("--population", type=int, default=32)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--json", type=Path, default=RESULTS / "screening.json")
    parser.add_argument("--table", type=Path, default=RESULTS / "screening.md")
    given = parser.parse_args()
    found = {
        "command": command("benchmark_screening"),
        "population": given.population,
        "generations": given.generations,
        "draws": given.draws,
        "versions": versions(),
        "rows": [row for seed in given.seeds for row in one(seed, given)],
    }
    write(given.json, found, given.table, page(found))


if __name__ == "__main__":
    main()
