"""What racing saves, and what it costs: searches with and without, seed by seed.

python scripts/benchmark_racing.py [--seeds 0 1 2 3 4] [--searches 4]
    [--generations 25] [--population 32] [--confidence 0.85]
    [--json docs/results/racing.json] [--table docs/results/racing.md]

A network for handwritten digits is trained, its shared weights are adapted to random
plans, and the joint space of channels and bits is searched twice from each of some keys:
by the evaluator and by `Racing` over it. Searches that differ in anything part ways soon,
and end some per cent apart by chance alone: hence many. Examples are training and
validation images together, as many as there are: only the search is compared, and no
accuracy is reported. The hypervolume is that of each front on all examples.
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


def prepared(seed: int) -> tuple[jax.Array, jc.Evaluator, Measure]:
    """Returns a key, the evaluator of a trained network, and how a front is measured."""
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
    return key, evaluate, measure


def one(seed: int, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Returns hypervolumes and forwards of both searches, from each key."""
    key, evaluate, measure = prepared(seed)
    algorithm = jc.NSGA2(given.population, evaluate.space, 2)
    for way in (evaluate, jc.Racing(evaluate)):  # what is timed was compiled before
        jc.search(key, algorithm, way, generations=2)
    rows = []
    for number in range(given.searches):
        found: dict[str, Any] = {"seed": seed, "examples": evaluate.examples}
        own = jax.random.fold_in(key, number)
        for name, way in (
            ("plain", evaluate),
            ("raced", jc.Racing(evaluate, given.confidence)),
        ):
            before = way.forwards
            result = jc.search(
                own, algorithm, way, generations=given.generations, measure=measure
            )
            found[name] = {
                "forwards": way.forwards - before,
                "evaluations": len(result.archive),
                "seconds": result.history[-1].seconds,
                "hypervolume": measure(np.asarray(evaluate(result.genotypes).objectives)),
            }
        print(found, flush=True)
        rows.append(found)
    return rows


def page(found: dict[str, Any]) -> str:
    """Returns the Markdown page."""
    heads = (
        *("seed", "hypervolume", "raced", "ratio"),
        *("evaluations", "raced", "forwards", "raced", "share", "seconds", "raced"),
    )
    lines = [
        "# Racing",
        "",
        f"`{found['command']}`: digits network, channels and bits, error and size, "
        f"NSGA-II, population {found['population']}, {found['generations']} generations, "
        f"{found['rows'][0]['examples']:,} examples, those it was trained on among them. "
        "*Forwards* are examples run, over all individuals. The two searches of a row "
        "begin with the same key; the hypervolume is of the front on all examples. "
        f"Confidence {found['confidence']}.",
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
            f"{plain['seconds']:.0f}",
            f"{raced['seconds']:.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    plain = [row["plain"]["hypervolume"] for row in found["rows"]]
    seeds = [row["seed"] for row in found["rows"]]
    by_seed = [
        f"{np.mean(np.asarray(ratios)[np.equal(seeds, seed)]):.4f} ({seed})"
        for seed in dict.fromkeys(seeds)
    ]
    lines += [
        "",
        f"Mean ratio of hypervolumes {_mean(ratios)}; mean share of forwards an evaluation "
        f"{_mean(shares)}. Ratios by seed: {', '.join(by_seed)}. Of searches without "
        "racing, the ratio of one to the next "
        f"from another key: {_mean(np.divide(plain[1:], plain[:-1])[_same(found)])}.",
        "",
        ", ".join(f"{name} {number}" for name, number in found["versions"].items()) + ".",
    ]
    return "\n".join(lines) + "\n"


def _mean(values: Any) -> str:
    """Returns a mean, its standard error and the deviation in words."""
    if len(values) < 2:
        return f"{np.mean(values):.4f}" if len(values) else "(one search each)"
    deviation = np.std(values, ddof=1)
    error = deviation / np.sqrt(len(values))
    return f"{np.mean(values):.4f} +- {error:.4f} (deviation {deviation:.4f})"


def _same(found: dict[str, Any]) -> np.ndarray:
    """Returns which rows are followed by another of the same network."""
    seeds = [row["seed"] for row in found["rows"]]
    return np.equal(seeds[1:], seeds[:-1])


def main() -> None:
    parser = argparse.ArgumentParser(description="Racing.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--searches", type=int, default=4, help="of each network")
    parser.add_argument("--generations", type=int, default=25)
    parser.add_argument("--confidence", type=float, default=0.85)
    parser.add_argument("--population", type=int, default=32)
    parser.add_argument("--json", type=Path, default=RESULTS / "racing.json")
    parser.add_argument("--table", type=Path, default=RESULTS / "racing.md")
    given = parser.parse_args()
    found = {
        "command": command("benchmark_racing"),
        "population": given.population,
        "generations": given.generations,
        "confidence": given.confidence,
        "versions": versions(),
        "rows": [row for seed in given.seeds for row in one(seed, given)],
    }
    write(given.json, found, given.table, page(found))


if __name__ == "__main__":
    main()
