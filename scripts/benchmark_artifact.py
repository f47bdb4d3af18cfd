"""Files of ResNet-20 under some plans: bytes, accuracy, latency, speed of the codings.

python scripts/benchmark_artifact.py [--test N] [--rounds 50] [--megabytes 32]
    [--json docs/results/artifacts.json] [--table docs/results/artifacts.md]

Published weights and the test images of CIFAR-10, nothing retrained. Every file is loaded
and judged as loaded. zstd needs the package zstandard and is left out without it. Data:
see CONTRIBUTING.md.
"""

import argparse
import gzip
import io
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from published_networks import (
    DATA,
    RESULTS,
    Published,
    correct,
    published,
    saved,
    versions,
    write,
)

import jaxcompress as jc
from jaxcompress import data
from jaxcompress.artifact import tensors
from jaxcompress.codings import CODINGS
from jaxcompress.codings.tensor import Coding

NETWORK = "resnet20_cifar10"
BATCHES = (1, 256)
PALETTES = (1, 2, 3, 4, 6, 8)  # bits of an index that coremltools offers
HEADS = (
    *("plan", "parameters, bytes", "program, bytes", "file, bytes", "test, %"),
    *(f"ms at batch {batch} (x dense)" for batch in BATCHES),
)
SIZES = ("dense", "range", "zip", "gzip", "zstd", "palettes")
SPEED = ("coding", "encode, MB/s", "decode, MB/s", "bytes", "peak while loading")


def plans(network: jc.Network) -> dict[str, jc.Plan]:
    """Returns what the files hold; the joint one keeps the channels of largest norm."""
    paths = [*dict.fromkeys(layer.weight for layer in network.layers)]
    half = jc.Space(network, (jc.genes.ChannelCount(jc.importance.l1(network)),))
    middle = half.decode((half.dense + 1) // 2)

    def each(number: int) -> Any:
        return dict.fromkeys(paths, jnp.int32(number))

    return {
        "dense": jc.Plan(),
        "8 bits": jc.Plan(weight_bits=each(8), granularity="channel"),
        "4 bits": jc.Plan(weight_bits=each(4), granularity="channel"),
        "one codebook of 43": jc.Plan(codebook_sizes=each(43), codebook_scope="network"),
        "half the channels, 8 bits": jc.Plan(
            channels=middle.channels, weight_bits=each(8), granularity="channel"
        ),
    }


def zipped(payload: bytes) -> int:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        file.writestr("weights", payload)
    return stream.tell()


def zstandard(payload: bytes) -> int | None:
    try:
        package = import_module("zstandard")
    except ImportError:
        return None
    return len(package.ZstdCompressor(level=19).compress(payload))


def palettes(leaves: Mapping[str, np.ndarray], coding: Mapping[str, Coding]) -> int | None:
    """Returns the bytes of look-up tables and indices, by arithmetic; None beyond 8 bits.

    Each coded tensor has a float32 table of 2^n values, and a scale for each channel that
    has its own; what is not coded is float32.
    """
    total = 0
    for path, leaf in leaves.items():
        code = coding.get(path, Coding(32))
        if code.codes is None:
            total += 4 * leaf.size
            continue
        fitting = [n for n in PALETTES if 1 << n >= code.alphabet]
        if not fitting:
            return None
        scales = 0 if code.scale is None or code.scale.size == 1 else code.scale.size
        total += 4 * ((1 << fitting[0]) + scales) + -(-leaf.size * fitting[0] // 8)
    return total


def sizes(small: jc.Network) -> dict[str, int | None]:
    """Returns the bytes of the same quantised parameters in several ways."""
    leaves = {path: np.asarray(leaf) for path, leaf in small.leaves().items()}
    _, payload = tensors.encode(leaves, small.coding, "dense")
    return {
        "dense": len(payload),
        "range": len(tensors.encode(leaves, small.coding, "range")[1]),
        "zip": zipped(payload),
        "gzip": len(gzip.compress(payload, 9)),
        "zstd": zstandard(payload),
        "palettes": palettes(leaves, small.coding),
    }


def medians(calls: Sequence[Callable[[], Any]], rounds: int) -> list[float]:
    """Returns the milliseconds of each call, all of them in turn in every round."""
    taken: list[list[float]] = [[] for _ in calls]
    for round_ in range(rounds + 3):
        for call, found in zip(calls, taken, strict=True):
            began = time.perf_counter()
            jax.block_until_ready(call())
            if round_ >= 3:
                found.append(1e3 * (time.perf_counter() - began))
    return [statistics.median(found) for found in taken]


def latencies(
    files: Sequence[jc.Artifact], given: Published, rounds: int
) -> list[list[float]]:
    """Returns the median milliseconds of each file at each size in `BATCHES`."""
    columns = []
    for batch in BATCHES:
        x = jnp.asarray(given.test.first(batch)[0])
        columns.append(medians([partial(file, x) for file in files], rounds))
    return [[*row] for row in zip(*columns, strict=True)]


LOADING = """
import sys
from pathlib import Path
import jaxcompress as jc

def memory(which):
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition(which + ":")[2].split()[0])

jc.load(sys.argv[1])
Path("/proc/self/clear_refs").write_text("5")  # the most so far is what there is now
before = memory("VmRSS")
file = jc.load(sys.argv[2])
print((memory("VmHWM") - before) / sum(leaf.nbytes for leaf in file.arguments))
"""


def peak(large: jc.Network, small: jc.Network, coding: str) -> float:
    """Returns by how many times its dense bytes a process grows while it loads a file.

    At most, and in memory that it really uses; Linux says so.
    """
    with tempfile.TemporaryDirectory() as directory:
        paths = [f"{directory}/{name}.jcz" for name in ("small", "large")]
        for path, network in zip(paths, (small, large), strict=True):
            jc.save(path, network, coding=coding)
        arguments = [sys.executable, "-c", LOADING, *paths]
        return float(subprocess.run(arguments, capture_output=True, check=True).stdout)


def laplacian(count: int, size: int) -> jc.Network:
    """A network of some square dense layers of 4 bits."""
    rng = np.random.default_rng(0)
    leaves, coding = {}, {}
    for place in range(count):
        weight = rng.laplace(size=(size, size)).astype(np.float32)
        scale = np.full((1, size), np.abs(weight).max() / 14, np.float32)
        codes = np.clip(np.rint(weight / scale), -7, 7).astype(np.int32)
        leaves[f"w{place}"] = codes.astype(np.float32) * scale
        coding[f"w{place}"] = Coding(4, codes, scale)

    def apply(p: Any, x: Any) -> Any:
        for weight in p.values():
            x = x @ weight
        return x

    return replace(jc.trace(apply, leaves, jnp.zeros((2, size))), coding=coding)


def speed(megabytes: int) -> list[dict[str, Any]]:
    """Returns how fast weights of 4 bits are encoded and decoded, in one thread."""
    large, small = laplacian(max(1, megabytes // 4), 1024), laplacian(1, 8)
    leaves = {path: np.asarray(leaf) for path, leaf in large.leaves().items()}
    dense = sum(leaf.nbytes for leaf in leaves.values())
    found = []
    for how in CODINGS:
        marks = [time.process_time()]
        header, payload = tensors.encode(leaves, large.coding, how)
        marks.append(time.process_time())
        for _ in tensors.decode(header, payload):
            pass
        marks.append(time.process_time())
        encode, decode = (dense / 1e6 / (b - a) for a, b in pairwise(marks))
        found.append({"coding": how, "encode": encode, "decode": decode})
        found[-1] |= {"bytes": len(payload), "peak": peak(large, small, how)}
        print(found[-1], flush=True)
    return found


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the results of all plans."""
    dataset = data.load("cifar10", data_dir=DATA)
    given = published(NETWORK, dataset, 500, arguments.test)
    entries, files = [], []
    for name, plan in plans(given.network).items():
        small = jc.compact(given.network, plan)
        _, file = saved(small, "range")
        files.append(file)
        entries.append(
            {
                "plan": name,
                "parameters": file.sizes.parameters,
                "program": file.sizes.program,
                "file": file.sizes.file,
                "test": correct(file, given.test) / given.test.count,
                "macs": small.macs,
                "sizes": sizes(small),
            }
        )
        print(entries[-1], flush=True)
    for entry, row in zip(entries, latencies(files, given, arguments.rounds), strict=True):
        entry["ms"] = row
    return {
        "network": NETWORK,
        "test_images": given.test.count,
        "dense": given.dense["test"],
        "device": jax.devices()[0].device_kind,
        "entries": entries,
        "speed": speed(arguments.megabytes),
    }


def page(results: dict[str, Any]) -> str:
    """Returns the Markdown page."""
    setting, entries = results["setting"], results["entries"]
    first = entries[0]
    lines = [
        "# Files",
        "",
        f"`{setting['command']}`",
        "",
        f"{results['network']}, published weights, nothing retrained; the loaded file",
        f"classifies {results['test_images']:,} test images of CIFAR-10 (the network",
        f"itself: {100 * results['dense']:.2f} %). Latencies are medians of",
        f"{setting['rounds']} calls on {results['device']}, the files in turn.",
        "Every file multiplies float32: fewer bits make it smaller, not faster.",
        "",
        *_table(
            HEADS,
            [
                [
                    each["plan"],
                    *(f"{each[part]:,}" for part in ("parameters", "program", "file")),
                    f"{100 * each['test']:.2f}",
                    *(
                        f"{own:.2f} ({whole / own:.2f}x)"
                        for own, whole in zip(each["ms"], first["ms"], strict=True)
                    ),
                ]
                for each in entries
            ],
        ),
        "",
        "## The same quantised parameters otherwise, bytes",
        "",
        "*dense* and *range* are the tensors of a file without header and program; zip,",
        "gzip (level 9) and zstd (level 19) compress those of *dense*. *Palettes* is",
        "arithmetic: indices of 1, 2, 3, 4, 6 or 8 bits into a float32 table for each",
        "tensor, and a float32 scale for each channel that has its own.",
        "",
        *_table(
            ("plan", *SIZES),
            [
                [each["plan"], *(_count(each["sizes"][s]) for s in SIZES)]
                for each in entries
            ],
        ),
        "",
        "## Speed",
        "",
        f"{setting['megabytes']} MB of float32 Laplacian weights on a grid of 4 bits: MB",
        "of float32 a second of CPU time in one thread, and how much a process grows at",
        "most while it loads the file, over the bytes of the float32 weights.",
        "",
        *_table(
            SPEED,
            [
                [
                    each["coding"],
                    f"{each['encode']:.0f}",
                    f"{each['decode']:.0f}",
                    f"{each['bytes']:,}",
                    f"{each['peak']:.2f}x",
                ]
                for each in results["speed"]
            ],
        ),
        "",
        ", ".join(f"{name} {number}" for name, number in setting["versions"].items()) + ".",
    ]
    return "\n".join(lines) + "\n"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(row)} |" for row in (heads, *rows)]
    return [lines[0], "|---" * len(heads) + "|", *lines[1:]]


def _count(size: int | None) -> str:
    return "" if size is None else f"{size:,}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Files of ResNet-20, measured.")
    parser.add_argument("--test", type=int, help="images; all if None")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--megabytes", type=int, default=32, help="of weights, for speed")
    parser.add_argument("--json", type=Path, default=RESULTS / "artifacts.json")
    parser.add_argument("--table", type=Path, default=RESULTS / "artifacts.md")
    arguments = parser.parse_args()
    setting = {
        "command": shlex.join(["python", "scripts/benchmark_artifact.py", *sys.argv[1:]]),
        "rounds": arguments.rounds,
        "megabytes": arguments.megabytes,
        "versions": versions(),
    }
    found = {"setting": setting} | measured(arguments)
    write(arguments.json, found, arguments.table, page(found))


if __name__ == "__main__":
    main()
