"""The search: evaluation of populations, the loop, seeds and baselines."""

from jaxcompress.search.archive import Archive, non_dominated
from jaxcompress.search.baselines import greedy, random_search, uniform_grid
from jaxcompress.search.evaluator import Evaluator
from jaxcompress.search.loop import Generation, Result, search
from jaxcompress.search.measure import Measure
from jaxcompress.search.racing import Racing
from jaxcompress.search.seeding import (
    boundary,
    corners,
    encoded,
    grid_steps,
    ladder,
    probes,
    up_to,
)
from jaxcompress.search.selection import representatives

__all__ = [
    "Archive",
    "Evaluator",
    "Generation",
    "Measure",
    "Racing",
    "Result",
    "boundary",
    "corners",
    "encoded",
    "greedy",
    "grid_steps",
    "ladder",
    "non_dominated",
    "probes",
    "random_search",
    "representatives",
    "search",
    "uniform_grid",
    "up_to",
]
