"""What the user wrote a moment ago, anywhere, as one document more beside the cursor: memory without training.

It follows the lines that were edited through later edits, and reads them as they stand now. Belongs to the event loop;
it writes nothing and forgets when the server ends. What always holds: what stands near the cursor is no part of the
document, so that it stays the same, and encoded, while one place is written at; text that came in one large piece (a
formatter, another branch) was not written.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from model.document import Document
from model.recent_edits import recent_edits

REMEMBERED = 32  # places
MOST_LINES = 60  # of one edit; what is longer was not typed. Of a place that grew longer, its end is read
_NEAR = 40  # lines around the cursor that stand in its own file's window


@dataclass(frozen=True)
class Place:
    """Lines `first` to `last` (from 0) of a file, as somebody edited them."""

    path: Path
    first: int
    last: int


class RecentEdits:
    """The places that were edited last, the newest last."""

    def __init__(self) -> None:
        self.places: list[Place] = []

    def edited(self, path: Path, line: int, removed: int, added: int, *, text: bool) -> None:
        """At `line`, `removed` line ends gave way to `added` ones. `text`: something was written, not only removed."""
        touched: list[Place] = []
        others: list[Place] = []
        for place in self.places:
            if place.path != path or place.last < line - 1:
                others.append(place)
            elif place.first > line + removed + 1:
                others.append(replace(place, first=place.first - removed + added, last=place.last - removed + added))
            else:
                touched.append(place)
        self.places = others
        if max(added, removed) > MOST_LINES or not (text or touched):
            return
        first = min([line, *(place.first for place in touched)])
        last = max([line + added, *(place.last - removed + added for place in touched)])
        self.places.append(Place(path, first, last))
        del self.places[:-REMEMBERED]

    def document(
        self, here: Path, line: int, lines_of: Callable[[Place], tuple[str, list[str]] | None], characters: int
    ) -> Document | None:
        """The newest places in at most so many characters; None if there are none.

        `here` and `line` are the cursor's. `lines_of` reads a place: the file's name and the lines; None for what may
        not be shown or is not there any more.
        """
        return recent_edits(self._read(here, line, lines_of), here.suffix, characters, len)

    def _read(
        self, here: Path, line: int, lines_of: Callable[[Place], tuple[str, list[str]] | None]
    ) -> Iterator[tuple[str, list[str]]]:
        """The places away from the cursor, the newest first, each read only once it is its turn."""
        for place in reversed(self.places):
            if place.path == here and place.first - _NEAR <= line <= place.last + _NEAR:
                continue
            read = lines_of(replace(place, first=max(place.first, place.last - MOST_LINES)))
            if read is not None:
                yield read
