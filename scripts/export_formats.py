"""ResNet-20 in every kind of file: bytes, and whether it still computes the same.

python scripts/export_formats.py [--images 256]

Published weights, nothing retrained, test images of CIFAR-10. ONNX needs the extra `onnx`
and is left out without it. Data: see CONTRIBUTING.md.
"""

import argparse
import tempfile
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export
from published_networks import DATA, published, versions
from safetensors.numpy import load_file

import jaxcompress as jc
from jaxcompress import data

NETWORK = "resnet20_cifar10"


def runner(path: Path) -> Callable[[Any], Any] | None:
    """Returns the function in a file, run by who reads such files; None: it holds none."""
    if path.suffix == ".jcz":
        return jc.load(path)
    if path.suffix == ".stablehlo":
        return jax.jit(jax_export.deserialize(bytearray(path.read_bytes())).call)
    if path.suffix == ".onnx":
        session = import_module("onnxruntime").InferenceSession(path)
        name = session.get_inputs()[0].name
        return lambda x: session.run(None, {name: np.asarray(x)})[0]
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description="Bytes of ResNet-20 in every format.")
    parser.add_argument("--images", type=int, default=256)
    images = parser.parse_args().images
    given = published(NETWORK, data.load("cifar10", data_dir=DATA), 50, images)
    network, x = given.network, jnp.asarray(given.test.first(images)[0])
    paths = [*dict.fromkeys(layer.weight for layer in network.layers)]
    suffixes = [".jcz", ".safetensors", ".stablehlo"]
    suffixes += [".onnx"] if find_spec("jax2onnx") else []
    print(f"| weights | packed |{'|'.join(suffixes)}|\n{'|---' * (2 + len(suffixes))}|")
    for bits in (32, 8, 4):
        each = {path: jnp.int32(bits) for path in paths}
        plan = jc.Plan(weight_bits=each, granularity="channel")
        small = jc.compact(network, plan)
        wanted = np.asarray(jax.jit(small.apply)(small.params, x))
        for packed in (True, False) if bits < 32 else (False,):
            cells = []
            for suffix in suffixes:
                with tempfile.TemporaryDirectory() as directory:
                    path = Path(directory) / f"network{suffix}"
                    if suffix == ".jcz":
                        jc.save(path, small)
                    else:
                        jc.export(path, small, packed)
                    size, run = path.stat().st_size, runner(path)
                    if run is None:
                        assert packed or {*load_file(path)} == {*small.paths}
                        cells.append(f"{size:,}")
                        continue
                    difference = np.abs(np.asarray(run(x)) - wanted).max()
                    relative = difference / np.abs(wanted).max()
                    cells.append(f"{size:,} ({relative:.0e})")
            print(f"| {bits} bits | {packed} | {' | '.join(cells)} |", flush=True)
    print(versions())


if __name__ == "__main__":
    main()
