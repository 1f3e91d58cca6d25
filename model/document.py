"""What the model reads: one document, named by its path in the workspace."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """A file, or one unit of a long file. `path` is relative to the workspace, with forward slashes."""

    path: str
    text: str
