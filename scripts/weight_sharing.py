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
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from published_networks import (
    DATA,
    NETWORKS,
    RESULTS,
    Images,
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
from jaxcompress import codings, data
from jaxcompress.compress import merge
from jaxcompress.transforms import CODEBOOK_SIZES, MERGE_ORDERS

PAPER = "13.72x to 14.98x"  # on CIFAR-10, from its abstract


def found_by_search(
    network: jc.Network, space: jc.Space, images: Images, arguments: argparse.Namespace
) -> jc.Result:
    count = arguments.population
    sizes = np.geomspace(4, CODEBOOK_SIZES[-1], count).round().astype(np.int32)
    initial = (sizes - CODEBOOK_SIZES[0])[:, None]
    x, y = images.first(images.count)
    objectives = (jc.objectives.Error(), jc.objectives.Values())
    # One at a time: a larger chunk is filled up with copies where few are new.
    evaluate = jc.Evaluator(network, space, objectives, inputs=x, targets=y, chunk=1)
    algorithm = jc.NSGA2(count, space, len(objectives), initial=initial)
    return jc.search(
        jax.random.key(arguments.seed),
        algorithm,
        evaluate,
        generations=arguments.generations,
        on_generation=lambda done: print(f"  {done}", flush=True),
    )


def row(
    network: jc.Network,
    plan: jc.Plan,
    validation: Images,
    test: Images,
    order: str,
) -> dict[str, Any]:
    """Returns what one K gives, before and after the merge."""
    small = jc.compact(network, plan)

    @jax.jit
    def run(params: Any, x: jax.Array) -> jax.Array:
        return small.apply(params, x)

    def score(params: Any, at_least: float) -> float:
        return float(correct(lambda x: run(params, x), validation, max(at_least, 0.0)))

    def measured(member: jc.Network) -> dict[str, float]:
        coding = (member.coding or {}).values()
        shared = [c for c in coding if c.codes is not None and c.codebook is not None]
        line = np.concatenate([np.ravel(c.codes) for c in shared]).astype(np.int64)
        values = shared[0].alphabet
        bits = 8 * len(codings.encode("huffman", line, values))
        dense, _ = saved(network, "huffman")
        parameters, file = saved(member, "huffman")
        return {
            "values": values,
            "validation": score(member.params, 0.0) / validation.count,
            "test": correct(file, test) / test.count,
            "bits": bits / line.size,
            "ratio": 32 * line.size / (bits + 32 * values),
            "bytes": parameters,
            "file_ratio": dense / parameters,
        }

    member, merged = merge(small, score, order)
    found = {
        "size": int(next(iter(plan.codebook_sizes.values()))),
        "before": measured(small),
        "after": measured(member),
        "evaluations": merged.evaluations,
    }
    print(*lines_of("", found), sep="\n", flush=True)
    return found


def entry(
    name: str, dataset: data.Dataset, arguments: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Yields the results of one network, after each row those so far."""
    began = time.process_time()
    given = published(name, dataset, arguments.validation, arguments.test)
    network, validation, test, dense = (
        given.network,
        given.validation,
        given.test,
        given.dense,
    )
    space = jc.Space(network, (jc.genes.Codebook(),))
    result = found_by_search(network, space, validation, arguments)
    errors, values = result.objectives.T
    chosen = []
    for points in arguments.losses:
        near = errors <= 1 - dense["validation"] + points / 100 + 1e-6
        if near.any():
            chosen.append(np.flatnonzero(near)[np.argmin(values[near])])
    leaves = network.leaves()
    plans = [space.decode(result.genotypes[i]) for i in dict.fromkeys(chosen)]
    found = {
        "network": name,
        "command": command("weight_sharing"),
        **machine(),
        "weights": sum(leaves[path].size for path in plans[0].codebook_sizes),
        "parameters": network.size,
        "validation_images": validation.count,
        "test_images": test.count,
        "dense": dense,
        "evaluations": len(result.archive),
        "front": result.objectives.tolist(),
    }
    rows = []
    for plan in plans:
        rows.append(row(network, plan, validation, test, arguments.order))
        yield found | {"rows": rows, "cpu_seconds": time.process_time() - began}


def lines_of(name: str, found: dict[str, Any]) -> list[str]:
    """Returns the lines of the table for one K."""
    lines = []
    for when in ("before", "after"):
        part = found[when]
        cells = (
            name,
            str(found["size"]),
            "yes" if when == "after" else "no",
            str(part["values"]),
            f"{100 * part['validation']:.2f}",
            f"{100 * part['test']:.2f}",
            f"{part['bits']:.3f}",
            f"{part['ratio']:.2f}x",
            f"{part['bytes']:,}",
            f"{part['file_ratio']:.2f}x",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def page(results: dict[str, Any]) -> str:
    """Returns the Markdown page."""
    heads = (
        *("network", "K", "merged", "values", "validation, %", "test, %"),
        *("bits a weight", "ratio", "bytes of the file", "ratio of the file"),
    )
    setting = results["setting"]
    lines = [
        "# Weight sharing without retraining",
        "",
        "One codebook for all weights of convolutions and dense layers: the means of K",
        "uniform bins, K in 2..1024 found by NSGA-II, codes Huffman coded; then neighbours",
        f"merged ({setting['order'].replace('_', ' ')}) as long as no validation accuracy",
        "is lost. *Ratio* is 32 bits a weight over the bits of the encoder's output (code",
        "lengths included) and 32 bits a value, as in Khosrowshahli et al. 2025 (arXiv",
        f"2501.03095), who report {PAPER} for their networks on CIFAR-10. The file is",
        "the parameter part of a saved network (every tensor with a Huffman code of its",
        "own, one codebook; biases, normalisations and header included), its ratio that of",
        "the dense network's file to it.",
        "",
        "Validation images are held out of the training split here, but the published",
        "networks were trained on that whole split: they have seen them, so choices by",
        "validation accuracy are more optimistic than for a network of one's own. The test",
        "images are read once for each row before and after the merge, by the loaded file.",
        "",
    ]
    for found in results["entries"]:
        dense = found["dense"]
        lines.append(
            f"- {found['network']}, `{found['command']}`: {found['weights']:,} weights, "
            f"{found['parameters']:,} parameters; dense "
            f"{100 * dense['validation']:.2f} % of "
            f"{found['validation_images']:,} validation images and "
            f"{100 * dense['test']:.2f} % of {found['test_images']:,} test images; "
            f"{found['evaluations']} evaluations of the search and "
            f"{sum(row['evaluations'] for row in found['rows'])} of the merges, "
            f"{found['cpu_seconds']:.0f} CPU seconds; {machine_of(found)}"
        )
    lines += ["", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for found in results["entries"]:
        for one in found["rows"]:
            lines += lines_of(found["network"], one)
    return "\n".join(lines) + "\n"


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
    parser.add_argument("--json", type=Path, default=RESULTS / "weight_sharing.json")
    parser.add_argument("--table", type=Path, default=RESULTS / "weight_sharing.md")
    arguments = parser.parse_args()
    entries = earlier(arguments.json)
    dataset = data.load("cifar10", data_dir=DATA)
    setting = {"order": arguments.order, "losses": arguments.losses}
    for name in arguments.networks:
        for so_far in entry(name, dataset, arguments):
            entries[name] = so_far
            ordered = [entries[one] for one in NETWORKS if one in entries]
            found = {"setting": setting, "entries": ordered}
            write(arguments.json, found, arguments.table, page(found))


if __name__ == "__main__":
    main()
