"""Systems of the literature and ours: one network, one budget, one table and one picture.

python scripts/compare_systems.py [--systems genecai emomc ga_channels weight_sharing joint]
    [--network digits_cnn] [--preset small] [--seeds 0] [--population 40] [--generations 12]
    [--train-examples N] [--validation-examples N] [--train-epochs 60] [--members 10]
    [--losses 1 5] [--runs runs/systems] [--json docs/results/systems.json]
    [--table docs/results/systems.md] [--picture docs/results/systems.png]

Every system is a bundled configuration or a file, run as it is but for what all share: the
network and its weights, the images and their split, population and generations, the seed,
the number of members that are saved, and the reference point. The preset is taken of those
that have it. Results are written after each run; one that stands in the JSON file with the
same setting is not run again, and one that was stopped goes on. Data: see CONTRIBUTING.md.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import jax
import numpy as np
from published_networks import RESULTS, command, versions
from rich.console import Console

import jaxcompress as jc
from jaxcompress import pipeline
from jaxcompress.config import Config, TrainConfig
from jaxcompress.config_file import bundled, find, presets, read
from jaxcompress.inspect import described
from jaxcompress.report import Member, plot_fronts
from jaxcompress.whole_file import write_whole

SYSTEMS = ("genecai", "emomc", "ga_channels", "weight_sharing", "joint")
NETWORKS = {  # model, weights, data, error of the reference point
    "digits_cnn": ("digits_cnn", None, "digits", 0.2),
    "resnet8": ("mlperf_resnet8", "resnet8_cifar10", "cifar10", 0.4),
    "resnet20": ("resnet20", "resnet20_cifar10", "cifar10", 0.4),
}
SIZES = ("packed", "entropy coded", "parameters", "file")
# What the papers report, each on networks and training of its own.
PAPERS = {
    "emomc": "VGG-16 on CIFAR-10, 0.3 % of accuracy lost: size 6.1x (all weights stored), "
    "7.4x (CSR), energy 8.9x to 14.0x by dataflow (Wang et al. 2021, tables II and III)",
    "weight_sharing": "CIFAR-10: 13.72x to 14.98x (Khosrowshahli et al. 2025, abstract)",
}


def configured(name: str, seed: int, given: argparse.Namespace) -> Config:
    """Returns a system's configuration with what all systems share."""
    path = find(name)
    preset = given.preset if given.preset in presets(path) else None
    tree = read(path, preset=preset).model_dump()
    model, weights, data, reference = NETWORKS[given.network]
    tree |= {"model": model, "weights": weights, "seed": seed}
    tree["data"] |= {
        "name": data,
        "train_examples": given.train_examples,
        "validation_examples": given.validation_examples,
    }
    tree["train"] = TrainConfig(epochs=given.train_epochs).model_dump()
    tree["search"] |= {"population": given.population, "generations": given.generations}
    tree["report"] |= {
        "members": given.members,
        "baselines": False,
        "reference_error": reference,
    }
    return Config(**tree)


def entry(name: str, config: Config, place: Path) -> dict[str, Any]:
    """Runs a system, or goes on with it, and returns what it found."""
    wall, cpu = time.perf_counter(), time.process_time()
    console = Console(width=160)
    if (place / "config.yaml").exists():
        outcome = pipeline.resume(config, place, console)
        if outcome is None:
            raise ValueError(f"{place} is finished, and not in the results; remove it")
    else:
        outcome = pipeline.run(config, place, console)

    def row(member: Member) -> dict[str, Any]:
        sizes = described(jc.load(place / member.path))["sizes"]
        return member.row() | {size: sizes[size] for size in SIZES}

    leaves = jc.load(place / outcome.dense.path).leaves
    digest = hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in leaves))
    return {
        "system": name,
        "seed": config.seed,
        "config": config.model_dump(mode="json"),
        "checkpoint": digest.hexdigest()[:16],
        "hypervolume": outcome.hypervolumes[pipeline.OURS],
        "reference": list(outcome.reference),
        "evaluations": len(outcome.result.archive),
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "dense": row(outcome.dense),
        "front": [row(member) for member in outcome.front],
    }


def smallest(entry: dict[str, Any], points: float) -> dict[str, Any] | None:
    """Returns the smallest file of a front within a loss of validation accuracy."""
    most = entry["dense"]["validation_error"] + points / 100 + 1e-9
    near = [row for row in entry["front"] if row["validation_error"] <= most]
    return min(near, key=lambda row: row["size"], default=None)


def page(results: dict[str, Any]) -> str:
    """Returns the Markdown page."""
    setting, entries = results["setting"], results["entries"]
    dense, reference = entries[0]["dense"], entries[0]["reference"]
    names = list(dict.fromkeys(each["system"] for each in entries))
    lines = [
        "# Systems of the literature and ours",
        "",
        f"`{setting['command']}`, on {setting['device']}.",
        "",
        "Each system is the configuration of its name (its header says what differs from",
        "the paper), on the same weights, images and split, with the same population,",
        "generations and seeds. Hypervolume of (validation error, log2 bytes of the file's",
        f"parameter part), reference point ({reference[0]}, {reference[1]:.2f});",
        "*evaluations* are of different genotypes. *Packed*: codes at their bits; *entropy",
        "coded*: by a range coder; *bytes*: the parameter part of the file in the system's",
        "own coding; *file*: with the program. Energy by the table and dataflow of the",
        "system's configuration. Test images are read once, by the saved files. Seconds",
        "are of the whole run: making what is searched, search, training after it, saving.",
        "",
        f"Dense: {100 * (1 - dense['validation_error']):.2f} % of validation and "
        f"{100 * (1 - dense['test_error']):.2f} % of test images, {dense['macs']:,.0f} "
        f"MACs, {dense['parameters']:,} bytes.",
        "",
        *_row("system", "hypervolume", "seeds", "evaluations", "seconds", "CPU seconds"),
        "|---" * 6 + "|",
    ]
    for name in names:
        own = [each for each in entries if each["system"] == name]
        volumes = np.asarray([each["hypervolume"] for each in own])
        spread = f" ± {volumes.std(ddof=1):.4f}" if len(own) > 1 else ""
        means = [
            np.mean([each[key] for each in own])
            for key in ("evaluations", "seconds", "cpu_seconds")
        ]
        text = (f"{mean:,.0f}" for mean in means)
        lines += _row(name, f"{volumes.mean():.4f}{spread}", str(len(own)), *text)
    heads = ("system", "seed", "loss allowed", "valid., %", "test, %", "MACs", "energy, mJ")
    heads += ("packed", "entropy coded", "bytes", "ratio", "file")
    lines += [
        "",
        "The smallest file of each front within a loss of validation accuracy, in points:",
        "",
        *_row(*heads),
        "|---" * len(heads) + "|",
    ]
    for each in entries:
        for points in setting["losses"]:
            row = smallest(each, points)
            first = (each["system"], str(each["seed"]), f"{points:g}")
            if row is None:
                lines += _row(*first, *("-" for _ in heads[3:]))
                continue
            lines += _row(
                *first,
                f"{100 * (1 - row['validation_error']):.2f}",
                f"{100 * (1 - row['test_error']):.2f}",
                f"{row['macs']:,.0f}",
                f"{row['energy']:.4g}",
                *(f"{row[size]:,}" for size in SIZES[:3]),
                f"{each['dense']['parameters'] / row['parameters']:.2f}x",
                f"{row['file']:,}",
            )
    if known := [name for name in names if name in PAPERS]:
        lines += [
            "",
            "The papers' own figures, by other networks, training and counting:",
            "",
        ]
        lines += [f"- {name}: {PAPERS[name]}" for name in known]
    text = ", ".join(f"{name} {number}" for name, number in setting["versions"].items())
    return (
        "\n".join([*lines, "", f"![fronts]({setting['picture']})", "", f"{text}."]) + "\n"
    )


def _row(*cells: str) -> list[str]:
    return [f"| {' | '.join(cells)} |"]


def picture(path: Path, entries: Sequence[dict[str, Any]]) -> None:
    """Draws the front of every system's first seed."""

    def member(row: dict[str, Any], method: str) -> Member:
        known: dict[str, Any] = {field.name: row[field.name] for field in fields(Member)}
        return Member(**{**known, "method": method})

    first: dict[str, dict[str, Any]] = {}
    for each in entries:
        first.setdefault(each["system"], each)
    members = [member(row, name) for name, e in first.items() for row in e["front"]]
    dense = member(entries[0]["dense"], "dense")
    path.parent.mkdir(parents=True, exist_ok=True)
    plot_fronts(path, members, dense, "fronts of the saved files", "share")


def write(results: dict[str, Any], given: argparse.Namespace) -> None:
    """Writes what is known so far: JSON, page and picture."""
    entries = results["entries"]
    if (
        len({each["checkpoint"] for each in entries if each["seed"] == entries[0]["seed"]})
        > 1
    ):
        raise ValueError("the systems began with other weights; give all the same network")
    for path in (given.json, given.table):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(given.json, (json.dumps(results, indent=1) + "\n").encode())
    picture(given.picture, entries)
    write_whole(given.table, page(results).encode())


def main() -> None:
    known = [name for name in SYSTEMS if name in bundled("configs")]
    parser = argparse.ArgumentParser(description="Systems on one network and budget.")
    parser.add_argument("--systems", nargs="+", default=known)
    parser.add_argument("--network", choices=NETWORKS, default="digits_cnn")
    parser.add_argument("--preset", default="small", help="of the systems that have it")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--population", type=int, default=40)
    parser.add_argument("--generations", type=int, default=12)
    parser.add_argument("--train-examples", type=int, help="all if not given")
    parser.add_argument("--validation-examples", type=int, help="all if not given")
    parser.add_argument("--train-epochs", type=int, default=60, help="of digits_cnn")
    parser.add_argument("--members", type=int, default=10, help="of a front")
    parser.add_argument("--losses", type=float, nargs="+", default=[1.0, 5.0])
    parser.add_argument("--runs", type=Path, default=Path("runs/systems"))
    parser.add_argument("--json", type=Path, default=RESULTS / "systems.json")
    parser.add_argument("--table", type=Path, default=RESULTS / "systems.md")
    parser.add_argument("--picture", type=Path, default=RESULTS / "systems.png")
    given = parser.parse_args()
    setting = {
        "command": command("compare_systems"),
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "losses": given.losses,
        "picture": given.picture.name,
        "versions": versions(),
    }
    before = json.loads(given.json.read_text())["entries"] if given.json.exists() else []
    entries: list[dict[str, Any]] = []
    for seed in given.seeds:
        for name in given.systems:
            config = configured(name, seed, given)
            tree, label = config.model_dump(mode="json"), Path(name).stem
            same = [each for each in before if each["config"] == tree]
            if not same:
                place = given.runs / f"{given.network}-{label}-{seed}"
                same = [entry(label, config, place)]
            entries.append(same[0])
            write({"setting": setting, "entries": entries}, given)


if __name__ == "__main__":
    main()
