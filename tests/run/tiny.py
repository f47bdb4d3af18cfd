"""A network and runs of it, whole but tiny: what takes minutes elsewhere takes seconds."""

import io
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import yaml
from jaxtyping import Array
from rich.console import Console

from jaxcompress import data
from jaxcompress.config import Config
from jaxcompress.config_file import find, read
from jaxcompress.pipeline import Outcome, run

LAYERS = ("stem", "block1", "block2", "head")
GROUPS = {"stem": 64, "block1": 16}  # channels, in the order of their genes
EPSILON = 1e-5
TINY: dict[str, Any] = {
    "model": "run.tiny:network",
    "search": {"population": 8},
    "report": {"members": 3, "baselines": False},
}


def tiny_config(name: str, folder: Path, **values: Any) -> Config:
    """Returns presets of a bundled configuration with yet less of everything.

    Args:
        name: of the configuration, and of a preset after "small", such as "emomc:ours".
    """
    name, *others = name.split(":")
    tree = yaml.safe_load(find(name).read_text())
    tree["presets"] |= {"tiny": TINY, "values": values}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return read(path, preset=",".join(["small", *others, "tiny", "values"]))


def tiny_run(name: str, folder: Path, **values: Any) -> Outcome:
    """Runs a `tiny_config`."""
    config = tiny_config(name, folder, **values)
    return run(config, folder / "run", Console(file=io.StringIO()))


def network() -> tuple[Any, Any]:
    """Random features of digits and the head that fits them best: no gradient step."""
    digits = data.load("digits")
    images = jnp.asarray(digits.normalize(digits.train.inputs))
    rng = np.random.default_rng(0)
    stem, block = GROUPS["stem"], GROUPS["block1"]
    params: dict[str, dict[str, Any]] = {
        "stem": {"kernel": _kernel(rng, 64, stem)},
        "block1": {"kernel": _kernel(rng, stem, block)},
        "block2": {"kernel": _kernel(rng, block, stem)},
    }
    params["stem"]["norm"] = _norm(_flat(images) @ params["stem"]["kernel"])
    params["block1"]["norm"] = _norm(_stem(params, images) @ params["block1"]["kernel"])
    features = np.asarray(_features(params, images), np.float64)
    ones = np.column_stack([features, np.ones(len(features))])
    targets = np.eye(10)[digits.train.targets]
    head = np.linalg.solve(ones.T @ ones + np.eye(stem + 1), ones.T @ targets)
    params["head"] = {"kernel": head[:-1], "bias": head[-1]}
    return apply, jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params)


def apply(params: Any, images: Array) -> Array:
    """Maps float32 [N, 8, 8, 1] to logits [N, 10]."""
    return _features(params, images) @ params["head"]["kernel"] + params["head"]["bias"]


def _features(params: Any, images: Array) -> Array:
    x = _stem(params, images)
    inner = x @ params["block1"]["kernel"]
    inner = jax.nn.relu(_normalized(params["block1"]["norm"], inner))
    return jax.nn.relu(x + inner @ params["block2"]["kernel"])


def _stem(params: Any, images: Array) -> Array:
    x = _flat(images) @ params["stem"]["kernel"]
    return jax.nn.relu(_normalized(params["stem"]["norm"], x))


def _flat(images: Array) -> Array:
    return images.reshape(images.shape[0], -1)


def _normalized(norm: dict[str, Any], x: Array) -> Array:
    scale = norm["scale"] * jax.lax.rsqrt(norm["var"] + EPSILON)
    return (x - norm["mean"]) * scale + norm["bias"]


def _norm(features: Array) -> dict[str, Array]:
    size = features.shape[1]
    mean, var = features.mean(0), features.var(0)
    return {"scale": jnp.ones(size), "bias": jnp.zeros(size), "mean": mean, "var": var}


def _kernel(rng: np.random.Generator, rows: int, columns: int) -> Array:
    return jnp.asarray(rng.normal(0, rows**-0.5, (rows, columns)), jnp.float32)
