"""What racing saves, and what it costs: searches with and without, seed by seed.

python scripts/benchmark_racing.py [--seeds 0 1 2 3 4] [--generations 25]
    [--population 32] [--json docs/results/racing.json] [--table docs/results/racing.md]

A network for handwritten digits is trained, its shared weights are adapted to random
plans, and the joint space of channels and bits is searched twice from the same key: by the
evaluator and by `Racing` over it. Examples are training and validation images together, as
many as there are: only the search is compared, and no accuracy is reported. The hypervolume
is that of each front on all examples.
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import numpy as np
from published_networks import RESULTS, command, versions, write

import jaxcompress as jc
from jaxcompress import data, models, training
from jaxcompress.search import Measure

SPLITS = 16


def one(seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """Returns hypervolumes and forwards of both searches."""
    key = jax.random.key(seed)
    digits = data.load("digits")
    module = models.create("digits_cnn", key, digits)
    module, _ = training.train(key, module, digits, jc.TrainConfig(epochs=20))
    apply, params = models.as_function(module)
    network = jc.trace(apply, params, digits.normalize(digits.validation.inputs[:2]))
    scores = jc.importance.l2(network)
    kinds = (jc.genes.ChannelCount(scores, minimum=2), jc.genes.WeightBits((2, 3, 4, 6, 8)))
    space = jc.Space(network, kinds)
    shared = jc.adapt(key, network, space, digits, jc.TuneConfig(epochs=4))
    splits = (digits.train, digits.validation)
    inputs = np.concatenate([np.asarray(digits.normalize(s.inputs)) for s in splits])
    targets = np.concatenate([np.asarray(s.targets) for s in splits])
    evaluate = jc.Evaluator(
        network,
        space,
        (jc.objectives.Error(), jc.objectives.Size()),
        inputs=inputs,
        targets=targets,
        params=shared,
        splits=SPLITS,
    )
    measure = Measure((0, 1), (0.2, float(np.log2(4 * network.size))), logged=(1,))
    algorithm = jc.NSGA2(given.population, space, 2)
    found: dict[str, Any] = {"seed": seed, "examples": len(targets)}
    for name, way in (("plain", evaluate), ("raced", jc.Racing(evaluate))):
        before = way.forwards
        result = jc.search(
            key, algorithm, way, generations=given.generations, measure=measure
        )
        found[name] = {
            "forwards": way.forwards - before,
            "evaluations": len(result.archive),
            "hypervolume": measure(np.asarray(evaluate(result.genotypes).objectives)),
        }
    print(found, flush=True)
    return found


def page(found: dict[str, Any]) -> str:
    """Returns the Markdown page."""
    heads = (
        *("seed", "hypervolume", "raced", "ratio"),
        *("evaluations", "raced", "forwards", "raced", "share"),
    )
    lines = [
        "# Racing",
        "",
        f"`{found['command']}`: digits network, channels and bits, error and size, "
        f"NSGA-II, population {found['population']}, {found['generations']} generations, "
        f"{found['rows'][0]['examples']:,} examples. *Forwards* are examples run, over all "
        "individuals. Both searches begin with the same key; the hypervolume is of the "
        "front on all examples.",
        "",
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
    ]
    ratios, shares = [], []
    for row in found["rows"]:
        plain, raced = row["plain"], row["raced"]
        ratios.append(raced["hypervolume"] / plain["hypervolume"])
        used = raced["forwards"] / raced["evaluations"]
        shares.append(used / (plain["forwards"] / plain["evaluations"]))
        cells = (
            str(row["seed"]),
            f"{plain['hypervolume']:.4f}",
            f"{raced['hypervolume']:.4f}",
            f"{ratios[-1]:.4f}",
            f"{plain['evaluations']}",
            f"{raced['evaluations']}",
            f"{plain['forwards']:,}",
            f"{raced['forwards']:,}",
            f"{shares[-1]:.2f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"Mean ratio of hypervolumes {np.mean(ratios):.4f} (deviation "
        f"{np.std(ratios, ddof=1) if len(ratios) > 1 else 0:.4f}); mean share of forwards "
        f"an evaluation {np.mean(shares):.2f}.",
        "",
        ", ".join(f"{name} {number}" for name, number in found["versions"].items()) + ".",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Racing.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--generations", type=int, default=25)
    parser.add_argument("--population", type=int, default=32)
    parser.add_argument("--json", type=Path, default=RESULTS / "racing.json")
    parser.add_argument("--table", type=Path, default=RESULTS / "racing.md")
    given = parser.parse_args()
    found = {
        "command": command("benchmark_racing"),
        "population": given.population,
        "generations": given.generations,
        "versions": versions(),
        "rows": [one(seed, given) for seed in given.seeds],
    }
    write(given.json, found, given.table, page(found))


if __name__ == "__main__":
    main()
