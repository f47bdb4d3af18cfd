"""The fronts as a picture."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from jaxcompress.report.member import Member
from jaxcompress.report.table import SHARE

MARKERS = "osD^vP<>X"


def plot_fronts(
    path: Path, members: Sequence[Member], dense: Member, title: str, unit: str
) -> None:
    """Draws validation error over bytes, one line a method, the dense network beside.

    Args:
        path: of the picture, `.png`.
        members: of all methods, after fine-tuning.
        dense: the dense network.
        unit: of the errors; a "share" of wrong labels is drawn in %.
    """
    scale, unit = (100.0, "%") if unit == SHARE else (1.0, unit)
    figure = Figure(figsize=(8, 5), layout="constrained", dpi=120)
    axes = figure.add_subplot()
    axes.set_xscale("log", base=2)
    methods = list(dict.fromkeys(member.method for member in members))
    for marker, method in zip(cycle(MARKERS), methods, strict=False):
        points = sorted(
            (m.size, scale * m.validation_error) for m in members if m.method == method
        )
        width = 2.0 if method == methods[0] else 1.0
        axes.plot(*zip(*points, strict=True), marker=marker, lw=width, ms=5, label=method)
    axes.axhline(scale * dense.validation_error, color="gray", ls=":", lw=1)
    axes.plot(
        dense.size,
        scale * dense.validation_error,
        "*",
        color="black",
        ms=12,
        label="dense",
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.set_xlabel("parameter part, bytes")
    axes.set_ylabel(f"validation error, {unit}" if unit else "validation error")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)
