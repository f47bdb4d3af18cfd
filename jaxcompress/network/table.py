"""A network as a table that people can read."""

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxcompress.network.network import Network


def render(network: "Network") -> str:
    """Returns layers and channel groups as text, one a line, with totals."""
    layers = [("layer", "kind", "weight", "MACs", "parameters", "in", "out")]
    for layer in network.layers:
        layers.append(
            (
                layer.name,
                layer.kind,
                "x".join(map(str, layer.shape)),
                f"{layer.macs:,}",
                f"{prod(layer.shape):,}",
                " + ".join(layer.groups_in) or "-",
                " + ".join(layer.groups_out) or "-",
            )
        )
    groups = [("group", "channels", "prunable", "ties")]
    for group in network.groups:
        ties = ", ".join(f"{path}[{axis}]" for path, axis in group.members[:4])
        if len(group.members) > 4:
            ties += f", and {len(group.members) - 4} more"
        state = "yes" if group.prunable else f"no: {group.reason}"
        groups.append((group.name, str(group.size), state, ties))
    lines = [*_aligned(layers), "", *_aligned(groups), ""]
    lines.append(
        f"{len(network.layers)} layers, {network.macs:,} MACs an example, "
        f"{network.size:,} parameters, "
        f"{sum(g.size for g in network.prunable)} prunable channels in "
        f"{len(network.prunable)} groups"
    )
    if network.unused:
        lines.append(f"parameters that nothing uses: {', '.join(network.unused)}")
    if network.batch_reason:
        lines.append(f"only the traced batch size works: {network.batch_reason}")
    return "\n".join(lines)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
