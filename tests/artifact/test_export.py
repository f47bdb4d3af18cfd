"""Files of other kinds compute what the compact network does, and keep its codes."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import export as jax_export
from network.exact import close, compiled
from safetensors import safe_open

import jaxcompress as jc
from jaxcompress import models
from jaxcompress.artifact.whole_bytes import stored, values
from jaxcompress.codings.tensor import Coding
from jaxcompress.inspect import main

X = jnp.asarray(np.random.default_rng(1).normal(size=(4, 6, 6, 2)), jnp.float32)


def apply(p: Any, x: Any) -> Any:
    """A convolution, more channels of zeros, and two dense layers."""
    numbers = ("NHWC", "HWIO", "NHWC")
    x = jax.lax.conv_general_dilated(
        x, p["conv"], (2, 2), "SAME", dimension_numbers=numbers
    )
    x = jnp.pad(jax.nn.relu(x), ((0, 0), (0, 0), (0, 0), (1, 2)))
    return jax.nn.relu(x.reshape(x.shape[0], -1) @ p["dense"]) @ p["last"]


@pytest.fixture(scope="module")
def small() -> jc.Network:
    """A grid of 3 bits in 5 channels, a codebook with zeros between, plain values."""
    rng = np.random.default_rng(0)
    shapes = {"conv": (3, 3, 2, 6), "dense": (81, 8), "last": (8, 3)}
    params = {n: jnp.asarray(rng.normal(size=s), jnp.float32) for n, s in shapes.items()}
    network = jc.trace(apply, params, X)
    group = next(group for group in network.prunable if group.size == 6)
    plan = jc.Plan(
        channels={group.name: jnp.arange(6) != 2},
        weight_bits={"conv": jnp.int32(3)},
        codebook_sizes={"dense": jnp.int32(5)},
        sparsity={"dense": jnp.float32(0.5)},
    )
    return jc.compact(network, plan)


@pytest.fixture(scope="module")
def outputs(small: jc.Network) -> Any:
    return compiled(small.apply)(small.params, X)


def codings() -> list[Coding]:
    """Grids of all bits, with and without zeros; codebooks with and without a mask."""
    rng = np.random.default_rng(0)
    found, scale = [], rng.normal(size=(1, 7)).astype(np.float32)
    for bits in (1, 2, 3, 4, 5, 8, 9, 16):
        most = 2 ** (bits - 1) - 1
        codes = rng.integers(-most, most + 1, (5, 7))
        codes[0, :2] = most, -most
        if bits == 1:
            codes = np.sign(rng.normal(size=(5, 7))).astype(int)
            found.append(Coding(1, codes * (rng.random((5, 7)) < 0.5), scale))
        found.append(Coding(bits, codes, scale))
    for size in (1, 2, 16, 300):
        book = np.sort(rng.normal(size=size)).astype(np.float32)
        codes = rng.integers(0, size, (5, 7))
        codes[0, 0] = size - 1
        for mask in (None, rng.random((5, 7)) < 0.5):
            found.append(Coding(9, codes, codebook=book, nonzero=mask))
    return found


@pytest.mark.parametrize("coding", codings(), ids=lambda coding: str(coding.bits))
def test_whole_bytes_hold_the_values(coding: Coding) -> None:
    assert coding.codes is not None
    if coding.codebook is not None:
        wanted = coding.codebook[coding.codes]
        wanted = wanted if coding.nonzero is None else wanted * coding.nonzero
    else:
        assert coding.scale is not None
        wanted = coding.codes.astype(np.float32) * coding.scale
    found = stored(wanted, coding)
    assert (np.asarray(values(found)) == wanted).all()
    # A width is the next one of 1, 2, 4, 8, 16.
    symbols = coding.alphabet + (coding.nonzero is not None)
    if coding.bits == 1:
        symbols = 2 if coding.codes.all() else 3
    width = 1
    while 1 << width < symbols:
        width *= 2
    assert found.width == width
    assert found.arrays["codes"].nbytes == -(-coding.codes.size * width // 8)
    assert [*stored(wanted, coding, packed=False).arrays] == ["values"]


def decoded(path: Path) -> dict[str, np.ndarray]:
    """Reads safetensors as its own words say."""
    with safe_open(path, "numpy") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, entry in json.loads(metadata.get("coded", "{}")).items():
        data, width = tensors.pop(f"{name}.codes"), entry["width"]
        bits = np.unpackbits(data.view(np.uint8), bitorder="little")
        count = int(np.prod(entry["shape"]))
        fields = bits[: count * width].reshape(count, width).astype(np.int64)
        codes = (fields << np.arange(width)).sum(axis=1).reshape(entry["shape"])
        if f"{name}.codebook" in tensors:
            tensors[name] = tensors.pop(f"{name}.codebook")[codes]
        else:
            grid = (entry["step"] * codes - entry["zero"]).astype(np.float32)
            tensors[name] = grid * tensors.pop(f"{name}.scale")
    return tensors


@pytest.mark.parametrize("packed", [True, False])
def test_safetensors(small: jc.Network, tmp_path: Path, packed: bool) -> None:
    jc.save(tmp_path / "small.jcz", small)
    path = tmp_path / "small.safetensors"
    for model in (small, jc.load(tmp_path / "small.jcz")):
        assert jc.export(path, model, packed) == path.stat().st_size
        found = decoded(path)
        assert {*found} == {*small.paths}
        for name, leaf in small.leaves().items():
            assert (found[name] == np.asarray(leaf)).all()


def test_stablehlo(small: jc.Network, outputs: Any, tmp_path: Path) -> None:
    jc.save(tmp_path / "small.jcz", small)
    path = tmp_path / "small.stablehlo"
    for model in (small, jc.load(tmp_path / "small.jcz")):
        jc.export(path, model)
        function = jax_export.deserialize(bytearray(path.read_bytes()))
        assert function.platforms == ("cpu", "cuda", "tpu")
        close(compiled(function.call)(X), outputs)
        close(compiled(function.call)(X[:1]), outputs[:1])


def test_programs_hold_codes_and_not_their_values(tmp_path: Path) -> None:
    params = {"w": jnp.asarray(np.random.default_rng(0).normal(size=(64, 512)), "f4")}
    network = jc.trace(lambda p, x: x @ p["w"], params, jnp.zeros((2, 64)))
    small = jc.compact(network, jc.Plan(weight_bits={"w": jnp.int32(4)}))
    path = tmp_path / "w.stablehlo"
    half, whole = jc.export(path, small), jc.export(path, small, packed=False)
    assert 64 * 512 // 2 < half < 64 * 512 // 2 + 8000
    assert 64 * 512 * 4 < whole < 64 * 512 * 4 + 8000


@pytest.mark.parametrize("packed", [True, False])
def test_onnx(small: jc.Network, outputs: Any, tmp_path: Path, packed: bool) -> None:
    pytest.importorskip("jax2onnx", reason='pip install -e ".[onnx]"')
    runtime = pytest.importorskip("onnxruntime", reason='pip install -e ".[onnx]"')
    path = tmp_path / "small.onnx"
    jc.export(path, small, packed)
    session = runtime.InferenceSession(path)
    (given,) = session.get_inputs()
    for batch in (1, 4):
        (found,) = session.run(None, {given.name: np.asarray(X[:batch])})
        close(found, np.asarray(outputs[:batch]))


class Small(nnx.Module):
    """A convolution with batch norm, a list of dense layers, dropout."""

    def __init__(self, width: int, rngs: nnx.Rngs) -> None:
        self.conv = nnx.Conv(2, width, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.dense = nnx.List([nnx.Linear(width, 4, rngs=rngs)])
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.norm(self.conv(x))).mean((1, 2))
        return self.dense[0](self.dropout(x))


def test_parameters_go_into_a_narrower_module(tmp_path: Path) -> None:
    whole = Small(6, nnx.Rngs(0))
    whole.norm.mean[...], whole.norm.var[...] = jnp.arange(6.0), jnp.arange(1.0, 7.0)
    apply, params = models.as_function(whole)
    x = jax.random.normal(jax.random.key(1), (3, 5, 5, 2))
    network = jc.trace(apply, params, x)
    (group,) = network.prunable
    kept = jnp.asarray([True, False, True, True, False, True])
    bits = {layer.weight: jnp.int32(8) for layer in network.layers}
    small = jc.compact(network, jc.Plan(channels={group.name: kept}, weight_bits=bits))
    wanted = compiled(small.apply)(small.params, x)
    jc.save(tmp_path / "small.jcz", small)
    narrow = Small(4, nnx.Rngs(1))
    before = jax.tree.map(np.asarray, nnx.state(narrow, nnx.Param))
    for model in (small, jc.load(tmp_path / "small.jcz")):
        module = jc.as_nnx(narrow, model)
        # A file knows no averages but those that stand for them: they are always taken.
        assert module.norm.use_running_average == (model is not small)
        module.eval()
        close(nnx.jit(lambda module, x: module(x))(module, x), wanted)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(narrow, nnx.Param), before)
    with pytest.raises(ValueError, match=r"'conv/bias' has shape \(4,\) .* and \(6,\)"):
        jc.as_nnx(whole, small)
    with pytest.raises(ValueError, match="network has no parameter 'bias'"):
        jc.as_nnx(nnx.Linear(2, 4, rngs=nnx.Rngs(0)), small)
    with pytest.raises(ValueError, match="module has no parameter 'dense/0/bias'"):
        jc.as_nnx(nnx.Dict(conv=module.conv, norm=module.norm), small)


def test_what_cannot_be(small: jc.Network, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'.pt' names no format; allowed: .*'.onnx'"):
        jc.export(tmp_path / "small.pt", small)
    jc.save(tmp_path / "small.jcz", small)
    with pytest.raises(ValueError, match="give the network that `compact` returned"):
        jc.export(tmp_path / "small.onnx", jc.load(tmp_path / "small.jcz"))
    whole = jc.trace(lambda p, x: x @ p, jnp.ones((2, 2), jnp.bfloat16), jnp.ones((1, 2)))
    with pytest.raises(ValueError, match="is bfloat16; wanted float32"):
        jc.export(tmp_path / "small.safetensors", whole)
    assert [path.name for path in tmp_path.iterdir()] == ["small.jcz"]


def test_the_command_line(
    small: jc.Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jc.save(tmp_path / "small.jcz", small)
    path = tmp_path / "small.safetensors"
    assert main([str(tmp_path / "small.jcz"), "--export", str(path)]) == 0
    assert f"exported: {path.stat().st_size:,} bytes" in capsys.readouterr().out
    assert main([str(tmp_path / "small.jcz"), "--export", "small.tflite"]) == 2
    out, said = capsys.readouterr()
    assert not out and "'.tflite' names no format" in said and said.count("\n") == 1
