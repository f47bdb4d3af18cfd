"""Systems of the literature and ours: one network, one budget, one table and one picture.

python scripts/compare_systems.py [--systems genecai genecai:ours emomc emomc:ours ...]
    [--network digits_cnn] [--seeds 0] [--population 40] [--evaluations 480]
    [--train-examples N] [--validation-examples N] [--train-epochs 60] [--tune-epochs 3]
    [--batch 64] [--library-members 6] [--library-steps 8] [--members 8] [--losses 1 5]
    [--runs runs/systems] [--json docs/results/systems.json]
python scripts/compare_systems.py --merge ONE.json OTHER.json ... --json ALL.json

Every system is a bundled configuration or a file, SYSTEM or SYSTEM:PRESET, run as it is but
for what all share: the network and its weights, the images and their split, population and
evaluations (what it takes to find where to begin counts; generations end there), the seed,
how long and with which augmentation they train where they train at all, the members that
are saved, and the reference point. Results are written after each run, as JSON and beside
it as a page and a picture; one that stands in the JSON file with the same setting is not
run again, and one that was stopped goes on. Many processes, each with some systems and a
file of its own, do it together: --merge makes one page of their files. Data: see
CONTRIBUTING.md.
"""

import argparse
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from published_networks import RESULTS, versions
from rich.console import Console
from systems_page import SIZES, page, picture, training

import jaxcompress as jc
from jaxcompress import pipeline
from jaxcompress.config import Config, TrainConfig
from jaxcompress.config_file import find, read
from jaxcompress.inspect import described
from jaxcompress.report import Member
from jaxcompress.whole_file import write_whole

PUBLISHED = ("genecai", "emomc", "ga_channels", "weight_sharing")
SYSTEMS = (*(each for name in PUBLISHED for each in (name, f"{name}:ours")), "joint")


@dataclass(frozen=True)
class Task:
    """What all systems compress.

    Attributes:
        reference: validation error of the reference point.
        first: the largest validation error of what is decided first.
        rate: learning rate of what trains compressed networks; shift, flip: its images.
    """

    model: str
    weights: str | None
    data: str
    reference: float
    first: float
    rate: float
    shift: int
    flip: bool


NETWORKS = {
    "digits_cnn": Task("digits_cnn", None, "digits", 0.2, 0.1, 3e-3, 0, False),
    # The first search may lose about three points, as the paper's: ResNet-8 has 13 % error.
    "resnet8": Task(
        "mlperf_resnet8", "resnet8_cifar10", "cifar10", 0.4, 0.16, 1e-3, 4, True
    ),
    "resnet20": Task("resnet20", "resnet20_cifar10", "cifar10", 0.4, 0.1, 1e-3, 4, True),
}


SHARED = {
    "data": ("name", "seed", "train_examples", "validation_examples"),
    "search": ("population", "evaluations"),
    "report": ("members", "reference_error"),
}


def shared(entry: dict[str, Any]) -> list[Any]:
    """Returns the settings of an entry that must be the same for all."""
    return [entry["config"][part][key] for part, keys in SHARED.items() for key in keys]


def configured(name: str, seed: int, given: argparse.Namespace) -> Config:
    """Returns a system's configuration with what all systems share."""
    system, _, preset = name.partition(":")
    tree = read(find(system), preset=preset or None).model_dump()
    task = NETWORKS[given.network]
    tree |= {"model": task.model, "weights": task.weights, "seed": seed}
    tree["data"] |= {
        "name": task.data,
        "train_examples": given.train_examples,
        "validation_examples": given.validation_examples,
    }
    tree["train"] = TrainConfig(epochs=given.train_epochs).model_dump()
    augmented = {"learning_rate": task.rate, "shift": task.shift, "flip": task.flip}
    augmented["batch_size"] = given.batch
    for section in ("library", "adapt", "finetune"):
        tree[section] |= augmented
        if section != "library" and tree[section]["epochs"]:
            tree[section]["epochs"] = given.tune_epochs
    if tree["library"]["members"]:
        sizes = {"members": given.library_members, "steps": given.library_steps}
        tree["library"] |= sizes
    # The evaluations say where a search ends.
    tree["first"] |= {"generations": given.evaluations, "error_threshold": task.first}
    tree["search"] |= {
        "population": given.population,
        "generations": given.evaluations,
        "evaluations": given.evaluations,
        "racing": None,  # it spares images, of an evaluation that counts all the same
    }
    tree["report"] |= {
        "members": given.members,
        "baselines": False,
        "reference_error": task.reference,
    }
    return Config(**tree)


def entry(name: str, config: Config, place: Path) -> dict[str, Any]:
    """Runs a system, or goes on with it, and returns what it found."""
    known = place / "entry.json"
    if known.exists():
        found = json.loads(known.read_text())
        if completed(found["config"]) == config.model_dump(mode="json"):
            return found
    wall, cpu = time.perf_counter(), time.process_time()
    console, whole = Console(width=160), True
    if (place / "config.yaml").exists():
        outcome = pipeline.resume(config, place, console)
        if outcome is None:
            raise ValueError(f"{place} is finished, and not in the results; remove it")
        whole = False  # what it took before it was stopped is not known
    else:
        outcome = pipeline.run(config, place, console)

    def row(member: Member) -> dict[str, Any]:
        sizes = described(jc.load(place / member.path))["sizes"]
        return member.row() | {size: sizes[size] for size in SIZES}

    leaves = outcome.network.leaves().values()
    digest = hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in leaves))
    found = {
        "system": name,
        "seed": config.seed,
        "config": config.model_dump(mode="json"),
        "training": training(config),
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "versions": versions(),
        "checkpoint": digest.hexdigest()[:16],
        "reference": list(outcome.reference),
        "evaluations": outcome.evaluations,
        "seconds": time.perf_counter() - wall if whole else None,
        "cpu_seconds": time.process_time() - cpu if whole else None,
        "dense": row(outcome.dense),
        "front": [row(member) for member in outcome.front],
    }
    write_whole(known, json.dumps(found).encode())
    return found


def completed(tree: dict[str, Any]) -> dict[str, Any]:
    """Returns a configuration of before with the defaults of what is new since then."""
    return Config(**tree).model_dump(mode="json")


def write(results: dict[str, Any], path: Path) -> None:
    """Writes what is known so far: JSON, page and picture.

    Raises:
        ValueError: the entries are of other networks, or other reference points.
    """
    entries = results["entries"]
    # Of one seed all begin with the same weights.
    starts = {(each["seed"], each["checkpoint"]) for each in entries}
    if len(starts) > len({each["seed"] for each in entries}):
        raise ValueError("the systems began with other weights; give all the same network")
    if any(shared(each) != shared(entries[0]) for each in entries):
        raise ValueError(f"the settings differ in {SHARED}; compare like with like")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(results, indent=1) + "\n").encode())
    image = path.with_suffix(".png")
    picture(image, entries)
    write_whole(path.with_suffix(".md"), page(results, image.name).encode())


def merged(paths: list[Path]) -> dict[str, Any]:
    """Returns the results of many files as those of one, each system and seed once."""
    every = [json.loads(path.read_text()) for path in paths]
    rank = {name: place for place, name in enumerate(SYSTEMS)}
    entries = {
        (rank.get(each["system"], len(rank)), each["system"], each["seed"]): each
        for results in every
        for each in results["entries"]
    }
    commands = {each["setting"]["command"]: None for each in every}
    return {
        "setting": every[0]["setting"] | {"command": "; ".join(commands)},
        "entries": [entries[key] for key in sorted(entries)],
    }


def shared_command(parser: argparse.ArgumentParser, given: argparse.Namespace) -> str:
    """Returns a command line with what all systems share: not which, nor where to."""
    own = ("systems", "runs", "json", "merge")
    words = ["python scripts/compare_systems.py"]
    for name, value in vars(given).items():
        if name in own or value == parser.get_default(name):
            continue
        values = value if isinstance(value, list) else [value]
        words += [f"--{name.replace('_', '-')}", *map(str, values)]
    return " ".join(words)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Systems on one network and budget.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--systems",
        nargs="+",
        default=list(SYSTEMS),
        help="SYSTEM or SYSTEM:PRESET: bundled configurations, or files",
    )
    parser.add_argument("--network", choices=NETWORKS, default="digits_cnn")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--population", type=int, default=40)
    parser.add_argument("--evaluations", type=int, default=480, help="of every system")
    parser.add_argument("--train-examples", type=int, help="all if not given")
    parser.add_argument("--validation-examples", type=int, help="all if not given")
    parser.add_argument("--train-epochs", type=int, default=60, help="of digits_cnn")
    parser.add_argument("--tune-epochs", type=int, default=3, help="where one trains")
    parser.add_argument("--batch", type=int, default=64, help="images a step, likewise")
    parser.add_argument("--library-members", type=int, default=6, help="of emomc")
    parser.add_argument("--library-steps", type=int, default=8, help="of emomc")
    parser.add_argument("--members", type=int, default=8, help="of a front")
    parser.add_argument(
        "--losses", type=float, nargs="+", default=[1.0, 5.0], help="in points"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/systems"), help="where to")
    parser.add_argument(
        "--json",
        type=Path,
        default=RESULTS / "systems.json",
        help="page and picture beside",
    )
    parser.add_argument("--merge", type=Path, nargs="+", help="of these files; run none")
    given = parser.parse_args()
    if given.merge:
        write(merged(given.merge), given.json)
        return
    try:
        for name in given.systems:
            configured(name, given.seeds[0], given)
    except ValueError as error:
        parser.error(str(error))
    setting = {"command": shared_command(parser, given), "losses": given.losses}
    before = json.loads(given.json.read_text())["entries"] if given.json.exists() else []
    entries: list[dict[str, Any]] = []
    for seed in given.seeds:
        for name in given.systems:
            config = configured(name, seed, given)
            tree, label = config.model_dump(mode="json"), Path(name).name
            alike = [e for e in before if e["system"] == label]
            same = [e for e in alike if completed(e["config"]) == tree]
            if not same:
                folder = f"{given.network}-{label.replace(':', '-')}-{seed}"
                same = [entry(label, config, given.runs / folder)]
            entries.append(same[0])
            # Those of other systems stay, where they are of the same settings.
            done = {(each["system"], each["seed"]) for each in entries}
            rest = [e for e in before if (e["system"], e["seed"]) not in done]
            rest = [each for each in rest if shared(each) == shared(entries[0])]
            write({"setting": setting, "entries": entries + rest}, given.json)


if __name__ == "__main__":
    main()
