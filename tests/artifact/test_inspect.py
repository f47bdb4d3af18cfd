"""What is said of a file adds up to its bytes; of a bad one there is one line."""

import json
from pathlib import Path

import pytest
from compress.test_kinds import NETWORK, joint
from safetensors.numpy import load_file

import jaxcompress as jc
from jaxcompress.inspect import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dense and a compressed network in files."""
    found = tmp_path_factory.mktemp("files")
    jc.save(found / "dense.jcz", NETWORK)
    jc.save(found / "small.jcz", jc.compact(NETWORK, joint(0)), {"accuracy": 0.9})
    return found


def test_the_bytes_of_tensors_are_those_of_the_payload(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "small.jcz"
    options = ["--compare", str(folder / "dense.jcz"), "--json"]
    assert main([str(path), *options]) == 0
    found = json.loads(capsys.readouterr().out)
    parts = {name: part.size for name, part in load_file(path).items()}
    stored = sum(each["bytes"] for each in found["tensors"])
    assert stored + 4 * sum(found["codebooks"]) == parts["payload"]
    sizes = found["sizes"]
    assert sizes["file"] == path.stat().st_size == sizes["parameters"] + sizes["program"]
    assert sizes["program"] == parts["metadata"] + parts["program"]
    assert abs(sizes["entropy coded"] - sizes["parameters"]) <= 8
    assert found["compared"]["file"] == (folder / "dense.jcz").stat().st_size
    assert found["metadata"] == {"accuracy": 0.9}
    shapes = {each["parameter"]: each["of"] for each in found["tensors"]}
    assert shapes["b"] == [3, 3, 6, 8]
    small = jc.load(path)
    assert [tuple(each["shape"]) for each in found["tensors"]] == [
        leaf.shape for leaf in small.leaves
    ]
    assert sum(each["macs"] for each in found["layers"]) == sum(
        layer.macs for layer in small.layers
    )


def test_a_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder / "small.jcz"), "--compare", str(folder / "dense.jcz")]) == 0
    page = capsys.readouterr().out
    assert "3x3x6x8" in page and "bytes, " in page and "codebook 0: " in page
    assert "in memory" in page.splitlines()[0] and 'metadata: {"accuracy": 0.9}' in page
    assert page.count("executed in float32\n") == len(jc.load(folder / "small.jcz").layers)


def test_bad_files_make_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.jcz"
    bad.write_bytes((folder / "small.jcz").read_bytes()[:-1])
    good = str(folder / "small.jcz")
    for given in ([str(bad)], [good, "--compare", str(bad)], [str(tmp_path / "none")]):
        assert main(given) == 2
        out, said = capsys.readouterr()
        assert not out and said.startswith("error: ") and said.count("\n") == 1
