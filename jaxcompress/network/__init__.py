"""From a function to its layers, channel groups and costs; knows no compression."""

from jaxcompress.network.blocks import Block
from jaxcompress.network.coded import Codes
from jaxcompress.network.contractions import Contraction
from jaxcompress.network.factored import Matrix, Tucker
from jaxcompress.network.fold import fold, foldable, folded
from jaxcompress.network.groups import Group
from jaxcompress.network.integer import Activations, is_exact
from jaxcompress.network.layers import Layer
from jaxcompress.network.network import Network
from jaxcompress.network.normalisations import Normalisation, normalisations
from jaxcompress.network.program import Around, Program, Run, Step
from jaxcompress.network.sizes import ALWAYS, Column
from jaxcompress.network.trace import trace

__all__ = [
    "ALWAYS",
    "Activations",
    "Around",
    "Block",
    "Codes",
    "Column",
    "Contraction",
    "Group",
    "Layer",
    "Matrix",
    "Network",
    "Normalisation",
    "Program",
    "Run",
    "Step",
    "Tucker",
    "fold",
    "foldable",
    "folded",
    "is_exact",
    "normalisations",
    "trace",
]
