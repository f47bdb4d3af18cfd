"""The systems of the literature, each as its configuration says, made tiny."""

from pathlib import Path

import numpy as np
import pytest
from run.tiny import GROUPS, LAYERS, network, tiny_config, tiny_run

import jaxcompress as jc
from jaxcompress import data
from jaxcompress.assemble import space_of
from jaxcompress.pipeline import Outcome
from jaxcompress.report import error_of
from jaxcompress.report.table import front_table
from jaxcompress.run_directory import RunDirectory

pytestmark = pytest.mark.usefixtures("compiled_quickly")


def judged(outcome: Outcome) -> None:
    """What is reported of each file is what the file says."""
    digits = data.load("digits")
    assert outcome.front
    for member in outcome.front:
        loaded = jc.load(outcome.directory / member.path)
        for split, error in (
            (digits.validation, member.validation_error),
            (digits.test, member.test_error),
        ):
            inputs = digits.normalize(split.inputs)
            found = error_of(loaded, jc.objectives.Error(), inputs, split.targets)
            assert error is not None and abs(found - error) < 0.003
        assert loaded.sizes.parameters == member.size
        assert outcome.dense.energy and member.energy
        assert outcome.dense.energy >= member.energy
    assert front_table(outcome.front, outcome.dense, "share").row_count > 1


def test_emomc(tmp_path: Path) -> None:
    outcome = tiny_run(
        "emomc",
        tmp_path,
        library={"members": 3, "steps": 2},
        search={
            "generations": 2,
            "objectives": ["error", "energy"],
            "max_size": 5_000.0,
        },
    )
    judged(outcome)
    # Not all plans are small enough, but those of the front, in the coding of the search.
    assert 0 < (outcome.result.archive.violation > 0).sum() < 16
    assert all(member.size <= 5_000 for member in outcome.front)
    assert outcome.result.names == ("error", "energy")
    taken = outcome.result.archive.genotypes[:, 0]
    assert set(taken.tolist()) == {0, 1, 2}
    # A file has the zeros of its member, the same share in every layer, or more by grids.
    shares = 1 - np.linspace(0.2, 0.8, 3)
    for member in outcome.front:
        coding = jc.load(outcome.directory / member.path).coding.values()
        zeros = [(c.codes == 0).mean() for c in coding if c.codes is not None]
        assert len(zeros) == len(LAYERS) and np.abs(min(zeros) - shares).min() < 0.01


def test_weight_sharing(tmp_path: Path) -> None:
    outcome = tiny_run("weight_sharing", tmp_path, search={"generations": 2})
    judged(outcome)
    assert outcome.result.names == ("error", "values")
    # The second objective: the bins that are not empty, counted on the host.
    dense = jc.load(outcome.directory / "artifacts" / "dense.jcz")
    names = zip(dense.coding, dense.leaves, strict=True)
    line = np.concatenate(
        [np.ravel(leaf) for path, leaf in names if path.endswith("kernel")]
    ).astype(np.float64)
    archive = outcome.result.archive
    for (gene,), (_, values) in zip(archive.genotypes, archive.objectives, strict=True):
        edges = np.linspace(line.min(), line.max(), gene + 2)
        assert len(np.unique(np.digitize(line, edges))) == values
    # Merged values are fewer than those of a plan that is no better.
    merged = 0
    for member in outcome.front:
        (book,) = jc.load(outcome.directory / member.path).header["books"]
        error, values = archive.objectives.T
        assert ((values >= book) & (error >= member.validation_error - 1e-6)).any()
        merged += book not in values
    assert merged


def test_joint(tmp_path: Path) -> None:
    outcome = tiny_run(
        "joint",
        tmp_path,
        adapt={"epochs": 1},
        finetune={"epochs": 1},
        search={"generations": 20, "evaluations": 120},
    )
    judged(outcome)
    assert outcome.result.names == ("error", "size")
    # A block, two groups, zeros and bits of four layers: each gene at two other heights but
    # the block at one, then lowered one after the other, and a grid of 2 x 2 x 2 x 2 or
    # less: what genes without effect make equal is run once.
    begin = RunDirectory(outcome.directory).kept("search_initial", dict)
    begun, spent = begin["rows"], len(begin["known"]["genotypes"])
    assert 22 + 14 < spent <= 22 + 21 + 16
    # All of it counts once, and the search spends the rest, less what it asks for twice.
    assert 120 - 16 < outcome.evaluations == len(outcome.result.archive) <= 120
    # What was found there is where the search begins, and it goes on in every gene.
    rows = {*map(tuple, outcome.result.archive.genotypes.tolist())}
    assert {*map(tuple, begun.tolist())} <= rows
    assert np.ptp(outcome.result.archive.genotypes, axis=0).all()
    first, *_, last = outcome.result.history
    assert last.hypervolume > first.hypervolume
    generations = 1 + (120 - spent - (8 - len(begun))) // 8
    assert len((outcome.directory / "metrics.jsonl").read_text().splitlines()) == (
        generations
    )


# What our way with the same kinds of choices decides alone, for every layer or group.
OWN = {
    "genecai:ours": ("channels", "ranks"),
    "emomc:ours": ("weight_bits", "sparsity"),
    "ga_channels:ours": ("channels",),
    "weight_sharing:ours": ("codebook_sizes",),
}


@pytest.mark.parametrize("name", OWN)
def test_our_way_decides_for_each_layer(name: str, tmp_path: Path) -> None:
    traced = jc.trace(*network(), np.zeros((2, 8, 8, 1), np.float32))
    known = {"scores": jc.importance.l1(traced)}
    space = space_of(tiny_config(name, tmp_path), traced, known)
    plan = space.decode(space.dense)
    kinds = {kind for kind, chosen in vars(plan).items() if isinstance(chosen, dict)}
    assert {kind for kind in kinds if getattr(plan, kind)} == {*OWN[name]}
    assert plan.member is None and plan.codebook_scope == "layer"
    for kind in OWN[name]:
        assert {*getattr(plan, kind)} == (
            {*GROUPS} if kind == "channels" else {f"{layer}/kernel" for layer in LAYERS}
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_our_way(name: str, tmp_path: Path) -> None:
    once = {"epochs": 1}
    spent = {"generations": 20, "evaluations": 120}
    outcome = tiny_run(name, tmp_path, adapt=once, finetune=once, search=spent)
    judged(outcome)
    assert outcome.evaluations <= 120
    assert np.ptp(outcome.result.archive.genotypes, axis=0).all()
    assert min(m.size for m in outcome.front) < outcome.dense.size
