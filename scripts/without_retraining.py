"""The smallest files of published networks without any training, by a joint search.

python scripts/without_retraining.py [--networks resnet20_cifar10 resnet56_cifar10]
    [--population 32] [--generations 16] [--images 1000] [--losses 0.5 1 5]
    [--json docs/results/without_retraining.json]
    [--table docs/results/without_retraining.md]

Genes: the number of values that all weights share, the share of zero weights of each layer,
the channels of each group, the blocks that stay. NSGA-II minimises the validation error and
the bytes of the file with range coded symbols, starting from shared values alone. The error
of the search is that on the validation images which the dense network is least sure of; of
what it found, the smallest file within each loss of accuracy on all validation images is
kept. The same choice among shared values alone stands beside it. The test images are read
once for each row, by the loaded file. Data: see CONTRIBUTING.md.
"""

import argparse
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from published_networks import (
    DATA,
    NETWORKS,
    RESULTS,
    Images,
    Published,
    command,
    correct,
    earlier,
    machine,
    machine_of,
    published,
    saved,
    write,
)

import jaxcompress as jc
from jaxcompress import data

SIZES = tuple(np.unique(np.geomspace(16, 256, 32).round().astype(int)).tolist())
ZEROS = tuple(step / 20 for step in range(13))


def joint_space(network: jc.Network) -> jc.Space:
    kinds = (
        jc.genes.KeepBlock(),
        jc.genes.ChannelCount(jc.importance.l2(network)),
        jc.genes.Sparsity(ZEROS, scope="layer"),
        jc.genes.Codebook(SIZES),
    )
    return jc.Space(network, kinds)


def shared_alone(space: jc.Space) -> np.ndarray:
    """Returns the genotypes that share values and change nothing else, smallest first."""
    rows = np.repeat(space.dense[None], len(SIZES), 0)
    (gene,) = np.arange(len(space))[space.kinds[-1]]
    rows[:, gene] = np.arange(len(SIZES))
    return rows


def searched(
    network: jc.Network, space: jc.Space, images: Images, arguments: argparse.Namespace
) -> jc.Result:
    x, y = images.first(arguments.images)
    objectives = (jc.objectives.Error(), jc.objectives.Size("range"))
    evaluate = jc.Evaluator(network, space, objectives, inputs=x, targets=y, chunk=1)
    initial = shared_alone(space)[: arguments.population]
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

    def __init__(self, given: Published, space: jc.Space) -> None:
        self.network, self.space = given.network, space
        self.validation, self.test = given.validation, given.test
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
        small = jc.compact(self.network, plan)
        size, file = saved(small, "range")
        hits = correct(file, self.test)
        shared = [c for c in small.coding.values() if c.codebook is not None]
        masks = [c.nonzero for c in shared if c.nonzero is not None]
        zeros = sum(int((~mask).sum()) for mask in masks)
        return {
            "values": int(next(iter(plan.codebook_sizes.values()))),
            "zeros": zeros / sum(c.codes.size for c in shared if c.codes is not None),
            "parameters": small.size,
            "macs": small.macs,
            "validation": self.accuracy(genotype),
            "test": hits / self.test.count,
            "bytes": size,
            "ratio": dense / size,
        }


def entry(name: str, dataset: data.Dataset, arguments: argparse.Namespace) -> Any:
    """Returns the results of one network."""
    began = time.process_time()
    given = published(name, dataset)
    network, accuracy = given.network, given.dense["validation"]
    space = joint_space(network)
    dense, _ = saved(network, "range")
    result = searched(network, space, given.validation, arguments)
    judge = Judge(given, space)
    candidates = {
        "joint": result.genotypes[np.argsort(result.objectives[:, 1])],
        "shared values alone": shared_alone(space),
    }
    rows = []
    for points in arguments.losses:
        for label, genotypes in candidates.items():
            found = judge.smallest(genotypes, accuracy - points / 100)
            if found is not None:
                rows.append({"loss": points, "what": label})
                rows[-1] |= judge.row(found, dense)
                print(f"  {rows[-1]}", flush=True)
    return {
        "network": name,
        "command": command("without_retraining"),
        **machine(),
        "parameters": network.size,
        "dense": given.dense | {"bytes": dense},
        "evaluations": len(result.archive),
        "images": arguments.images,
        "rows": rows,
        "cpu_seconds": time.process_time() - began,
    }


def page(results: dict[str, Any]) -> str:
    """Returns the Markdown page."""
    entries = results["entries"]
    heads = (
        *("network", "loss allowed, points", "what", "values", "zeros, %", "parameters"),
        *("MACs", "validation, %", "test, %", "bytes", "ratio"),
    )
    lines = [
        "# The smallest files without retraining",
        "",
        f"*joint*: how many values all weights share ({SIZES[0]} to {SIZES[-1]} uniform",
        f"bins, their means), the share of zeros of each layer (up to {ZEROS[-1]:g}, by",
        "magnitude), the channels of each group (by l2 norm) and which residual blocks",
        "stay, searched by NSGA-II, which started from shared values alone. *shared values",
        "alone*: these without the search, as in the literature (see",
        "[weight_sharing.md](weight_sharing.md)). Symbols are range coded. *Bytes* are the",
        "parameter part of the file: values, symbols, zeros, their tables, biases,",
        "normalisations and header; the ratio is the dense file's over it. Each row is the",
        "smallest file within a loss of validation accuracy.",
        "",
        "The published networks were trained on the validation images too: choices by",
        "validation accuracy are more optimistic than for a network of one's own. The test",
        "images are read once for each row, by the loaded file.",
        "",
    ]
    for found in entries:
        dense = found["dense"]
        lines.append(
            f"- {found['network']}, `{found['command']}`: {found['parameters']:,} "
            f"parameters, {dense['bytes']:,} "
            f"bytes; dense {100 * dense['validation']:.2f} % of the validation and "
            f"{100 * dense['test']:.2f} % of the test images; {found['evaluations']} "
            f"evaluations on {found['images']:,} images, {found['cpu_seconds']:.0f} CPU "
            f"seconds; {machine_of(found)}"
        )
    lines += ["", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for found in entries:
        for row in found["rows"]:
            cells = (
                found["network"],
                f"{row['loss']:g}",
                row["what"],
                str(row["values"]),
                f"{100 * row['zeros']:.1f}",
                f"{row['parameters']:,}",
                f"{row['macs']:,}",
                f"{100 * row['validation']:.2f}",
                f"{100 * row['test']:.2f}",
                f"{row['bytes']:,}",
                f"{row['ratio']:.2f}x",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Small files without training.")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=[*NETWORKS])
    parser.add_argument("--population", type=int, default=32)
    parser.add_argument("--generations", type=int, default=16)
    parser.add_argument("--images", type=int, default=1000, help="of the search")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--losses", type=float, nargs="+", default=[0.5, 1.0, 5.0])
    parser.add_argument("--json", type=Path, default=RESULTS / "without_retraining.json")
    parser.add_argument("--table", type=Path, default=RESULTS / "without_retraining.md")
    arguments = parser.parse_args()
    entries = earlier(arguments.json)
    dataset = data.load("cifar10", data_dir=DATA)
    for name in arguments.networks:
        entries[name] = entry(name, dataset, arguments)
    ordered = [entries[name] for name in NETWORKS if name in entries]
    found = {"entries": ordered}
    write(arguments.json, found, arguments.table, page(found))


if __name__ == "__main__":
    main()
