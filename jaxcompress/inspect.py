"""What is in a file: `python -m jaxcompress.inspect FILE [--compare OTHER] [--json]`.

With `--export OUT` the network is also written as OUT's suffix says, see `export`.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from jaxcompress.artifact import Artifact, export, load, tensors
from jaxcompress.codings.held import NIBBLE, held

HEADS = ("parameter", "shape", "of", "bits", "values", "coding", "bytes", "in memory")


def described(artifact: Artifact, other: Artifact | None = None) -> dict[str, Any]:
    """Returns what is in a file as plain JSON data.

    Args:
        other: a file of the same network; its shapes and sizes stand beside.

    Returns:
        "tensors" (one entry for each parameter), "codebooks" (lengths), "layers",
        "sizes" in bytes (of the two parts, and of the parameters packed at their bits and
        entropy coded), "exported" (bytes of another file, or None), "platforms",
        "version" and "metadata".
    """
    shapes = {}
    if other is not None:
        leaves = zip(other.coding, other.leaves, strict=True)
        shapes = {path: list(leaf.shape) for path, leaf in leaves}
    return {
        "tensors": [
            _tensor(artifact, item) | {"of": shapes.get(item[0])}
            for item in artifact.header["tensors"]
        ],
        "codebooks": artifact.header["books"],
        "layers": [layer._asdict() for layer in artifact.layers],
        "sizes": _sizes(artifact),
        "compared": None if other is None else _sizes(other),
        "exported": None,
        "platforms": list(artifact.program.platforms),
        "version": artifact.version,
        "metadata": artifact.metadata,
    }


def _tensor(artifact: Artifact, item: list[Any]) -> dict[str, Any]:
    path, shape, table, how, _, length = item
    code = artifact.coding[path]
    found = None if artifact.execution == "float32" else held(code)
    memory = "float32"
    if found is not None:
        memory = f"{4 if found.bits <= NIBBLE else 8}-bit codes"
    extra, values = 0, None
    if table == 0:
        kept = prod(shape) if code.nonzero is None else int(code.nonzero.sum())
        extra = 4 * kept
    else:
        values = code.alphabet
    if code.scale is not None:
        extra = 4 * code.scale.size
    return {
        "parameter": path,
        "shape": shape,
        "bits": code.bits,
        "values": values,
        "coding": how or "plain",
        "bytes": length + extra,
        "in memory": memory,
    }


def _sizes(artifact: Artifact) -> dict[str, int | None]:
    names = zip(artifact.coding, artifact.leaves, strict=True)
    leaves = {path: np.asarray(leaf) for path, leaf in names}
    found: dict[str, int | None] = {
        "parameters": artifact.sizes.parameters,
        "program": artifact.sizes.program,
        "file": artifact.sizes.file,
    }
    for name, how in (("packed", "dense"), ("entropy coded", "range")):
        try:
            found[name] = tensors.parameter_bytes(leaves, artifact.coding, how)
        except ImportError:  # nothing there that writes it
            found[name] = None
    return found


def lines(found: dict[str, Any]) -> list[str]:
    """Returns what `described` found as the lines of a page."""
    rows = [HEADS] + [
        tuple(_text(each[name]) for name in HEADS) for each in found["tensors"]
    ]
    compared = found["compared"] is not None
    columns = [
        column
        for head, column in zip(HEADS, zip(*rows, strict=True), strict=True)
        if compared or head != "of"
    ]
    widths = [max(map(len, column)) for column in columns]
    page = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in zip(*columns, strict=True)
    ]
    for place, length in enumerate(found["codebooks"]):
        page.append(f"codebook {place}: {length} values, {4 * length} bytes")
    page = [*page, ""]
    for layer in found["layers"]:
        text = "{name}: {kind}, {macs:,} MACs, weight {weight}, executed in {executed}"
        page.append(text.format(**layer))
    total = sum(layer["macs"] for layer in found["layers"])
    page += [f"{len(found['layers'])} layers, {total:,} MACs an example", ""]
    for name, size in found["sizes"].items():
        text = "no encoder here" if size is None else f"{size:,} bytes"
        before = found["compared"][name] if compared else None
        if before is not None and size:
            text += f", {before:,} there: {before / size:.2f}x"
        page.append(f"{name}: {text}")
    if found["exported"] is not None:
        page.append(f"exported: {found['exported']:,} bytes")
    mean, std = (found["metadata"].get(name) for name in ("mean", "std"))
    if mean:
        page.append(f"input: (pixels - mean) / std, mean {mean}, std {std}, float32")
    page += [
        f"saved by jaxcompress {found['version']} for {', '.join(found['platforms'])}",
        "checked: container, checksum, header, every tensor, the function's envelope",
        f"metadata: {json.dumps(found['metadata'])}",
    ]
    return [line.rstrip() for line in page]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "x".join(map(str, value)) or "scalar"
    return "" if value is None else str(value)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        The exit code: 0, or 2 after one line on standard error where there is no file,
        one that is no artifact, or no way to export it.
    """
    parser = argparse.ArgumentParser(
        prog="python -m jaxcompress.inspect", description="What is in a file."
    )
    parser.add_argument("file")
    parser.add_argument("--compare", metavar="OTHER", help="the dense network's file, say")
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    parser.add_argument(
        "--export", metavar="OUT", help="also write OUT.safetensors or OUT.stablehlo"
    )
    given = parser.parse_args(argv)
    try:
        other = None if given.compare is None else load(given.compare)
        artifact = load(given.file)
        found = described(artifact, other)
        if given.export is not None:
            found["exported"] = export(given.export, artifact)
    except (ImportError, OSError, ValueError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(json.dumps(found, indent=1) if given.json else "\n".join(lines(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
