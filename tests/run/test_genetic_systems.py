"""Configurations of published systems: what they choose, and small runs of them."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import yaml
from network.zoo import ZOO
from run.tiny import GROUPS, tiny_run

import jaxcompress as jc
from jaxcompress.assemble import algorithm_of, kinds_of, rates_of, space_of
from jaxcompress.config import Config
from jaxcompress.config_file import find, read
from jaxcompress.run_directory import RunDirectory

pytestmark = pytest.mark.usefixtures("compiled_quickly")
NETWORK = jc.trace(*ZOO["mlp"](jax.random.key(0))[:3])


def merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {
        k: merged(under.get(k) or {}, v) for k, v in over.items() if isinstance(v, dict)
    }
    return {**under, **over, **both}


def config_of(name: str, *overs: dict[str, Any]) -> Config:
    tree = yaml.safe_load(find(name).read_text())
    tree.pop("presets")
    for over in overs:
        tree = merged(tree, over)
    return Config(**tree)


def small(name: str) -> dict[str, Any]:
    return yaml.safe_load(find(name).read_text())["presets"]["small"]


@pytest.mark.parametrize("name", ["genecai", "ga_channels"])
def test_full_and_small_forms_are_whole(name: str) -> None:
    full, reduced = config_of(name), config_of(name, small(name))
    assert full.data.name == "cifar10" and reduced.data.name == "digits"
    assert reduced.search.population < full.search.population
    assert full.search.algorithm == reduced.search.algorithm == "genetic"


@pytest.mark.parametrize("algorithm", ["genetic", "nsga2", "moead"])
def test_the_rates_of_genecai_reach_the_algorithm(algorithm: str) -> None:
    config = config_of("genecai", {"search": {"algorithm": algorithm, "population": 8}})
    space = space_of(config, NETWORK, {"scores": jc.importance.l1(NETWORK)})
    initial = np.asarray(space.dense)[None]
    found = algorithm_of(config, space, 3, initial)
    rates: Any = rates_of(config, found)
    rates = getattr(rates, "variation", rates)
    given = (
        rates.crossover_rate,
        rates.swap_rate,
        rates.mutated_share,
        rates.mutation_rate,
    )
    assert np.allclose(given, (0.2, 0.2, 0.8, 0.05))
    assert (found.crossover, found.mutation) == ("uniform", "gaussian")  # type: ignore[attr-defined]
    if algorithm == "genetic":
        assert (found.selection, found.elites) == ("roulette", 0)  # type: ignore[attr-defined]


def test_our_ways_mutate_three_genes_of_a_child() -> None:
    for name in ("genecai", "emomc", "ga_channels", "weight_sharing"):
        config = read(find(name), preset="ours")
        assert (config.search.algorithm, config.search.initial) == ("nsga2", "descent")
        assert config.adapt.epochs and config.finetune.epochs
        assert config.search.mutated_genes == 3
    alone = {"channels": False, "blocks": False}  # bits and zeros of each layer
    config = config_of("joint", {"space": alone, "search": {"mutated_genes": 1.5}})
    space = space_of(config, NETWORK, {})
    found = algorithm_of(config, space, 2, np.asarray(space.dense)[None])
    rates: Any = rates_of(config, found)
    assert len(space) > 2
    assert np.allclose(rates.mutation_rate, 1.5 / len(space))


@pytest.mark.parametrize("first", [["sparsity"], ["channels", "ranks"]])
def test_what_comes_first_must_be_a_part_of_the_space(first: list[str]) -> None:
    config = config_of("genecai", {"first": {"kinds": first}})
    with pytest.raises(ValueError, match=r"the space has .* but not all"):
        kinds_of(config, NETWORK, {})


def kept(place: RunDirectory, stage: str, generations: int = 0) -> dict[str, Any]:
    def missing() -> dict[str, Any]:
        raise AssertionError(f"{stage} was not kept")

    return place.kept(stage, missing, generations)


def test_genecai_decides_ranks_then_channels(tmp_path: Path) -> None:
    outcome = tiny_run(
        "genecai",
        tmp_path,
        first={"generations": 2},
        search={"evaluations": 400},
        finetune={"epochs": 1},
    )
    place = RunDirectory(outcome.directory)
    # Two groups of channels, then ranks: each search leaves the others as they are.
    decided = kept(place, "first")["genotype"]
    assert (decided[:2] == 0).all() and decided[2:].any()
    rows = outcome.result.archive.genotypes
    assert (rows[:, 2:] == 0).all() and len(np.unique(rows[:, :2], axis=0)) == len(rows)
    for stage, parts in (("first_initial", slice(2, None)), ("search_initial", slice(2))):
        found = kept(place, stage)
        assert found["rows"].shape[0] == 8 and found["rows"][:, parts].any()
    # The sweep of 64 and 16 counts at 21 levels, and the draws of 8.
    drawn = int(kept(place, "search_initial")["evaluations"]) - (1 + 20 + 15)
    assert drawn >= 8 and drawn % 8 == 0
    # All counts, and ends where another population would be too many.
    parts = [kept(place, stage)["evaluations"] for stage in ("first", "search_initial")]
    assert outcome.evaluations == sum(map(int, parts)) + len(rows) <= 400
    before = kept(place, "first_initial")["evaluations"]
    assert int(parts[0]) - int(before) in range(9, 17)  # two generations
    assert len((place.path / "metrics_first_search.jsonl").read_text().splitlines()) == 2
    assert outcome.front[0].macs < outcome.dense.macs


def test_ga_channels_keeps_as_many_as_sensitivity_says(tmp_path: Path) -> None:
    outcome = tiny_run("ga_channels", tmp_path, finetune={"epochs": 1})
    place = RunDirectory(outcome.directory)
    keep = kept(place, "space")["keep"]
    rows, at = outcome.result.archive.genotypes, 0
    assert {*keep} == {*GROUPS} and len(rows) >= 2
    for name, size in GROUPS.items():
        assert (rows[:, at : at + size].sum(1) == int(keep[name])).all()
        at += size
    free = {name for name, size in GROUPS.items() if int(keep[name]) < size}
    said = json.loads((place.path / "surrogate.json").read_text())["rank_correlation"]
    assert free and {*said} == free and all(0 < value <= 1 for value in said.values())
    assert outcome.front[0].macs < outcome.dense.macs
