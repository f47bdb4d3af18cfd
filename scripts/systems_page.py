"""The page and the picture of what `compare_systems.py` found."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from jaxcompress.config import Config
from jaxcompress.report import Member, plot_fronts
from jaxcompress.search import Measure

SIZES = ("packed", "entropy coded", "parameters", "file")
OURS = "joint"
TESTED = ("test_error", "parameters")
# What the papers report, each on networks and training of its own.
PAPERS = {
    "genecai": "ResNet-50 on CIFAR-10: 6.4 % error after a search of 0.024 GPU-days "
    "(Javaheripi et al. 2020, as a survey lists it)",
    "emomc": "VGG-16 on CIFAR-10, 0.3 % of accuracy lost: size 6.1x (all weights stored), "
    "7.4x (CSR), energy 8.9x to 14.0x by dataflow (Wang et al. 2021, tables II and III)",
    "ga_channels": "VGGNet on CIFAR-10: 8x fewer parameters and 3x fewer FLOPs, more "
    "accurate than before (Hu et al. 2018, abstract)",
    "weight_sharing": "CIFAR-10: 13.72x to 14.98x (Khosrowshahli et al. 2025, abstract)",
}
NOTES = """\
Each system is the configuration of its name (its header says what differs from the
paper), *:ours* our way with the same kinds of choices, *joint* with all of them; on the
same weights, images and split, with the same population, seeds and budget. *Evaluations*
are of different genotypes on all validation images: of the search, of what finds where it
begins (sweeps, what is drawn and rejected, a descent) and of what is decided first. Not
counted: training (the column says which), products with the Hessian, trials of merges,
and the final front. Seconds are of the whole run with all of these, and not known of one
that was stopped and went on. *Hypervolume* is of
(validation error, log2 bytes) with the reference point {reference}: of the parameter part
of the file in the system's own coding, *entropy coded* of the same members by one range
coder, and *by test error*, with the bytes of the first; *MACs* and *energy* are by test
error, too, with the logarithm of these, and of the dense network's in the reference point.
*Covered*: members that a member of `joint` of the same seed equals or beats in test error
and bytes. *Packed*: codes at their bits; *bytes*: the parameter part of the file; *file*:
with the program. Energy by the table and dataflow of the system's configuration. Test
images are read once, by the saved files."""
SEEN = """\
Published weights have seen the validation images (all 50,000 of CIFAR-10): before any
training their validation error is too small, and what is trained after, on other images,
loses that. Test errors are free of it."""


def training(config: Config) -> str:
    """Returns in words what a system trains, in passes over the training images."""
    library, parts = config.library, []
    if library.members:
        passes = library.members * library.steps * library.epochs
        parts.append(f"library of {library.members}: {passes}")
    if config.adapt.epochs:
        parts.append(f"before: {config.adapt.epochs}, 4 plans each")
    if config.first.kinds and config.finetune.epochs:
        parts.append(f"between: {config.finetune.epochs}")
    if config.finetune.epochs:
        kind = " with distillation" if config.finetune.distillation else ""
        parts.append(f"after: {config.finetune.epochs}{kind}")
    return "; ".join(parts) or "none"


def page(results: dict[str, Any], image: str) -> str:
    """Returns the Markdown page; `image` is the name of the picture."""
    setting, entries = results["setting"], results["entries"]
    dense, reference = entries[0]["dense"], entries[0]["reference"]
    point = f"({reference[0]}, {reference[1]:.2f})"
    names = list(dict.fromkeys(each["system"] for each in entries))
    heads = ("system", "hypervolume", "entropy coded", "by test error", "MACs", "energy")
    heads += ("covered", "seeds", "evaluations", "training", "seconds", "CPU seconds", "on")
    lines = [
        "# Systems of the literature and ours",
        "",
        f"`{setting['command']}`.",
        "",
        NOTES.format(reference=point),
        *([SEEN] if entries[0]["config"]["weights"] else []),
        "",
        f"Dense: {100 * (1 - dense['validation_error']):.2f} % of validation and "
        f"{100 * (1 - dense['test_error']):.2f} % of test images, {dense['macs']:,.0f} "
        f"MACs, {dense['parameters']:,} bytes.",
        "",
        *_row(*heads),
        "|---" * len(heads) + "|",
    ]
    best = {each["seed"]: each["front"] for each in entries if each["system"] == OURS}
    for name in names:
        own = [each for each in entries if each["system"] == name]
        means = {
            key: "-" if None in known else f"{np.mean(known):,.0f}"
            for key in ("evaluations", "seconds", "cpu_seconds")
            for known in [[each[key] for each in own]]
        }
        lines += _row(
            name,
            _volume(own, "validation_error", "parameters"),
            _volume(own, "validation_error", "entropy coded"),
            _volume(own, *TESTED),
            _volume(own, "test_error", "macs"),
            _volume(own, "test_error", "energy"),
            "-" if name == OURS else _covered(own, best),
            str(len(own)),
            means["evaluations"],
            own[0]["training"],
            means["seconds"],
            means["cpu_seconds"],
            own[0]["device"],
        )
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
        lines += ["", "The papers' own figures, by other networks and training:", ""]
        lines += [f"- {name}: {PAPERS[name]}" for name in known]
    texts = (
        f"{each['device']}: {', '.join(f'{k} {v}' for k, v in each['versions'].items())}."
        for each in entries
    )
    return "\n".join([*lines, "", f"![fronts]({image})", "", *dict.fromkeys(texts)]) + "\n"


def smallest(entry: dict[str, Any], points: float) -> dict[str, Any] | None:
    """Returns the smallest file of a front within a loss of validation accuracy."""
    most = entry["dense"]["validation_error"] + points / 100 + 1e-9
    near = [row for row in entry["front"] if row["validation_error"] <= most]
    return min(near, key=lambda row: row["parameters"], default=None)


def _points(front: Sequence[dict[str, Any]], *columns: str) -> np.ndarray:
    return np.asarray([[row[name] for name in columns] for row in front], np.float64)


def _volume(entries: Sequence[dict[str, Any]], error: str, cost: str) -> str:
    """Returns the mean hypervolume of the fronts of a system, and its deviation."""
    volumes = []
    for each in entries:
        most, last = each["reference"]
        if cost not in SIZES:
            last = float(np.log2(each["dense"][cost]))
        measure = Measure((0, 1), (most, last), logged=(1,))
        volumes.append(measure(_points(each["front"], error, cost)))
    spread = f" ± {np.std(volumes, ddof=1):.4f}" if len(volumes) > 1 else ""
    return f"{np.mean(volumes):.4f}{spread}"


def _covered(entries: Sequence[dict[str, Any]], best: dict[int, Any]) -> str:
    """Returns how many members ours equal or beat, of how many."""
    known = [each for each in entries if each["seed"] in best]
    if not known:
        return "-"
    count = total = 0
    for each in known:
        ours = _points(best[each["seed"]], *TESTED)
        theirs = _points(each["front"], *TESTED)
        covered = (ours <= theirs[:, None] + 1e-9).all(-1).any(-1)
        count, total = count + int(covered.sum()), total + len(theirs)
    return f"{count} of {total}"


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
