"""What makes two searches the same, in words and digests."""

import hashlib
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from jaxcompress.evolution import Algorithm
from jaxcompress.processes import from_first
from jaxcompress.search.evaluator import Evaluator
from jaxcompress.search.measure import Measure
from jaxcompress.search.racing import Racing
from jaxcompress.space import Space

FORMAT = 4  # of these settings


def settings_of(
    key: PRNGKeyArray,
    algorithm: Algorithm,
    evaluate: Evaluator | Racing,
    measure: Measure | None,
    params: Any,
    first: Any,
    known: Any,
    screening: int,
    alone: Any,
) -> dict[str, Any]:
    """Returns what must not change between a stop and a resume, as JSON by name."""
    simple = (bool, int, float, str)
    own = {k: v for k, v in vars(algorithm).items() if isinstance(v, simple)}
    network, source = evaluate.network, evaluate.source
    return {
        "format": FORMAT,
        "key": jax.random.key_data(key).tolist(),
        "algorithm": type(algorithm).__name__,
        **{name.strip("_"): value for name, value in own.items()},
        "rates": digest(params),
        **_race(evaluate),
        "objectives": [_named(objective) for objective in evaluate.objectives],
        "constraints": [[_named(c.objective), c.limit] for c in evaluate.constraints],
        "cardinality": np.asarray(evaluate.space.cardinality).tolist(),
        "choices": _choices(evaluate.space),
        "network": digest(network.leaves()),
        "examples": digest(source.batches),
        "params": digest(source.params),
        "calibration": digest(source.calibration),
        "measure": None if measure is None else repr(measure),
        "first": None if first is None else digest(first),
        "known": None if known is None else digest(known),
        "screening": screening,
        "alone": None if alone is None else digest(alone),
        "precision": evaluate.products.precision,
    }


def _named(objective: Any) -> list[str]:
    """Returns the kind of an objective and what it holds, but for what it has cached."""
    own = {k: v for k, v in vars(objective).items() if not k.startswith("_")}
    return [type(objective).__name__, *(f"{k}={_told(v)}" for k, v in own.items())]


def _told(value: Any) -> str:
    """Returns what tells a value from others, in this process and the next."""
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if callable(value):
        where = getattr(value, "__module__", "")
        return f"{where}.{getattr(value, '__qualname__', type(value).__name__)}"
    return digest(value)


def _choices(space: Space) -> str:
    """Returns a digest of what every choice of every gene means, all genes at it."""
    heights = np.arange(int(max(space.cardinality)))[:, None]
    rows = np.minimum(heights, np.asarray(space.cardinality) - 1).astype(np.int32)
    rows = np.asarray(space.repair(jax.numpy.asarray(rows)))
    return digest(jax.jit(jax.vmap(space.decode))(rows))


def _race(evaluate: Evaluator | Racing) -> dict[str, Any]:
    """Returns what a race's memory is of, as JSON by name; None where there is no race."""
    ends = confidence = None
    if isinstance(evaluate, Racing):
        size, most = evaluate.evaluate.batch_size, evaluate.examples
        ends = [min(int(size * end), most) for end in evaluate.stages]
        confidence = evaluate.confidence
    return {"racing": confidence, "stages of racing": ends}


def check_agreement(settings: dict[str, Any]) -> None:
    """Raises ValueError if this process has another search than the first of many."""
    if other := differing(from_first(lambda: settings), settings):
        raise ValueError(
            f"search: the first process has another search than this one, with {other}; "
            "all need the same key, network, space and algorithm"
        )


def differing(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Returns in words which keys have other values; "" if none has."""
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return ", ".join(f"{k} = {before.get(k)!r:.60} (now {now.get(k)!r:.60})" for k in keys)


def digest(tree: Any) -> str:
    """Returns what tells arrays from others of the same tree."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        if isinstance(leaf, str):
            found.update(leaf.encode())
        elif hasattr(leaf, "dtype") or isinstance(leaf, bool | int | float):
            found.update(np.ascontiguousarray(leaf).tobytes())
        else:  # its bytes would be an address
            found.update(type(leaf).__name__.encode())
    return found.hexdigest()[:16]
