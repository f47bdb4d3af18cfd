"""Training: from scratch, of shared weights before a search, of a front after it."""

from jaxcompress.training.adapt import adapt
from jaxcompress.training.finetune import finetune
from jaxcompress.training.library import pruned_library
from jaxcompress.training.train import History, accuracy, train

__all__ = ["History", "accuracy", "adapt", "finetune", "pruned_library", "train"]
