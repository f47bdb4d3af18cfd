"""Genes and plans: what can be chosen, and what a choice means."""

from jaxcompress.space import genes, importance
from jaxcompress.space.check import check_plan
from jaxcompress.space.plan import Plan
from jaxcompress.space.space import Space

__all__ = ["Plan", "Space", "check_plan", "genes", "importance"]
