"""Files that hold compact networks."""

from jaxcompress.artifact.as_nnx import as_nnx
from jaxcompress.artifact.errors import ArtifactError
from jaxcompress.artifact.execution import executable, executed
from jaxcompress.artifact.export import export
from jaxcompress.artifact.file import Artifact, Sizes, load, save
from jaxcompress.artifact.tensors import parameter_bytes

__all__ = [
    "Artifact",
    "ArtifactError",
    "Sizes",
    "as_nnx",
    "executable",
    "executed",
    "export",
    "load",
    "parameter_bytes",
    "save",
]
