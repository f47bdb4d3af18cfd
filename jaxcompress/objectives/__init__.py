"""Objectives: numbers to minimise, for one plan."""

from jaxcompress.objectives.error import Error
from jaxcompress.objectives.macs import Macs
from jaxcompress.objectives.objective import Constraint, Cost, Quality
from jaxcompress.objectives.size import Size

__all__ = ["Constraint", "Cost", "Error", "Macs", "Quality", "Size"]
