"""Configurations are found, checked and written back whole."""

from pathlib import Path

import pytest

from jaxcompress.config import Config
from jaxcompress.config_file import bundled, find, presets, read, write


def test_bundled_names_and_round_trip(tmp_path: Path) -> None:
    config = read(find("digits"))
    assert config.name == "digits"
    write(config, tmp_path / "config.yaml")
    assert read(find(str(tmp_path / "config.yaml"))) == config
    text = (tmp_path / "config.yaml").read_text()
    for key in Config.model_fields:
        assert f"{key}:" in text  # complete, not only what differs from the defaults


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("serch: {}", "unknown key serch; allowed: name, seed"),
        ("search: {population: 3}", "search: population = 3: input should be greater"),
        ("search: {population: many}", "population = 'many'"),
        ("search: {size: 3}", "search: unknown key size; allowed: algorithm, crossover, "),
        ("search: {algorithm: nsga4}", "algorithm = 'nsga4': input should be 'nsga2', 'ns"),
        (
            "search: {algorithm: moead, screening: 2}",
            "search: screening = 2: moead takes no other offspring than its own",
        ),
        (
            "search: {algorithm: decomposed, population: 36}",
            "search: population = 36: must be a multiple of 8, 32 or more",
        ),
        ("space: {weight_bits: [0]}", "weight_bits.0 = 0: input should be 1, 2, 3"),
        ("space: {weight_bits: [4, 40]}", "weight_bits.1 = 40"),
        ("space: {codebook_sizes: [4, 4]}", "none twice"),
        ("adapt: {epochs: 1, scales: learned}", "each has scales of its own"),
        (
            "{adapt: {every: 2}, search: {evaluations: 500}}",
            "adapt.every and search.evaluations exclude each other",
        ),
        ("train: {learning_rate: .inf}", "learning_rate = inf: input should be a finite"),
        ("search: {evaluations: 9}", "evaluations = 9: allowed is population = 48 or more"),
        (
            "{adapt: {batch_norm: trained}, finetune: {batch_norm: trained}, "
            "space: {masks: true}, search: {reestimate: 9, initial: surrogate}}",
            "runs the weights as they are; set adapt.batch_norm to fixed",
        ),
        ("adapt: {batch_norm: trained}", "set search.reestimate to some"),
        (
            "{adapt: {batch_norm: trained}, search: {reestimate: 9}}",
            "set finetune.batch_norm to trained, too",
        ),
        ("library: {members: 1}", "library: members must be 0, or 2 or more"),
        ("library: {members: 3, least: 0.9}", "2 or more with least below most"),
        ("library: {members: 3}", "set adapt.epochs, adapt.focus and"),
        ("merge: left_to_right", "set space.codebook, and space.codebook_scope"),
        ("search: {objectives: [error, values]}", "weights share none; set space.codebook"),
        ("space: {codebook: kmeans}", "weight_bits and space.codebook exclude each other"),
        ("space: {ranks: 4, kernel_sparsity: [0.0, 0.5]}", "set ranks to 0"),
        ("space: {ranks: 1}", "must be 0, or 2 or more"),
        ("space: {sparsity: [1.0]}", "sparsity.0 = 1.0"),
        ("space: {weight_bits: [4, 4]}", "none twice"),
        ("search: {objectives: [error]}", "must begin with error, go on"),
        ("search: {objectives: [size, error]}", "must begin with error, go on"),
        ("{search: {racing: 0.9}, quality: cross_entropy}", "search.racing counts errors"),
        ("search: {racing: 1.0}", "search: racing = 1.0: input should be less than 1"),
        ("space: {masks: true, channels: false}", "masks are of channels"),
        ("search: {initial: surrogate}", "set space.masks to true"),
        ("search: {descent_examples: 9}", "descent_examples = 9: initial is ladder; take"),
        (
            "{quality: cross_entropy, search: {initial: descent, descent_examples: 9}}",
            "quality = 'cross_entropy': it does not say which examples are wrong",
        ),
        ("search: {elites: 49}", "elites = 49: allowed is 0 to population = 48"),
        ("search: {algorithm: random, swap_rate: 0.1}", "swap_rate: random has no such"),
        ("search: {score: saving, objectives: [error, size]}", "needs macs"),
        ("{search: {score: saving}, quality: cross_entropy}", "counts points of accuracy"),
        ("first: {kinds: [ranks, ranks]}", "must name none twice"),
        (
            "{adapt: {every: 9}, search: {generations: 9}}",
            "adapt.every = 9: the search is over after search.generations = 9",
        ),
        ("adapt: {every: 1}", "adapt: every = 1: must be 0, or 2 or more"),
        (
            "{adapt: {every: 2}, search: {score: saving}}",
            "which adapt.every changes within the search; leave one out",
        ),
        (
            "{library: {members: 3}, adapt: {epochs: 0, every: 2}, finetune: {epochs: 0}}",
            "are trained already; set adapt.epochs, adapt.focus and",
        ),
        ("seed: -1", "seed = -1"),
        ("- a\n- b", "must hold a mapping"),
        ("a: [", "is no YAML"),
        ("3: 4", "keys must be words"),
        ("presets: small", "presets in "),
        ("presets: {small: 3}", "must hold a mapping of sections, got 3"),
        ("presets: {small: {3: 4}}", "preset small in "),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ValueError) as caught:
        read(path)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_missing_names_list_what_there_is() -> None:
    with pytest.raises(
        ValueError, match=r"'nowhere' is no file and no bundled name; .*digits"
    ):
        find("nowhere")


PRESETS = """
search: {population: 40, generations: 9}
train: {epochs: 7}
presets:
  small: {search: {population: 8}, name: tiny}
  short: {search: {generations: 3}, name: brief}
  wrong: {search: {populations: 8}}
"""


def test_a_preset_replaces_what_it_names_and_the_profile_comes_after(
    tmp_path: Path,
) -> None:
    path, profile = tmp_path / "own.yaml", tmp_path / "device.yaml"
    path.write_text(PRESETS)
    profile.write_text("name: device")
    assert read(path).search.population == 40
    small = read(path, preset="small")
    assert (small.search.population, small.search.generations) == (8, 9)
    assert (small.train.epochs, small.name) == (7, "tiny")
    both = read(path, preset="small,short")
    assert (both.search.population, both.search.generations) == (8, 3)
    assert (both.name, read(path, preset="short,small").name) == ("brief", "tiny")
    assert read(path, profile, "small") == small.model_copy(update={"name": "device"})
    write(small, tmp_path / "config.yaml")
    assert "presets" not in (tmp_path / "config.yaml").read_text()
    assert read(tmp_path / "config.yaml") == small
    with pytest.raises(ValueError, match="no preset 'big'; there are"):
        read(path, preset="big")
    with pytest.raises(ValueError, match="search: unknown key populations; allowed: algo"):
        read(path, preset="wrong")


@pytest.mark.parametrize("name", bundled("configs"))
def test_bundled_presets_are_configurations(name: str) -> None:
    for preset in (None, *presets(find(name))):
        assert read(find(name), preset=preset).name
