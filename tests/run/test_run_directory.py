"""Finished stages are kept, a run is resumed as it was, and one process is at it."""

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcompress.config import Config
from jaxcompress.config_file import read
from jaxcompress.run_directory import differing, made, reopened
from jaxcompress.searched import _plain

CONFIG = Config(name="small")


def grown(generations: int) -> Config:
    return Config(name="small", search={"generations": generations})  # type: ignore[arg-type]


def never() -> dict[str, Any]:
    raise AssertionError("a finished stage ran again")


def test_what_is_not_finite_is_null_in_metrics() -> None:
    told = {"best": {"error": np.inf, "size": 2.0}, "hypervolume": float("nan"), "n": 1}
    said = json.dumps(_plain(told), allow_nan=False)
    wanted = {"best": {"error": None, "size": 2.0}, "hypervolume": None, "n": 1}
    assert json.loads(said) == wanted


def test_a_finished_stage_does_not_run_again(tmp_path: Path) -> None:
    tree = {
        "blocks": {0: {"w": jnp.ones((2, 3))}, 1: {"w": jnp.zeros(0, jnp.int8)}},
        "a/b.c": np.asarray([0.1, 0.2]),
    }
    with made(CONFIG, tmp_path / "run") as place:
        first = place.kept("train", lambda: tree)
        assert place.has("train") and not place.has("adapt")
    with reopened(CONFIG, tmp_path / "run") as place:
        again = place.kept("train", never)
    assert list(again["blocks"]) == [0, 1]
    for given in (first, again):
        np.testing.assert_array_equal(given["a/b.c"], tree["a/b.c"])
        assert given["a/b.c"].dtype == np.float64
        np.testing.assert_array_equal(given["blocks"][0]["w"], np.ones((2, 3)))
        assert given["blocks"][1]["w"].dtype == np.int8


def test_what_follows_more_generations_runs_again(tmp_path: Path) -> None:
    with made(grown(40), tmp_path / "run") as place:
        place.kept("finetune", lambda: {"x": np.float32(40)}, 40)
        assert place.kept("finetune", never, 40)["x"] == 40
    with reopened(grown(60), tmp_path / "run") as place:
        assert place.kept("finetune", lambda: {"x": np.float32(60)}, 60)["x"] == 60
        assert place.has("finetune", 60) and not place.has("finetune", 40)
    assert read(tmp_path / "run" / "config.yaml") == grown(60)


def test_a_damaged_stage_runs_again(tmp_path: Path) -> None:
    with made(CONFIG, tmp_path / "run") as place:
        place.kept("train", lambda: {"x": np.arange(3)})
        for path in (place.checkpoints("train") / "0").rglob("*"):
            if path.is_file():
                path.write_bytes(b"")
        found = place.kept("train", lambda: {"x": np.arange(4)})
        assert len(found["x"]) == 4 and len(place.kept("train", never)["x"]) == 4


def test_bad_input_leaves_nothing_and_a_stopped_run_everything(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run"
    with pytest.raises(ValueError, match="bad"), made(CONFIG, path):
        raise ValueError("bad")
    assert not any(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt), made(CONFIG, path):
        raise KeyboardInterrupt
    assert read(path / "config.yaml") == CONFIG
    # Killed before it was written: nothing is there but what was to become it.
    (path / "config.yaml").rename(path / ".config.yaml.x1y2")
    with pytest.raises(KeyboardInterrupt), made(CONFIG, path):
        raise KeyboardInterrupt
    with pytest.raises(ValueError, match="bad"), reopened(CONFIG, path):
        raise ValueError("bad")
    assert path.is_dir()
    with pytest.raises(ValueError, match="late"), made(CONFIG, tmp_path / "late") as place:
        place.kept("train", lambda: {"x": np.arange(3)})
        raise ValueError("late")
    with reopened(CONFIG, tmp_path / "late") as place:
        place.kept("train", never)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with (
        made(CONFIG, tmp_path / "run"),
        pytest.raises(ValueError, match="a run is going on there"),
        reopened(CONFIG, tmp_path / "run"),
    ):
        pass


def test_another_configuration_is_refused_with_its_keys(tmp_path: Path) -> None:
    with made(CONFIG, tmp_path / "run"):
        pass
    other = Config(name="small", seed=3, space={"multiple_of": 4})  # type: ignore[arg-type]
    words = "seed = 0 and not 3, space.multiple_of = 1 and not 4; leave these out"
    with pytest.raises(ValueError, match=words), reopened(other, tmp_path / "run"):
        pass
    assert read(tmp_path / "run" / "config.yaml") == CONFIG
    assert differing(grown(40), grown(41)) == []
    assert differing(grown(40), grown(39)) == ["search.generations = 40 and not 39"]
    with pytest.raises(ValueError, match="is no run directory"), reopened(CONFIG, tmp_path):
        pass
