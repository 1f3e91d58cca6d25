"""Which documents a request attends to: those it asks for, and those of the requests before it that still fit.

Documents cost encoding once and a little attention per token, so one that was useful a moment ago stays while the same
file is edited. What goes first is what was asked for longest ago. Another file starts with what it asks for.
"""

from collections.abc import Callable, Sequence

from model.document import Document


class WorkingSet:
    """The documents for the file that is being edited. `size` gives a document's tokens, `budget` how many fit."""

    def __init__(self, budget: int, size: Callable[[Document], int]) -> None:
        self._budget = budget
        self._size = size
        self._path: str | None = None
        self._documents: list[Document] = []  # what was asked for last, last

    def choose(self, path: str, wanted: Sequence[Document]) -> tuple[Document, ...]:
        """The documents for a request in `path`. Another version of a document takes the older one's place.

        Nothing wanted (a search that came too late) keeps what is there.
        """
        if path != self._path:
            self._path, self._documents = path, []
        fresh = [document for document in dict.fromkeys(wanted) if self._size(document) <= self._budget]
        names = {document.name for document in fresh}
        kept = [document for document in self._documents if document not in fresh and document.name not in names]
        self._documents = [*kept, *reversed(fresh)]
        while sum(map(self._size, self._documents)) > self._budget:
            self._documents.pop(0)
        return tuple(reversed(self._documents))

    def limit(self, budget: int) -> None:
        """From now on so many tokens fit."""
        self._budget = budget
