"""Which documents a request attends to: those it asks for, and those of the requests before it that still fit.

Documents cost encoding once and a little attention per token, so one that was useful a moment ago stays while the same
file is edited. What goes first is what was asked for longest ago. Another file starts with what it asks for.
"""

from collections.abc import Callable, Sequence

from model.document import Document

_MISSES = 8  # documents that did not fit after which no smaller one is looked for


class WorkingSet:
    """The documents for the file that is being edited. `size` gives a document's tokens, `budget` how many fit."""

    def __init__(self, budget: int, size: Callable[[Document], int]) -> None:
        self._budget = budget
        self._size = size
        self._path: str | None = None
        self._documents: tuple[Document, ...] = ()  # what was asked for last comes first

    def choose(self, path: str, wanted: Sequence[Document]) -> tuple[Document, ...]:
        """The documents for a request in `path`. Another version of a document takes the older one's place.

        Nothing wanted (a search that came too late) keeps what is there.
        """
        if path != self._path:
            self._path, self._documents = path, ()
        fresh = dict.fromkeys(wanted)
        names = {document.name for document in fresh}
        kept = [document for document in self._documents if document not in fresh and document.name not in names]
        chosen, left, missed = [], self._budget, 0
        for document in [*fresh, *kept]:
            size = self._size(document)
            if size <= left:
                chosen.append(document)
                left -= size
            elif (missed := missed + 1) > _MISSES:
                break
        self._documents = tuple(chosen)
        return self._documents

    def limit(self, budget: int) -> None:
        """From now on so many tokens fit."""
        self._budget = budget
