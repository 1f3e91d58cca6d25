"""What the model reads: one document, named by its path in the workspace."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """A file, or one unit of a long file. `path` is relative to the workspace, with forward slashes.

    `unit` says which part of the file it is, so that a new version takes the old one's place; "" for a whole file.
    """

    path: str
    text: str
    unit: str = ""

    @property
    def name(self) -> tuple[str, str]:
        """What stays the same when the text changes."""
        return self.path, self.unit
