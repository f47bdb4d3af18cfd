"""The fronts as a picture."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from jaxcompress.report.member import Member

MARKERS = "osD^v"


def plot_fronts(path: Path, members: Sequence[Member], dense: Member, title: str) -> None:
    """Draws validation error over bytes, one line a method, the dense network beside.

    Args:
        path: of the picture, `.png`.
        members: of all methods, after fine-tuning.
        dense: the dense network.
    """
    figure = Figure(figsize=(8, 5), layout="constrained", dpi=120)
    axes = figure.add_subplot()
    axes.set_xscale("log", base=2)
    methods = list(dict.fromkeys(member.method for member in members))
    for marker, method in zip(MARKERS, methods, strict=False):
        points = sorted(
            (m.size, 100 * (1 - m.validation)) for m in members if m.method == method
        )
        width = 2.0 if method == methods[0] else 1.0
        axes.plot(*zip(*points, strict=True), marker=marker, lw=width, ms=5, label=method)
    axes.axhline(100 * (1 - dense.validation), color="gray", ls=":", lw=1)
    axes.plot(
        dense.size,
        100 * (1 - dense.validation),
        "*",
        color="black",
        ms=12,
        label="dense",
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.set_xlabel("parameter part, bytes")
    axes.set_ylabel("validation error, %")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)
