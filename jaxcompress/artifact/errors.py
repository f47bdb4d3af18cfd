"""What goes wrong with a file."""


class ArtifactError(ValueError):
    """A file is no artifact, is damaged, or comes from a newer version."""
