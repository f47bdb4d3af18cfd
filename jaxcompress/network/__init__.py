"""From a function to its layers, channel groups and costs; knows no compression."""

from jaxcompress.network.blocks import Block
from jaxcompress.network.contractions import Contraction
from jaxcompress.network.factored import Matrix, Tucker
from jaxcompress.network.groups import Group
from jaxcompress.network.layers import Layer
from jaxcompress.network.network import Network
from jaxcompress.network.program import Program, Step
from jaxcompress.network.sizes import ALWAYS, Column
from jaxcompress.network.trace import trace

__all__ = [
    "ALWAYS",
    "Block",
    "Column",
    "Contraction",
    "Group",
    "Layer",
    "Matrix",
    "Network",
    "Program",
    "Step",
    "Tucker",
    "trace",
]
