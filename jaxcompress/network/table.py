"""A network as a table that people can read."""

from collections.abc import Sequence
from math import prod

from jaxcompress.network.blocks import Block
from jaxcompress.network.groups import Group
from jaxcompress.network.layers import Layer


def layer_lines(layers: Sequence[Layer]) -> list[str]:
    """Returns the layers as aligned text, one a line."""
    rows = [("layer", "kind", "weight", "MACs", "parameters", "in", "out")]
    for layer in layers:
        rows.append(
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
    return _aligned(rows)


def group_lines(groups: Sequence[Group]) -> list[str]:
    """Returns the channel groups as aligned text, one a line."""
    rows = [("group", "channels", "prunable", "ties")]
    for group in groups:
        ties = ", ".join(f"{path}[{axis}]" for path, axis in group.members[:4])
        if len(group.members) > 4:
            ties += f", and {len(group.members) - 4} more"
        state = "yes" if group.prunable else f"no: {group.reason}"
        rows.append((group.name, str(group.size), state, ties))
    return _aligned(rows)


def block_lines(blocks: Sequence[Block]) -> list[str]:
    """Returns the removable blocks as aligned text, one a line."""
    rows = [("block", "layers", "MACs", "parameter tensors")]
    for block in blocks:
        names = ", ".join(block.layers[:4])
        if len(block.layers) > 4:
            names += f", and {len(block.layers) - 4} more"
        rows.append((block.name, names, f"{block.macs:,}", str(len(block.parameters))))
    return _aligned(rows)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
