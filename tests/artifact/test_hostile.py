"""Whatever a file holds: opening it is quick and small, or says what is wrong."""

import json
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from artifact.hostile import closed, crafted, damaged, opened
from compress.test_kinds import NETWORK, joint
from jax import export

import jaxcompress as jc
from jaxcompress.artifact.exported import check_exported
from jaxcompress.codings import CODINGS

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A good file for each coding, of a network with everything in it."""
    found = {}
    small = jc.compact(NETWORK, joint(0))
    for coding in CODINGS:
        path = tmp_path_factory.mktemp("good") / "model.jcz"
        jc.save(path, small, {"note": [1, "a"]}, coding)
        found[coding] = path.read_bytes()
    return found


def load(tmp_path: Path, data: bytes) -> jc.Artifact:
    path = tmp_path / "model.jcz"
    path.write_bytes(data)
    return jc.load(path)


@pytest.mark.parametrize("coding", CODINGS)
def test_damage_never_passes(coding: str, files: dict[str, bytes], tmp_path: Path) -> None:
    """200 mutations each of what is not noticed but by the checksum."""
    rng = np.random.default_rng(0)
    good, done = files[coding], 0
    load(tmp_path, good)
    while done < 200:
        broken = damaged(good, rng)
        if broken != good:
            with pytest.raises(jc.ArtifactError):
                load(tmp_path, broken)
            done += 1


@pytest.mark.parametrize("coding", CODINGS)
def test_a_right_checksum_does_not_help(
    coding: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    """200 mutations each behind the checksum; what is still a file is a small one."""
    rng = np.random.default_rng(1)
    parts, refused = opened(files[coding]), 0
    assert load(tmp_path, closed(parts)).metadata == {"note": [1, "a"]}
    for _ in range(200):
        try:
            loaded = load(tmp_path, crafted(parts, rng))
        except jc.ArtifactError:
            refused += 1
        else:
            shapes = [leaf.shape for leaf in loaded.leaves]
            kept = [each.shape for each in load(tmp_path, files[coding]).leaves]
            assert shapes == kept and {*loaded.coding} and loaded.sizes.program > 0
    assert 100 < refused < 200


def bombs(parts: dict[str, bytes]) -> dict[str, bytes]:
    header = json.loads(parts["header"])
    packed = {n: zlib.compress(p) for n, p in parts.items() if n != "payload"}
    packed["payload"] = parts["payload"]
    zeros = zlib.compress(bytes(1 << 27))

    def with_header(**changes: Any) -> bytes:
        return closed(parts | {"header": json.dumps(header | changes).encode()})

    def with_tensors(*tensors: list) -> bytes:
        return with_header(tensors=tensors)

    found = {name: closed(packed | {name: zeros}, packed=True) for name in packed}
    del found["payload"]
    found["nested"] = closed(parts | {"header": b"[" * 3_000_000})
    found["digits"] = closed(parts | {"header": b"9" * 3_000_000})
    found["axes"] = with_tensors(["w", [2**31 - 1] * 60_000, 0, "", 0, 0])
    found["empty axes"] = with_tensors(["w", [0, *[2**31 - 1] * 20], 0, "range", 0, 0])
    found["many"] = with_tensors(*([f"w{i}", [], 0, "", 0, 0] for i in range(100_000)))
    found["free ones"] = with_tensors(
        *([f"w{i}", [2**20 - 1], 0, "dense", 0, 0] for i in range(64))
    )
    for how in CODINGS:
        found[f"positions, {how}"] = with_tensors(["w", [2**31 - 1], 0, how, 1, 9])
        found[f"grid, {how}"] = with_tensors(["w", [2**27], [8, [1]], how, 0, 9])
        found[f"few, {how}"] = with_tensors(["w", [2**20], [16, [1]], how, 0, 9])
        found[f"scales, {how}"] = with_tensors(["w", [2**20], [16, [2**20]], how, 0, 9])
    found["books"] = with_header(books=[65536] * 9000)
    return found


def test_bombs(files: dict[str, bytes], tmp_path: Path) -> None:
    for name, data in bombs(opened(files["range"])).items():
        path = tmp_path / "model.jcz"
        path.write_bytes(data)
        tracemalloc.start()
        with pytest.raises(jc.ArtifactError):
            jc.load(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 200 * MEGABYTE, name


def tree_of(builder: flatbuffers.Builder, depth: int) -> int:
    """Returns a tree in which each node is both children of the one above it."""
    node = children = 0
    for level in range(depth):
        if level:
            builder.StartVector(4, 2, 4)
            builder.PrependUOffsetTRelative(node)
            builder.PrependUOffsetTRelative(node)
            children = builder.EndVector()
        builder.StartObject(5)
        builder.PrependInt8Slot(0, 2 if level else 0, -1)
        if level:
            builder.PrependUOffsetTRelativeSlot(1, children, 0)
        node = builder.EndObject()
    return node


def envelope(tree: int = 1, dimensions: int = 0, text: str = "") -> bytes:
    builder = flatbuffers.Builder(1024)
    root = tree_of(builder, tree)
    words = [builder.CreateString(text) for _ in range(dimensions)]
    builder.StartVector(4, len(words), 4)
    for word in words:
        builder.PrependUOffsetTRelative(word)
    shape = builder.EndVector()
    builder.StartObject(4)
    builder.PrependUOffsetTRelativeSlot(1, shape, 0)
    aval = builder.EndObject()
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(aval)
    avals = builder.EndVector()
    builder.StartObject(26)
    builder.PrependUOffsetTRelativeSlot(2, root, 0)
    builder.PrependUOffsetTRelativeSlot(4, root, 0)
    builder.PrependUOffsetTRelativeSlot(3, avals, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tree": 60}, "too many"),
        ({"tree": 70, "text": "a" * 190, "dimensions": 9}, "too deep|too many"),
        ({"dimensions": 1, "text": "(a+b)^9"}, "a dimension"),
        ({"dimensions": 1, "text": "(a+b)*" * 30 + "a"}, "a dimension"),
        ({"dimensions": 1, "text": "9" * 300}, "a name of 300"),
        ({"dimensions": 3000, "text": "(a+b)*(c+d)"}, "a dimension"),
        ({}, "has shardings"),
    ],
)
def test_an_envelope_that_would_hold_jax_up(given: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_exported(envelope(**given))


def test_derivatives_and_other_parameters_are_refused(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    parts = opened(files["range"])
    shapes = [leaf.shape for leaf in load(tmp_path, files["range"]).leaves]

    def program(function, *arguments) -> dict[str, bytes]:
        exported = export.export(jax.jit(function))(*arguments)
        return parts | {"program": bytes(exported.serialize())}

    leaves = [jnp.zeros(shape) for shape in shapes]
    x = jnp.ones((1, 8, 8, 3))
    load(tmp_path, closed(program(lambda p, x: x, leaves, x)))
    for wrong in (
        program(lambda p, x: x, leaves[:-1], x),
        program(lambda p, x: x, [jnp.zeros(3), *leaves[1:]], x),
        program(lambda p, x: x, [leaves[0].astype(jnp.int32), *leaves[1:]], x),
        program(lambda x: x, x),
    ):
        with pytest.raises(jc.ArtifactError, match="parameter"):
            load(tmp_path, closed(wrong))
    exported = export.export(jax.jit(lambda p, x: x * p[0].sum()))(leaves, x)
    wrong = parts | {"program": bytes(exported.serialize(vjp_order=1))}
    with pytest.raises(jc.ArtifactError, match="derivatives"):
        load(tmp_path, closed(wrong))


def test_a_call_out_of_stablehlo_is_refused(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    leaves = [jnp.asarray(leaf) for leaf in load(tmp_path, files["range"]).leaves]
    x = jnp.ones((1, 8, 8, 3))

    def evil(p: Any, x: Any) -> Any:
        return jax.ffi.ffi_call("elsewhere", jax.ShapeDtypeStruct(x.shape, x.dtype))(x)

    allowed = export.DisabledSafetyCheck.custom_call("elsewhere")
    exported = export.export(jax.jit(evil), disabled_checks=[allowed])(leaves, x)
    parts = opened(files["range"])
    open_about_it = closed(parts | {"program": bytes(exported.serialize())})
    with pytest.raises(jc.ArtifactError, match="effects"):
        load(tmp_path, open_about_it)
    hidden = replace(exported, disabled_safety_checks=())
    loaded = load(tmp_path, closed(parts | {"program": bytes(hidden.serialize())}))
    with pytest.raises(jc.ArtifactError, match="calls elsewhere"):
        loaded(x)
    network = jc.trace(lambda w, x: evil([], x @ w), jnp.ones((3, 3)), jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="elsewhere"):
        jc.save(tmp_path / "model.jcz", network)
