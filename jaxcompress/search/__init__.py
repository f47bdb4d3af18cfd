"""The search: evaluation of populations, the loop, seeds and baselines."""

from jaxcompress.search.alone import Alone, levels_alone, right_or_wrong, tried_alone
from jaxcompress.search.archive import Archive, non_dominated
from jaxcompress.search.at_signal import AtSignal
from jaxcompress.search.baselines import greedy, random_search, uniform_grid
from jaxcompress.search.checkpoint import Checkpoints
from jaxcompress.search.descent import descent, levels_within, quick_descent
from jaxcompress.search.devices import POPULATION, cores_as_devices, mesh_for
from jaxcompress.search.evaluator import Evaluator
from jaxcompress.search.layerwise import Layerwise, best_masks, layerwise
from jaxcompress.search.legs import Train, search_in_legs
from jaxcompress.search.lock import locked
from jaxcompress.search.loop import (
    Result,
    archive_of,
    empty_archive,
    result_of,
    search,
)
from jaxcompress.search.measure import Measure
from jaxcompress.search.once import once
from jaxcompress.search.racing import Racing
from jaxcompress.search.seeding import (
    accepted,
    boundary,
    corners,
    encoded,
    grid_steps,
    ladder,
    probes,
    up_to,
    way_down,
)
from jaxcompress.search.selection import cheapest, representatives
from jaxcompress.search.state import Generation

__all__ = [
    "POPULATION",
    "Alone",
    "Archive",
    "AtSignal",
    "Checkpoints",
    "Evaluator",
    "Generation",
    "Layerwise",
    "Measure",
    "Racing",
    "Result",
    "Train",
    "accepted",
    "archive_of",
    "best_masks",
    "boundary",
    "cheapest",
    "cores_as_devices",
    "corners",
    "descent",
    "empty_archive",
    "encoded",
    "greedy",
    "grid_steps",
    "ladder",
    "layerwise",
    "levels_alone",
    "levels_within",
    "locked",
    "mesh_for",
    "non_dominated",
    "once",
    "probes",
    "quick_descent",
    "random_search",
    "representatives",
    "result_of",
    "right_or_wrong",
    "search",
    "search_in_legs",
    "tried_alone",
    "uniform_grid",
    "up_to",
    "way_down",
]
