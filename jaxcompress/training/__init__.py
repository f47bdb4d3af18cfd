"""Training: from scratch, of shared weights before a search, of a front after it."""

from jaxcompress.training.adapt import Adapter, adapt
from jaxcompress.training.finetune import Tuned, finetune, members_mesh, scaled_plans, tune
from jaxcompress.training.library import pruned_library
from jaxcompress.training.seen_inputs import seen_inputs
from jaxcompress.training.train import History, accuracy, train

__all__ = [
    "Adapter",
    "History",
    "Tuned",
    "accuracy",
    "adapt",
    "finetune",
    "members_mesh",
    "pruned_library",
    "scaled_plans",
    "seen_inputs",
    "train",
    "tune",
]
