"""The smallest files of published networks without any training, by a joint search.

python scripts/without_retraining.py [--networks resnet20_cifar10 resnet56_cifar10]
    [--population 16] [--generations 12] [--images 1000] [--losses 0.5 1 5]
    [--json docs/results/without_retraining.json]
    [--table docs/results/without_retraining.md]

One gene for each layer: how many values its weights share. NSGA-II minimises the
validation error and the bytes of the file with range coded symbols. The error of the search
is that on the validation images which the dense network is least sure of; of what it
found, the smallest file within each loss of accuracy on all validation images is kept. The
same choice among plans with equal sizes for all layers stands beside it. The test images
are read once for each row, by the loaded file. Data: see CONTRIBUTING.md.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from weight_sharing import DATA, NETWORKS, WEIGHTS, Images, correct, hardest_first

import jaxcompress as jc
from jaxcompress import data
from jaxcompress.models import as_function
from jaxcompress.models.published import PUBLISHED, load
from jaxcompress.search import ladder

SIZES = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 32, 48, 64, 96, 128)


def searched(
    network: jc.Network, space: jc.Space, images: Images, arguments: argparse.Namespace
) -> jc.Result:
    count = arguments.images
    x = images.inputs.reshape(-1, *images.inputs.shape[2:])[:count]
    y = images.targets.ravel()[:count]
    objectives = (jc.objectives.Error(), jc.objectives.Size("range"))
    evaluate = jc.Evaluator(network, space, objectives, inputs=x, targets=y, chunk=1)
    initial = ladder(space, (len(SIZES),))[-arguments.population :]
    algorithm = jc.NSGA2(arguments.population, space, len(objectives), initial=initial)
    return jc.search(
        jax.random.key(arguments.seed),
        algorithm,
        evaluate,
        generations=arguments.generations,
        on_generation=lambda done: print(f"  {done}", flush=True),
    )


class Judge:
    """All validation images, and files; every genotype is measured once."""

    def __init__(
        self, network: jc.Network, space: jc.Space, validation: Images, test: Images
    ) -> None:
        self.network, self.space = network, space
        self.validation, self.test = validation, test
        self._known: dict[bytes, float] = {}

    def accuracy(self, genotype: np.ndarray) -> float:
        key = genotype.tobytes()
        if key not in self._known:
            small = jc.compact(self.network, self.space.decode(genotype))
            run = jax.jit(lambda x, params: small.apply(params, x))
            hits = correct(lambda x: run(x, small.params), self.validation)
            self._known[key] = hits / self.validation.count
        return self._known[key]

    def smallest(
        self, genotypes: Iterable[np.ndarray], at_least: float
    ) -> np.ndarray | None:
        """Returns the first genotype that is as accurate, of some in order of size."""
        return next((g for g in genotypes if self.accuracy(g) >= at_least), None)

    def row(self, genotype: np.ndarray, dense: int) -> dict[str, Any]:
        plan = self.space.decode(genotype)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "network.jcz"
            small = jc.compact(self.network, plan)
            size = jc.save(path, small, coding="range").parameters
            hits = correct(jc.load(path), self.test)
        return {
            "sizes": [int(k) for k in plan.codebook_sizes.values()],
            "validation": self.accuracy(genotype),
            "test": hits / self.test.count,
            "bytes": size,
            "ratio": dense / size,
        }


def entry(name: str, dataset: data.Dataset, arguments: argparse.Namespace) -> Any:
    """Returns the results of one network."""
    print(name, flush=True)
    began = time.process_time()
    how = PUBLISHED[name]
    dataset = replace(dataset, mean=how.mean, std=how.std)
    apply, params = as_function(load(name, WEIGHTS))
    network = jc.trace(apply, params, jnp.zeros((2, *dataset.input_shape)))
    space = jc.Space(network, (jc.genes.Codebook(SIZES, scope="layer"),))
    run = jax.jit(lambda x: network.apply(network.params, x))
    split = dataset.validation
    inputs = np.asarray(dataset.normalize(split.inputs))
    validation = hardest_first(run, inputs, split.targets)
    test = Images(np.asarray(dataset.normalize(dataset.test.inputs)), dataset.test.targets)
    accuracy = correct(run, validation) / validation.count
    with tempfile.TemporaryDirectory() as directory:
        file = jc.save(Path(directory) / "dense.jcz", network)
    result = searched(network, space, validation, arguments)
    judge = Judge(network, space, validation, test)
    by_size = np.argsort(result.objectives[:, 1])
    candidates = {
        "a size for each layer": result.genotypes[by_size],
        "one size for all layers": np.arange(len(SIZES))[:, None]
        * np.ones((1, len(space)), np.int32),
    }
    rows = []
    for points in arguments.losses:
        for label, genotypes in candidates.items():
            found = judge.smallest(genotypes.astype(np.int32), accuracy - points / 100)
            if found is not None:
                rows.append({"loss": points, "what": label})
                rows[-1] |= judge.row(found, file.parameters)
                print(f"  {rows[-1]}", flush=True)
    return {
        "network": name,
        "parameters": network.size,
        "dense": {
            "validation": accuracy,
            "test": correct(run, test) / test.count,
            "bytes": file.parameters,
        },
        "evaluations": len(result.archive),
        "images": arguments.images,
        "rows": rows,
        "cpu_seconds": time.process_time() - began,
    }


def page(entries: list[dict[str, Any]]) -> str:
    """Returns the Markdown page."""
    heads = (
        "network|loss allowed, points|codebooks|values|validation, %|test, %|bytes|ratio"
    )
    lines = [
        "# The smallest files without retraining",
        "",
        "`python scripts/without_retraining.py`",
        "",
        "How many values the weights of each convolution and dense layer share (uniform",
        f"bins, their means; {SIZES[0]} to {SIZES[-1]}) was searched by NSGA-II, seed 0;",
        "the symbols are range coded. *Bytes* are the parameter part of the file: values,",
        "symbols, their tables, biases, normalisations and header; the ratio is the dense",
        "file's over it. Of the front, the smallest file within a loss of validation",
        "accuracy; for comparison the smallest with equally many values in every layer.",
        "Weight sharing over the whole network, as in the literature:",
        "[weight_sharing.md](weight_sharing.md).",
        "",
        "The published networks were trained on the validation images too: choices by",
        "validation accuracy are more optimistic than for a network of one's own. The test",
        "images are read once for each row, by the loaded file.",
        "",
    ]
    for found in entries:
        dense = found["dense"]
        lines.append(
            f"- {found['network']}: {found['parameters']:,} parameters, {dense['bytes']:,} "
            f"bytes; dense {100 * dense['validation']:.2f} % of the validation and "
            f"{100 * dense['test']:.2f} % of the test images; {found['evaluations']} "
            f"evaluations on {found['images']:,} images, {found['cpu_seconds']:.0f} CPU "
            "seconds"
        )
    columns = heads.split("|")
    lines += ["", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for found in entries:
        for row in found["rows"]:
            sizes = row["sizes"]
            cells = (
                found["network"],
                f"{row['loss']:g}",
                row["what"],
                f"{min(sizes)} to {max(sizes)}" if len(set(sizes)) > 1 else f"{sizes[0]}",
                f"{100 * row['validation']:.2f}",
                f"{100 * row['test']:.2f}",
                f"{row['bytes']:,}",
                f"{row['ratio']:.2f}x",
            )
            lines.append(f"| {' | '.join(cells)} |")
    versions = {"python": platform.python_version()}
    versions |= {name: version(name) for name in ("jax", "jaxlib", "numpy")}
    text = ", ".join(f"{name} {number}" for name, number in versions.items())
    return "\n".join([*lines, "", f"{text}."]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Small files without training.")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=[*NETWORKS])
    parser.add_argument("--population", type=int, default=16)
    parser.add_argument("--generations", type=int, default=12)
    parser.add_argument("--images", type=int, default=1000, help="of the search")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--losses", type=float, nargs="+", default=[0.5, 1.0, 5.0])
    results = Path("docs/results")
    parser.add_argument("--json", type=Path, default=results / "without_retraining.json")
    parser.add_argument("--table", type=Path, default=results / "without_retraining.md")
    arguments = parser.parse_args()
    entries = {}
    if arguments.json.exists():
        old = json.loads(arguments.json.read_text())
        entries = {found["network"]: found for found in old}
    dataset = data.load("cifar10", data_dir=DATA)
    for name in arguments.networks:
        entries[name] = entry(name, dataset, arguments)
        ordered = [entries[other] for other in NETWORKS if other in entries]
        for path in (arguments.json, arguments.table):
            path.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(ordered, indent=1) + "\n")
        arguments.table.write_text(page(ordered))


if __name__ == "__main__":
    main()
