"""Latency and memory of ResNet-20 as float32, as codes in memory, and in int8.

python scripts/benchmark_execution.py [--test N] [--rounds 20]
    [--json docs/results/execution.json] [--table docs/results/execution.md]

Published weights and images of CIFAR-10, nothing retrained. Every file is loaded and
judged as loaded; the files are called in turn. Data: see CONTRIBUTING.md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from benchmark_artifact import BATCHES, NETWORK, latencies
from published_networks import DATA, RESULTS, command, correct, published, versions, write

import jaxcompress as jc
from jaxcompress import data

CALIBRATION = 512
HEADS = (
    *("plan", "execution", "layers", "file, bytes", "test, %"),
    *(f"ms at batch {batch} (x dense)" for batch in BATCHES),
    "arguments, bytes",
    *(f"arguments and buffers at batch {batch}, MB" for batch in BATCHES),
    *(f"process at batch {batch}, MB" for batch in BATCHES),
)
CALLING = """
import json, sys
from pathlib import Path
import jax, jax.numpy as jnp
import jaxcompress as jc

def memory(which):
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition(which + ":")[2].split()[0])

file = jc.load(sys.argv[1])
found = []
for shape in json.loads(sys.argv[2]):
    x = jnp.zeros(shape)
    call = jax.jit(file.program.exported.call).lower(file.arguments, x).compile()
    plan = call.memory_analysis()
    jax.block_until_ready(call(file.arguments, x))
    Path("/proc/self/clear_refs").write_text("5")  # the most so far is what there is now
    jax.block_until_ready(call(file.arguments, x))
    names = ("argument", "output", "temp")
    planned = sum(getattr(plan, f"{name}_size_in_bytes") for name in names)
    found.append((planned, memory("VmHWM")))
print(json.dumps([sum(a.nbytes for a in file.arguments), *zip(*found)]))
"""


def plans(network: jc.Network, inputs: Any) -> dict[str, jc.Plan]:
    """Returns what the files hold."""
    ranges = jc.calibrate(network, inputs)
    eight = jc.Plan(
        weight_bits={layer.weight: np.asarray(8, np.int32) for layer in network.layers},
        activation_bits=dict.fromkeys(ranges, np.asarray(8, np.int32)),
        activation_ranges=ranges,
    )
    return {"dense": jc.Plan(), "weights and inputs 8 bits": eight}


def memory(path: Path, shapes: Sequence[Sequence[int]]) -> tuple[int, list[int], list[int]]:
    """Returns bytes of arguments, of all that XLA plans, and of the process at most.

    Args:
        shapes: of inputs; for each there is one of the last two.
    """
    arguments = [sys.executable, "-c", CALLING, str(path), json.dumps(shapes)]
    return json.loads(subprocess.run(arguments, capture_output=True, check=True).stdout)


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the results of all plans and executions."""
    dataset = data.load("cifar10", data_dir=DATA)
    given = published(NETWORK, dataset, CALIBRATION, arguments.test)
    inputs = given.validation.first(CALIBRATION)[0]
    entries, files = [], []
    with tempfile.TemporaryDirectory() as directory:
        for name, plan in plans(given.network, inputs).items():
            small = jc.compact(given.network, plan)
            for execution in ("float32", "packed", "integer") if files else ("float32",):
                path = Path(directory) / f"{len(files)}.jcz"
                jc.save(path, small, execution=execution)
                files.append(jc.load(path))
                shapes = [(batch, *dataset.input_shape) for batch in BATCHES]
                held, planned, process = memory(path, shapes)
                words = Counter(layer.executed for layer in files[-1].layers)
                entries.append(
                    {
                        "plan": name,
                        "execution": execution,
                        "layers": dict(words),
                        "file": files[-1].sizes.file,
                        "test": correct(files[-1], given.test) / given.test.count,
                        "arguments": held,
                        "planned": planned,
                        "process": process,
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
    }


def page(results: dict[str, Any]) -> str:
    """Returns the Markdown page."""
    setting, entries = results["setting"], results["entries"]
    rows = [HEADS, ["---"] * len(HEADS)]
    for each in entries:
        first = zip(each["ms"], entries[0]["ms"], strict=True)
        rows.append(
            [
                each["plan"],
                each["execution"],
                ", ".join(f"{count} {word}" for word, count in each["layers"].items()),
                f"{each['file']:,}",
                f"{100 * each['test']:.2f}",
                *(f"{own:.2f} ({whole / own:.2f}x)" for own, whole in first),
                f"{each['arguments']:,}",
                *(f"{size / 1e6:.2f}" for size in each["planned"]),
                *(f"{size / 1e6:.0f}" for size in each["process"]),
            ]
        )
    return "\n".join(
        [
            "# Execution",
            "",
            f"`{setting['command']}`",
            "",
            f"{results['network']}, published weights, nothing retrained; ranges of",
            f"{CALIBRATION} validation images; the loaded file classifies",
            f"{results['test_images']:,} test images of CIFAR-10 (the network itself:",
            f"{100 * results['dense']:.2f} %). Latencies are medians of",
            f"{setting['rounds']} calls on {results['device']}, the files in turn;",
            "x dense: how many times as fast.",
            "*Arguments* are the parameters in memory, *buffers* what XLA sets aside for a",
            "call; *process* is the most that a process held during one, JAX and the",
            "compiled code included.",
            "",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
            ", ".join(f"{name} {number}" for name, number in setting["versions"].items())
            + ".",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Executions of ResNet-20, measured.")
    parser.add_argument("--test", type=int, help="images; all if None")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path, default=RESULTS / "execution.json")
    parser.add_argument("--table", type=Path, default=RESULTS / "execution.md")
    arguments = parser.parse_args()
    setting = {
        "command": command("benchmark_execution"),
        "rounds": arguments.rounds,
        "versions": versions(),
    }
    found = {"setting": setting} | measured(arguments)
    write(arguments.json, found, arguments.table, page(found))


if __name__ == "__main__":
    main()
