"""Which documents a request attends to: those it asked for, unless changing them would cost more than it gives.

In a runtime that keeps one causal sequence, another document means that the whole tail is computed again. So a
working set stays while the same file is edited and it still holds at least half of what is asked for.
"""

from collections.abc import Sequence

from model.document import Document


class WorkingSet:
    """The documents that are resident, and the file that they were chosen for."""

    def __init__(self) -> None:
        self._path: str | None = None
        self._documents: tuple[Document, ...] = ()

    def choose(self, path: str, wanted: Sequence[Document]) -> tuple[Document, ...]:
        """The documents for a request in `path`. Nothing wanted (a search that came too late) keeps what is there."""
        if path == self._path and self._documents:
            if 2 * sum(document in self._documents for document in wanted) >= len(wanted):
                return self._documents
            kept = [document for document in self._documents if document in wanted]
            fresh = [document for document in wanted if document not in kept]
            self._documents = (*kept, *fresh)  # what stays, stays in front: its keys and values are reused
            return self._documents
        self._path, self._documents = path, tuple(wanted)
        return self._documents
