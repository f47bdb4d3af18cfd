"""Configurations and profiles in YAML files, bundled or the user's own."""

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from jaxcompress.config import Config
from jaxcompress.whole_file import write_whole


def bundled(folder: str) -> dict[str, Path]:
    """Returns the bundled YAML files of "configs" or "profiles" by name."""
    paths = (Path(str(resources.files("jaxcompress"))) / folder).glob("*.yaml")
    return {path.stem: path for path in sorted(paths)}


def find(name: str, folder: str = "configs") -> Path:
    """Returns the path of a configuration or profile: a file, or the name of a bundled one.

    Raises:
        ValueError: there is none; the message lists the bundled ones.
    """
    if Path(name).is_file():
        return Path(name)
    known = bundled(folder)
    if name not in known:
        raise ValueError(
            f"{folder[:-1]} {name!r} is no file and no bundled name; bundled: {list(known)}"
        )
    return known[name]


def read(path: Path, profile: Path | None = None, preset: str | None = None) -> Config:
    """Returns the configuration in a YAML file.

    Args:
        profile: a file of the same form; what it holds replaces what `path` holds.
        preset: a name under `presets` in `path`, which holds by name what replaces the
            rest of the file, before the profile does; or several, with commas between.

    Raises:
        ValueError: a file is no YAML mapping, a key or value is not allowed, or there is
            no such preset.
    """
    tree, known = _tree(path), presets(path)
    tree.pop("presets", None)
    for name in preset.split(",") if preset is not None else ():
        if name not in known:
            there = f"there are {[*known]}" if known else "it has none"
            raise ValueError(f"{path} has no preset {name!r}; {there}")
        tree = _merged(tree, known[name])
    return Config(**(tree if profile is None else _merged(tree, _tree(profile))))


def presets(path: Path) -> dict[str, dict[str, Any]]:
    """Returns by name the presets of a configuration, as they stand in the file."""
    found = _mapping(f"presets in {path}", _tree(path).get("presets", {}))
    for name, part in found.items():
        _mapping(f"preset {name} in {path}", part)
    return found


def _tree(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    return _mapping(str(path), tree)


def _mapping(where: str, tree: Any) -> dict[str, Any]:
    if not isinstance(tree, dict):
        raise ValueError(f"{where} must hold a mapping of sections, got {tree!r:.60}")
    if not all(isinstance(key, str) for key in tree):
        raise ValueError(f"{where}: keys must be words, got {list(tree)}")
    return tree


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        below = under.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            value = _merged(below, value)
        merged[key] = value
    return merged


def write(config: Config, path: Path) -> None:
    """Writes a configuration, complete, so that it can be run again."""
    tree = config.model_dump(mode="json")
    write_whole(path, yaml.safe_dump(tree, sort_keys=False).encode())
