"""Files that hold compact networks."""

from jaxcompress.artifact.errors import ArtifactError
from jaxcompress.artifact.file import Artifact, Sizes, load, save

__all__ = ["Artifact", "ArtifactError", "Sizes", "load", "save"]
