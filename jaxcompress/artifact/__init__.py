"""Files that hold compact networks."""

from jaxcompress.artifact.errors import ArtifactError
from jaxcompress.artifact.execution import executable, executed
from jaxcompress.artifact.file import Artifact, Sizes, load, save
from jaxcompress.artifact.tensors import parameter_bytes

__all__ = [
    "Artifact",
    "ArtifactError",
    "Sizes",
    "executable",
    "executed",
    "load",
    "parameter_bytes",
    "save",
]
