"""The front as a table on the terminal and as a CSV file."""

import csv
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from rich.box import SIMPLE
from rich.table import Table

from jaxcompress.report.member import Member

SHARE = "share"  # the unit of an error that is a share of wrong labels


def front_table(members: Sequence[Member], dense: Member, unit: str) -> Table:
    """Returns the saved members of a front, the dense network first.

    Args:
        members: with their files' sizes and test accuracies.
        dense: the dense network in the same form.
        unit: of the errors; of a "share" of wrong labels the accuracy is shown.
    """
    shown = "accuracies in %" if unit == SHARE else f"errors{f' in {unit}' if unit else ''}"
    title = f"front in artifacts/: {shown}, bytes of parameters and of the file"
    table = Table(
        title=title, box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False
    )
    for title in ("valid.", "test", "bytes", "ratio", "file", "ratio"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("MACs", "ratio", "bits"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("name", no_wrap=True)
    for member in [dense, *sorted(members, key=lambda m: -m.size)]:
        table.add_row(
            _quality(member.validation_error, unit),
            _quality(member.test_error, unit),
            _bytes(member.parameters),
            _ratio(dense.parameters, member.parameters),
            _bytes(member.file),
            _ratio(dense.file, member.file),
            f"{member.macs:,.0f}",
            _ratio(dense.macs, member.macs),
            "-" if member.bits is None else f"{member.bits:.2f}",
            member.path.rpartition("/")[2],
        )
    return table


def comparison_table(
    hypervolumes: dict[str, float],
    tested: dict[str, float],
    counts: dict[str, int],
    most: int,
    tuned: bool,
) -> Table:
    """Returns the hypervolumes of every method's members.

    Args:
        hypervolumes: by method, of validation errors; tested: of test errors.
        counts: by method its evaluations.
        most: members of a method, at most.
        tuned: whether they were fine-tuned.
    """
    how = "fine-tuned alike" if tuned else "not fine-tuned"
    table = Table(title=f"methods: of at most {most} members each, {how}")
    table.add_column("method", no_wrap=True)
    table.add_column("hypervolume", justify="right", no_wrap=True)
    table.add_column("by test errors", justify="right", no_wrap=True)
    table.add_column("evaluations", justify="right", no_wrap=True)
    for method, value in hypervolumes.items():
        table.add_row(
            method, f"{value:.4f}", f"{tested[method]:.4f}", f"{counts[method]:,}"
        )
    return table


def write_csv(path: Path, members: Sequence[Member]) -> None:
    """Writes members, one a line."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Member)])
        writer.writeheader()
        writer.writerows(member.row() for member in members)


def _quality(error: float | None, unit: str) -> str:
    if error is None:
        return "-"
    return f"{100 * (1 - error):.2f}" if unit == SHARE else f"{error:.4g}"


def _bytes(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _ratio(before: int | float | None, after: int | float | None) -> str:
    return "-" if not before or not after else f"{before / after:.1f}x"
