"""Weight sharing of published networks without retraining, as Khosrowshahli et al. 2025.

python scripts/weight_sharing.py [--networks resnet20_cifar10 resnet56_cifar10]
    [--population 10] [--generations 3] [--validation N] [--test N]
    [--json docs/results/weight_sharing.json] [--table docs/results/weight_sharing.md]

One gene: the number K of uniform bins of all weights of convolutions and dense layers
together. NSGA-II minimises the validation error and the number of shared values. Of what
it found, the fewest values within each of some losses of validation accuracy are kept,
neighbours among them are merged as long as no validation accuracy is lost, and the codes
are Huffman coded. The test images are read once for each row of the table. A network that
stands in the JSON file and is not named stays there. Data: see CONTRIBUTING.md.
"""

import argparse
import heapq
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxcompress as jc
from jaxcompress import data
from jaxcompress.models import as_function
from jaxcompress.models.published import PUBLISHED, load
from jaxcompress.search import Archive
from jaxcompress.transforms import (
    CODEBOOK_SIZES,
    CODEBOOKS,
    MERGE_ORDERS,
    Shared,
    merge_neighbours,
)

SHARED = Path(__file__).parents[2] / "shared/data"
WEIGHTS = os.environ.get("JAXCOMPRESS_WEIGHTS") or SHARED / "weights"
DATA = os.environ.get("TFDS_DATA_DIR") or SHARED / "tfds"
NETWORKS = ("resnet20_cifar10", "resnet56_cifar10")
PAPER = "13.72x to 14.98x"  # on CIFAR-10, from its abstract
LARGEST = CODEBOOK_SIZES[-1]
BATCH = 500


class Images:
    """Labelled images in batches; those that fill the last one have the label -1."""

    def __init__(self, inputs: np.ndarray, targets: np.ndarray) -> None:
        self.count = len(targets)
        rows = np.arange(-(-self.count // BATCH) * BATCH)
        labels = np.where(rows < self.count, targets[rows % self.count], -1)
        self.inputs = inputs[rows % self.count].reshape(-1, BATCH, *inputs.shape[1:])
        self.targets = labels.reshape(-1, BATCH)


@dataclass(frozen=True, eq=False)
class Case:
    """A network whose weights can be shared.

    Attributes:
        network: traced; space: of its one gene.
        weights: the number of weights that are shared.
        share: plan -> by path the shared weights.
        run: (codes by path, table float32 [1024], images) -> logits.
    """

    network: jc.Network
    space: jc.Space
    weights: int
    share: Callable[[jc.Plan], dict[str, Shared]]
    run: Callable[[Any, Any, Any], jax.Array]


def case_of(name: str) -> Case:
    apply, params = as_function(load(name, WEIGHTS))
    network = jc.trace(apply, params, jnp.zeros((2, 32, 32, 3)))
    space = jc.Space(network, (jc.genes.Codebook(),))
    leaves = network.leaves()
    paths = space.decode(jnp.asarray(space.dense)).codebook_sizes
    weights = {path: leaves[path] for path in paths}
    kept = {path: jnp.ones(leaf.shape, bool) for path, leaf in weights.items()}
    mean, std = jnp.asarray(PUBLISHED[name].mean), jnp.asarray(PUBLISHED[name].std)

    @jax.jit
    def share(plan: jc.Plan) -> dict[str, Shared]:
        size = jnp.asarray(next(iter(plan.codebook_sizes.values())))
        return CODEBOOKS[plan.codebook_kind].pooled(weights, size, kept, LARGEST)

    @jax.jit
    def run(codes: dict[str, jax.Array], table: jax.Array, x: jax.Array) -> jax.Array:
        values = {path: table[code] for path, code in codes.items()}
        return apply(network.unflatten(leaves | values), (x - mean) / std)

    count = sum(leaf.size for leaf in weights.values())
    return Case(network, space, count, share, run)


def correct(
    case: Case, codes: Any, table: np.ndarray, images: Images, at_least: float = 0.0
) -> int:
    """Returns how many images are classified correctly.

    Stops where it is certain that there are fewer than `at_least`, and returns a number
    below it. With the hardest images first this is soon, and changes no decision.
    """
    padded = np.zeros(LARGEST, np.float32)
    padded[: len(table)] = table
    possible = images.count
    for x, labels in zip(images.inputs, images.targets, strict=True):
        wrong = np.asarray(case.run(codes, padded, x).argmax(-1)) != labels
        possible -= int((wrong & (labels >= 0)).sum())
        if possible < at_least:
            break
    return possible


def hardest_first(case: Case, inputs: np.ndarray, targets: np.ndarray) -> Images:
    """Returns images in ascending order of the margin that the dense network has."""
    rows, zeros = np.arange(len(targets)), np.zeros(LARGEST, np.float32)
    batches = [case.run({}, zeros, x) for x in Images(inputs, targets).inputs]
    logits = np.concatenate([np.asarray(batch) for batch in batches])[: len(targets)]
    own = logits[rows, targets]
    logits[rows, targets] = -np.inf
    order = np.argsort(own - logits.max(1), kind="stable")
    return Images(inputs[order], targets[order])


def huffman_bits(counts: np.ndarray) -> int:
    """Returns the length of a Huffman coded text of symbols with these counts."""
    heap = [int(count) for count in counts]
    heapq.heapify(heap)
    bits = 0
    while len(heap) > 1:
        both = heapq.heappop(heap) + heapq.heappop(heap)
        bits += both  # the code words of all these symbols are one bit longer
        heapq.heappush(heap, both)
    return bits


def stored(case: Case, counts: np.ndarray) -> dict[str, float]:
    """Returns what weights whose values have these counts take, and the ratios."""
    bits, size = huffman_bits(counts), case.network.size
    coded = bits + 32 * len(counts)
    # And the length of every code word, without which no one can decode.
    whole = coded + 8 * len(counts) + 32 * (size - case.weights)
    return {
        "values": len(counts),
        "bits": bits / case.weights,
        "ratio": 32 * case.weights / coded,
        "whole": 32 * size / whole,
    }


def search(case: Case, images: Images, arguments: argparse.Namespace) -> Archive:
    """Returns everything evaluated: (validation error, number of shared values)."""
    sizes = np.geomspace(4, LARGEST, arguments.population).round().astype(np.int32)
    initial = (sizes - CODEBOOK_SIZES[0])[:, None]
    algorithm = jc.NSGA2(arguments.population, case.space, 2, initial=initial)
    ask, tell = jax.jit(algorithm.ask), jax.jit(algorithm.tell)
    params, key = algorithm.default_params, jax.random.key(arguments.seed)
    state, archive = algorithm.init(key, params), Archive(1, 2)
    for generation in range(arguments.generations):
        ask_key, tell_key = jax.random.split(jax.random.fold_in(key, generation))
        genotypes, state = ask(ask_key, state, params)
        new = archive.unknown(np.asarray(genotypes))
        for genotype in new:
            codes, book = shared(case, genotype)
            wrong = images.count - correct(case, codes, book, images)
            row = np.asarray([[wrong / images.count, len(book)]], np.float32)
            archive.add(genotype[None], row, np.zeros(1, np.float32))
            print(f"  K {genotype[0] + 2}: {len(book)} values, {wrong} wrong", flush=True)
        objectives, violation = map(jnp.asarray, archive.lookup(np.asarray(genotypes)))
        evaluation = jc.Evaluation(objectives=objectives, violation=violation)
        state, _ = tell(tell_key, genotypes, evaluation, state, params)
    return archive


def shared(case: Case, genotype: np.ndarray) -> tuple[dict[str, jax.Array], np.ndarray]:
    """Returns the codes by path and the codebook of one K."""
    found = case.share(case.space.decode(jnp.asarray(genotype)))
    one = next(iter(found.values()))
    codes = {path: weight.codes for path, weight in found.items()}
    return codes, np.asarray(one.codebook)[: int(one.used)]


def row(
    case: Case, genotype: np.ndarray, validation: Images, test: Images, order: str
) -> dict[str, Any]:
    """Returns what one K gives, before and after the merge."""
    codes, book = shared(case, genotype)
    line = np.concatenate([np.ravel(code) for code in codes.values()])
    counts = np.bincount(line, minlength=len(book))

    def score(table: np.ndarray, at_least: float) -> float:
        return float(correct(case, codes, table, validation, max(at_least, 0.0)))

    merged = merge_neighbours(book, counts, score, order)
    table = merged.codebook[merged.places]
    after = np.bincount(merged.places, weights=counts).astype(np.int64)

    def measured(table: np.ndarray, counts: np.ndarray) -> dict[str, float]:
        accuracy = {
            "validation": correct(case, codes, table, validation) / validation.count,
            "test": correct(case, codes, table, test) / test.count,
        }
        return stored(case, counts) | accuracy

    found = {
        "size": int(genotype[0]) + CODEBOOK_SIZES[0],
        "before": measured(book, counts),
        "after": measured(table, after),
        "evaluations": merged.evaluations,
    }
    print(f"  {line_of('', found)}", flush=True)
    return found


def entry(name: str, dataset: data.Dataset, arguments: argparse.Namespace) -> Any:
    """Returns the results of one network."""
    print(name, flush=True)
    began = time.process_time()
    case = case_of(name)
    count, seen = arguments.validation, arguments.test
    validation = hardest_first(
        case, dataset.validation.inputs[:count], dataset.validation.targets[:count]
    )
    test = Images(dataset.test.inputs[:seen], dataset.test.targets[:seen])
    zeros = np.zeros(LARGEST, np.float32)
    dense = {
        "validation": correct(case, {}, zeros, validation) / validation.count,
        "test": correct(case, {}, zeros, test) / test.count,
    }
    print(f"  dense: {dense}", flush=True)
    archive = search(case, validation, arguments)
    front = archive.front()
    front = front[np.argsort(archive.objectives[front, 1])]
    errors = archive.objectives[front, 0]
    chosen = []
    for points in arguments.losses:
        near = front[errors <= 1 - dense["validation"] + points / 100 + 1e-6]
        if near.size and near[0] not in chosen:
            chosen.append(near[0])
    return {
        "network": name,
        "weights": case.weights,
        "parameters": case.network.size,
        "validation_images": validation.count,
        "test_images": test.count,
        "dense": dense,
        "evaluations": len(archive),
        "front": archive.objectives[front].tolist(),
        "rows": [
            row(case, archive.genotypes[i], validation, test, arguments.order)
            for i in chosen
        ],
        "cpu_seconds": time.process_time() - began,
    }


def line_of(name: str, found: dict[str, Any]) -> str:
    """Returns a line of the table."""
    cells = [name, str(found["size"])]
    for when in ("before", "after"):
        part = found[when]
        cells += [
            str(part["values"]),
            f"{100 * part['validation']:.2f}",
            f"{100 * part['test']:.2f}",
            f"{part['bits']:.3f}",
            f"{part['ratio']:.2f}x",
            f"{part['whole']:.2f}x",
        ]
    return f"| {' | '.join(cells)} |"


def page(results: dict[str, Any]) -> str:
    """Returns the Markdown page."""
    columns = ("values", "validation, %", "test, %", "bits a weight", "ratio", "whole")
    heads = ["network", "K", *columns, *(f"merged: {column}" for column in columns)]
    setting = results["setting"]
    lines = [
        "# Weight sharing without retraining",
        "",
        f"`{setting['command']}`",
        "",
        "One codebook for all weights of convolutions and dense layers: the means of K",
        "uniform bins, K in 2..1024 found by NSGA-II, codes Huffman coded; then neighbours",
        f"merged ({setting['order'].replace('_', ' ')}) while no validation accuracy is",
        "lost. *ratio* is 32 bits a weight over the Huffman coded bits and 32 bits a",
        f"value, as in Khosrowshahli et al. 2025 (arXiv 2501.03095), who report {PAPER}",
        "for their networks on CIFAR-10. *whole* is the same for all parameters: with a",
        "byte for the length of each code word, and 32 bits for each bias and each entry",
        "of a normalisation.",
        "",
        "Validation images are held out of the training split here, but the published",
        "networks were trained on that whole split: they have seen them, so choices by",
        "validation accuracy are more optimistic than for a network of one's own. The test",
        "images are read once for each row, before and after the merge.",
        "",
    ]
    for found in results["entries"]:
        dense = found["dense"]
        lines.append(
            f"- {found['network']}: {found['weights']:,} weights, "
            f"{found['parameters']:,} parameters; dense "
            f"{100 * dense['validation']:.2f} % of "
            f"{found['validation_images']:,} validation images and "
            f"{100 * dense['test']:.2f} % of {found['test_images']:,} test images; "
            f"{found['evaluations']} evaluations of the search and "
            f"{sum(row['evaluations'] for row in found['rows'])} of the merges, "
            f"{found['cpu_seconds']:.0f} CPU seconds"
        )
    lines += ["", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [line_of(e["network"], r) for e in results["entries"] for r in e["rows"]]
    versions = ", ".join(f"{name} {number}" for name, number in setting["versions"].items())
    return "\n".join([*lines, "", f"{versions}."]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Weight sharing of published networks.")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=[*NETWORKS])
    parser.add_argument("--population", type=int, default=10)
    parser.add_argument("--generations", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--losses", type=float, nargs="+", default=[0.5, 1.0, 5.0])
    parser.add_argument("--order", choices=MERGE_ORDERS, default=MERGE_ORDERS[0])
    parser.add_argument("--validation", type=int, help="images; all held-out ones if None")
    parser.add_argument("--test", type=int, help="images; all if None")
    results = Path("docs/results")
    parser.add_argument("--json", type=Path, default=results / "weight_sharing.json")
    parser.add_argument("--table", type=Path, default=results / "weight_sharing.md")
    arguments = parser.parse_args()
    entries = {}
    if arguments.json.exists():
        old = json.loads(arguments.json.read_text())["entries"]
        entries = {found["network"]: found for found in old}
    dataset = data.load("cifar10", data_dir=DATA)
    for name in arguments.networks:
        entries[name] = entry(name, dataset, arguments)
    packages = ("jax", "jaxlib", "numpy")
    setting = {
        "command": shlex.join(["python", "scripts/weight_sharing.py", *sys.argv[1:]]),
        "order": arguments.order,
        "losses": arguments.losses,
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in packages},
    }
    ordered = [entries[name] for name in NETWORKS if name in entries]
    found = {"setting": setting, "entries": ordered}
    for path in (arguments.json, arguments.table):
        path.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    arguments.table.write_text(page(found))


if __name__ == "__main__":
    main()
