"""What is saved is what is loaded, and as large as was said."""

import os
import subprocess
import sys
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network.exact import random_inputs
from network.zoo import ZOO
from objectives.test_costs import joint
from safetensors.numpy import load_file, save_file

import jaxcompress as jc
from jaxcompress import objectives
from jaxcompress.artifact import parameter_bytes
from jaxcompress.compress import coded_parameters


def made(
    tmp_path: Path, name: str = "resnet_padded"
) -> tuple[jc.Network, jc.Network, Path]:
    network = jc.trace(*ZOO[name](jax.random.key(0))[:3])
    small = jc.compact(network, joint(network, 1, "channel"))
    path = tmp_path / "model.jcz"
    jc.save(path, small, {"accuracy": 0.5})
    return network, small, path


@pytest.mark.parametrize("name", ["resnet_padded", "vit", "two_inputs"])
def test_loaded_equals_compact(name: str, tmp_path: Path) -> None:
    network = jc.trace(*ZOO[name](jax.random.key(0))[:3])
    plan = joint(network, 1, "channel")
    small = jc.compact(network, plan)
    path = tmp_path / "model.jcz"
    sizes = jc.save(path, small, {"accuracy": 0.5}, coding="dense")
    loaded = jc.load(path)
    assert sizes.parameters + sizes.program == sizes.file == path.stat().st_size
    assert loaded.sizes == sizes and loaded.metadata == {"accuracy": 0.5}
    for batch in (1, 4):
        x = random_inputs(network.example, batch)
        for a, b in zip(
            jax.tree.leaves(jax.jit(small.apply)(small.params, x)),
            jax.tree.leaves(loaded(x)),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    # Alignment in the container, and the digits of numbers that are not known before.
    stored = coded_parameters(network, plan)
    given = small.leaves() | stored[0]  # of normalisations, without their averages
    assert {*loaded.coding} == {*stored[0]}
    for path, leaf in zip(loaded.coding, loaded.leaves, strict=True):
        assert (np.asarray(given[path]) == leaf).all()
    assert abs(sizes.parameters - parameter_bytes(*stored, "dense")) <= 8
    assert abs(sizes.parameters - float(objectives.Size("dense")(network, plan))) <= 60


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    _, _, path = made(tmp_path)
    parts = load_file(path)
    listed = zlib.decompress(parts["header"].tobytes()[4:])
    body = zlib.compress(listed.replace(b'"format":3', b'"format":9'))
    rest = b"".join(parts[name].tobytes() for name in ("metadata", "payload", "program"))
    checksum = zlib.crc32(body + rest).to_bytes(4, "big")
    parts["header"] = np.frombuffer(checksum + body, np.uint8)
    save_file(parts, path)
    with pytest.raises(jc.ArtifactError, match="format 9"):
        jc.load(path)


def test_saving_is_whole_or_not_at_all(tmp_path: Path) -> None:
    _, small, path = made(tmp_path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="plain JSON"):
        jc.save(path, small, {"bad": float("nan")})
    with pytest.raises(ValueError, match="plain JSON"):
        jc.save(path, small, {"bad": object()})
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["model.jcz"]
    with pytest.raises(OSError):
        jc.save(tmp_path / "nowhere" / "model.jcz", small)


def test_other_dtypes_are_refused(tmp_path: Path) -> None:
    params = {"w": jnp.ones((3, 2), jnp.bfloat16)}
    network = jc.trace(lambda p, x: x @ p["w"], params, jnp.ones((2, 3), jnp.bfloat16))
    with pytest.raises(ValueError, match="bfloat16; wanted float32"):
        jc.save(tmp_path / "model.jcz", network)
    assert not os.listdir(tmp_path)


FULL = """
import resource, sys
import jax.numpy as jnp, jaxcompress as jc
network = jc.trace(lambda w, x: x @ w, jnp.ones((400, 100)), jnp.ones((2, 400)))
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    jc.save(sys.argv[1], network)
except OSError:
    print("refused")
"""


def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="no limit to set")
    path = tmp_path / "model.jcz"
    before = b"what was there"
    path.write_bytes(before)
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "refused\n"
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["model.jcz"]
