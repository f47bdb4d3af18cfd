"""Configurations are found, checked and written back whole."""

from pathlib import Path

import pytest

from jaxcompress.config import Config
from jaxcompress.config_file import find, read, write


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
            "search: {algorithm: decomposed, population: 36}",
            "search: population = 36: must be a multiple of 8, 32 or more",
        ),
        ("space: {weight_bits: [0]}", "weight_bits.0 = 0: input should be 1, 2, 3"),
        ("space: {weight_bits: [4, 40]}", "weight_bits.1 = 40"),
        ("space: {codebook_sizes: []}", "at least one number"),
        ("space: {codebook: kmeans}", "weight_bits and space.codebook exclude each other"),
        ("space: {ranks: 4, kernel_sparsity: [0.0, 0.5]}", "set ranks to 0"),
        ("space: {ranks: 1}", "must be 0, or 2 or more"),
        ("space: {sparsity: [1.0]}", "sparsity.0 = 1.0"),
        ("space: {weight_bits: [4, 4]}", "none twice"),
        ("search: {objectives: [size, error]}", "begin with error, size"),
        ("{search: {racing: 0.9}, quality: cross_entropy}", "search.racing counts errors"),
        ("search: {racing: 1.0}", "search: racing = 1.0: input should be less than 1"),
        ("space: {masks: true, channels: false}", "masks are of channels"),
        ("search: {initial: surrogate}", "set space.masks to true"),
        ("search: {elites: 49}", "elites = 49: allowed is 0 to population = 48"),
        ("search: {algorithm: random, swap_rate: 0.1}", "swap_rate: random has no such"),
        ("search: {score: saving, objectives: [error, size]}", "needs macs"),
        ("{search: {score: saving}, quality: cross_entropy}", "counts points of accuracy"),
        ("first: {kinds: [ranks, ranks]}", "must name none twice"),
        ("seed: -1", "seed = -1"),
        ("- a\n- b", "must hold a mapping"),
        ("a: [", "is no YAML"),
        ("3: 4", "keys must be words"),
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
