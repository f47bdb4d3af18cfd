"""Every gene kind and random joint plans: what a fresh process loads is what was saved.

With `--plans 50`, as in `scripts/check_artifacts.py`, 50 joint plans of each network.
"""

import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network.exact import QUICKLY, compiled, random_inputs
from network.zoo import ZOO

import jaxcompress as jc
from jaxcompress.artifact import executable
from jaxcompress.codings import CODINGS

# What jax itself is made of, too.
NEEDED = "jax jaxlib numpy flatbuffers ml_dtypes opt_einsum scipy".split()
ROOT = Path(__file__).parents[2]
QUICK_FLAGS = " ".join(f"--{name}={int(value)}" for name, value in QUICKLY.items())
WHERE = {"jaxcompress": ROOT, "standalone_loader": ROOT / "docs"}
PROCESS = """
import sys
from pathlib import Path
import numpy as np
loader = sys.argv[1]
sys.path += sys.argv[2:]
if loader == "jaxcompress":
    import jaxcompress
    load = jaxcompress.load
    try:
        jaxcompress.search
    except ImportError as error:
        assert "needs the package" in str(error)
    else:
        raise SystemExit("something else is installed")
else:
    from standalone_loader import load
for path in sorted(Path().glob("*.jcz")):
    with np.load(path.with_suffix(".npz")) as inputs:
        x = [inputs[name] for name in inputs.files]
    outputs = load(path)(x[0] if len(x) == 1 else tuple(x))
    np.save(path.with_suffix(f".{loader}.npy"), outputs)
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with jax, numpy and flatbuffers, and nothing else that is installed."""
    folder = tmp_path_factory.mktemp("packages")
    for name in NEEDED:
        spec = find_spec(name)
        assert spec and spec.submodule_search_locations
        package = Path(spec.submodule_search_locations[0])
        (folder / name).symlink_to(package)
        libraries = package.with_name(f"{name}.libs")
        if libraries.exists():
            (folder / libraries.name).symlink_to(libraries)
    return folder


def wide() -> tuple[Any, Any, Any]:
    """A convolution, three dense layers and a block that can go, 203,000 parameters."""
    rng = np.random.default_rng(0)
    shapes = {
        "conv": (3, 3, 3, 32),
        "dense": (800, 200),
        "block": (200, 100),
        "back": (100, 200),
        "last": (200, 10),
    }
    params = {
        name: jnp.asarray(rng.laplace(size=shape) / np.sqrt(np.prod(shape[:-1])), "f4")
        for name, shape in shapes.items()
    }

    def apply(p: Any, x: Any) -> Any:
        numbers = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(
            x, p["conv"], (2, 2), "VALID", dimension_numbers=numbers
        )
        x = jax.nn.relu(x).reshape(x.shape[0], -1)
        x = jax.nn.relu(x @ p["dense"])
        return (x + jax.nn.relu(x @ p["block"]) @ p["back"]) @ p["last"]

    return apply, params, jnp.zeros((2, 11, 11, 3))


def traced(name: str) -> jc.Network:
    if name == "wide":
        return jc.trace(*wide())
    return jc.trace(*ZOO[name](jax.random.key(0))[:3])


def joint(network: jc.Network, scope: str = "layer") -> jc.Space:
    """All kinds in one space; every second weight has bits, the others codebooks."""
    layers = [*dict.fromkeys(layer.name for layer in network.layers)]
    windows = [layer.name for layer in network.layers if layer.kernel_axes]
    dense = [name for name in layers if name not in windows]
    leaves = network.leaves()
    shared = [layer for layer in network.layers if layer.name in layers[1::2]]
    most = min(300, *(leaves[layer.weight].size for layer in shared))
    genes = [
        jc.genes.ChannelMask(),
        jc.genes.Sparsity((0.0, 0.5, 0.9), scope),
        jc.genes.WeightBits((1, 4, 8, 16, 32), layers=layers[::2]),
        jc.genes.Codebook((4, most), "uniform", scope, layers=layers[1::2]),
        jc.genes.Rank(layers=dense),
        jc.genes.ActivationBits(jc.calibrate(network, random_inputs(network.example, 4))),
    ]
    if network.blocks:
        genes.append(jc.genes.KeepBlock())
    if windows:
        genes.append(jc.genes.KernelMask(layers=windows))
    return jc.Space(network, genes)


@cache
def estimated(network: jc.Network) -> Any:
    return compiled(lambda plan: jc.objectives.Size("range")(network, plan))


def saved(
    network: jc.Network,
    plan: jc.Plan,
    path: Path,
    coding: str,
    execution: str = "float32",
) -> jc.Network:
    """Saves a compact network with inputs and its own outputs beside it."""
    small = jc.compact(network, plan)
    sizes = jc.save(path, small, {"plan": path.stem}, coding, execution)
    assert sizes.parameters + sizes.program == path.stat().st_size
    if coding == "range" and sizes.parameters > 50_000:
        size = float(estimated(network)(plan))
        assert size == pytest.approx(sizes.parameters, rel=0.02)
    x = random_inputs(network.example, 3)
    np.savez(path.with_suffix(".npz"), *map(np.asarray, jax.tree.leaves(x)))
    run = executable(small, execution)
    outputs = jax.jit(run.apply, compiler_options=QUICKLY)(run.params, x)
    np.save(path.with_suffix(".here.npy"), outputs)
    return small


def compare(directory: Path, loader: str, packages: Path) -> None:
    """Runs all files of a directory in one fresh process and compares the outputs."""
    start = f"import sys; sys.path.append({str(packages)!r}){PROCESS}"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", start, loader, str(WHERE[loader])],
        cwd=directory,
        env=os.environ | {"XLA_FLAGS": f"{os.environ['XLA_FLAGS']} {QUICK_FLAGS}"},
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stderr[-3000:]
    for path in directory.glob("*.jcz"):
        here = np.load(path.with_suffix(".here.npy"))
        there = np.load(path.with_suffix(f".{loader}.npy"))
        np.testing.assert_allclose(
            there, here, rtol=1e-5, atol=1e-5 * np.abs(here).max(), err_msg=path.stem
        )


@pytest.mark.parametrize(
    "name", ["wide", pytest.param("resnet_padded", marks=pytest.mark.slow)]
)
def test_every_gene_kind_by_both_loaders(name: str, tmp_path: Path, packages: Path) -> None:
    """In an environment with jax, numpy and flatbuffers alone."""
    network = traced(name)
    space = joint(network)
    decode = jax.jit(space.decode)  # one compilation for all plans
    drawn = np.asarray(space.sample(jax.random.key(0), 1)[0])
    for place, kind in enumerate(space.kinds):
        genotype = space.dense.copy()
        genotype[kind] = drawn[kind]
        coding = [*CODINGS][place % len(CODINGS)]
        saved(network, decode(genotype), tmp_path / f"{place}.jcz", coding)
    small = saved(network, decode(drawn), tmp_path / "joint.jcz", "range")
    for coding in CODINGS:
        jc.save(tmp_path / f"joint {coding}.jcz", small, coding=coding)
        for kind in (".npz", ".here.npy"):
            shutil.copy(tmp_path / f"joint{kind}", tmp_path / f"joint {coding}{kind}")
    for execution in ("packed", "integer"):
        saved(network, decode(drawn), tmp_path / f"{execution}.jcz", "range", execution)
    compare(tmp_path, "jaxcompress", packages)
    compare(tmp_path, "standalone_loader", packages)


@pytest.mark.parametrize(
    "name",
    ["wide", *(pytest.param(n, marks=pytest.mark.slow) for n in ("resnet_padded", "vit"))],
)
def test_joint_plans(
    name: str, tmp_path: Path, packages: Path, request: pytest.FixtureRequest
) -> None:
    network = traced(name)
    space = joint(network, "network" if name == "wide" else "layer")
    decode, count = jax.jit(space.decode), request.config.option.plans
    for place, genotype in enumerate(space.sample(jax.random.key(7), count)):
        saved(network, decode(genotype), tmp_path / f"{place}.jcz", "range")
    compare(tmp_path, "standalone_loader", packages)
