"""The configuration of a run: a section for each part, and the whole."""

from jaxcompress.config.config import Config, ReportConfig
from jaxcompress.config.data import DataConfig
from jaxcompress.config.search import RATES, FirstConfig, Objective, SearchConfig
from jaxcompress.config.space import SpaceConfig
from jaxcompress.config.training import (
    AdaptConfig,
    LibraryConfig,
    TrainConfig,
    TuneConfig,
)

__all__ = [
    "RATES",
    "AdaptConfig",
    "Config",
    "DataConfig",
    "FirstConfig",
    "LibraryConfig",
    "Objective",
    "ReportConfig",
    "SearchConfig",
    "SpaceConfig",
    "TrainConfig",
    "TuneConfig",
]
