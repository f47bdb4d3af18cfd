"""Objectives: numbers to minimise, for one plan."""

from jaxcompress.objectives.bops import Bops
from jaxcompress.objectives.energy import Energy
from jaxcompress.objectives.error import Error
from jaxcompress.objectives.latency import Latency
from jaxcompress.objectives.macs import Macs
from jaxcompress.objectives.measure_latency import measure_latency
from jaxcompress.objectives.objective import Constraint, Cost, Quality
from jaxcompress.objectives.parameters import Parameters
from jaxcompress.objectives.size import Size
from jaxcompress.objectives.values import Values

__all__ = [
    "Bops",
    "Constraint",
    "Cost",
    "Energy",
    "Error",
    "Latency",
    "Macs",
    "Parameters",
    "Quality",
    "Size",
    "Values",
    "measure_latency",
]
