"""What the user wrote, anywhere, as documents beside the cursor: memory without training.

One holds what was written last, another what was written in places like the one at the cursor. The lines that were
edited are followed through later edits and read as they stand now, or as they stood when their file was closed. Belongs
to the event loop; it writes nothing and forgets when the server ends. What always holds: what stands near the cursor is
in no document, so that they stay the same, and encoded, while one place is written at; text that came in one large
piece (a formatter, another branch) was not written.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from model.document import Document
from model.recent_edits import recent_edits
from model.similar_edits import REMEMBERED, Edited, similar_edits

MOST_LINES = 60  # of one edit; what is longer was not typed. Of a place that grew longer, its end is read
_NEAR = 40  # lines around the cursor that stand in its own file's window
_MOVED = 8  # lines that the cursor moves before similar edits are looked for anew
_LOOKED = 32  # places whose lines are read at one cursor; they stay known until something is written there
_ALIKE = 16  # places in a reopened file that may be the one that is looked for
_MARGIN = 12  # lines above and below a place among which those that are not blank are looked for
Named = Callable[[Path], str | None]  # how a file is called in this folder; None for what may not be shown
Lines = Callable[[int, int], tuple[str, ...]]  # of an open file, from one line to before another, as they stand now
Reader = Callable[[Path], Lines | None]  # None for a file that is not open


@dataclass(frozen=True)
class Place:
    """Lines `first` to `last` (from 0) of a file, as somebody edited them.

    `at` counts edits. `read` is how it read when that was looked at last, None where that may have changed since.
    """

    path: Path
    first: int
    last: int
    at: int = field(default=0, compare=False)
    read: Edited | None = field(default=None, compare=False)


@dataclass(frozen=True)
class _Chosen:
    """The similar edits of a place: where the cursor was, how many places there were to choose from, what it gave."""

    path: Path
    line: int
    places: int
    characters: int
    document: Document | None


class RecentEdits:
    """The places that were edited last."""

    def __init__(self) -> None:
        self._places: dict[Path, list[Place]] = {}
        self._edits = 0
        self._chosen: _Chosen | None = None

    @property
    def places(self) -> list[Place]:
        """The newest last."""
        return sorted((place for places in self._places.values() for place in places), key=lambda place: place.at)

    def edited(self, path: Path, line: int, removed: int, added: int, *, text: bool) -> None:
        """At `line`, `removed` line ends gave way to `added` ones. `text`: something was written, not only removed."""
        touched: list[Place] = []
        others: list[Place] = []
        for place in self._places.get(path, ()):
            if place.last < line - 1:
                others.append(place if place.last + _MARGIN < line else replace(place, read=None))
            elif place.first > line + removed + 1:
                first, last = place.first - removed + added, place.last - removed + added
                read = place.read if place.first - _MARGIN > line + removed else None
                others.append(replace(place, first=first, last=last, read=read))
            else:
                touched.append(place)
        if max(added, removed) <= MOST_LINES and (text or touched):
            first = min([line, *(place.first for place in touched)])
            last = max([line + added, *(place.last - removed + added for place in touched)])
            self._edits += 1
            others.append(Place(path, first, last, self._edits))
        self._keep(path, others)
        if sum(map(len, self._places.values())) > REMEMBERED:
            oldest = self.places[0]
            self._keep(oldest.path, [place for place in self._places[oldest.path] if place is not oldest])

    def closed(self, path: Path, lines: Lines) -> None:
        """The file is about to be closed: its places are kept as they read now."""
        self._keep(path, [_looked_at(place, lines) for place in self._places.get(path, ())])

    def opened(self, path: Path, lines: Lines) -> None:
        """The file is open again: places are found where their lines stand now; what others rewrote is forgotten."""
        if path not in self._places:
            return
        text = lines(0, sys.maxsize)
        starts: dict[str, list[int]] = {}
        for number, line in enumerate(text):
            starts.setdefault(line, []).append(number)
        found: list[Place] = []
        for place in sorted(self._places[path], key=lambda one: -one.at):
            own = place.read.lines if place.read is not None else ()
            rarest = min(range(len(own)), key=lambda one: len(starts.get(own[one], ())), default=0)
            for number in starts.get(own[rarest], ())[:_ALIKE] if own else ():
                first = number - rarest
                last = first + len(own) - 1
                apart = all(last + 1 < other.first or other.last + 1 < first for other in found)
                if first >= 0 and apart and text[first : last + 1] == own:
                    found.append(replace(place, first=first, last=last, read=None))
                    break
        self._keep(path, found)

    def _keep(self, path: Path, places: list[Place]) -> None:
        if places:
            self._places[path] = places
        else:
            self._places.pop(path, None)

    def document(self, here: Path, line: int, named: Named, read: Reader, characters: int) -> Document | None:
        """The newest places in at most so many characters, for a cursor in a line of `here`; None if there are none."""
        places = ((edit.path, edit.lines) for edit in self._away(here, line, named, read))
        return recent_edits(places, here.suffix, characters, len)

    def similar(
        self, here: Path, line: int, named: Named, read: Reader, characters: int, newest: Document | None
    ) -> Document | None:
        """The places that are most like the cursor's in at most so many characters, without those in `newest`.

        They are chosen anew where the cursor has moved on, or where there are more places to choose from.
        """
        known, places = self._chosen, sum(not _is_near(place, here, line) for place in self.places)
        if (
            known is not None
            and (known.path, known.places, known.characters) == (here, places, characters)
            and abs(known.line - line) <= _MOVED
        ):
            return known.document
        around = read(here)
        above, below = (around(line - _NEAR, line + 1), around(line + 1, line + _NEAR)) if around else ((), ())
        edits = list(self._away(here, line, named, read))[::-1]
        made = similar_edits(edits, above, below, here.suffix, characters, len, newest)
        self._chosen = _Chosen(here, line, places, characters, made)
        return made

    def _away(self, here: Path, line: int, named: Named, read: Reader) -> Iterator[Edited]:
        """The places away from the cursor, the newest first, each read only once it is its turn, and only so many."""
        names, looked = dict[Path, str | None](), 0
        for place in reversed(self.places):
            if place.path not in names:
                names[place.path] = named(place.path)
            name = names[place.path]
            if name is None or _is_near(place, here, line):
                continue
            seen = place
            if place.read is None and looked < _LOOKED and (lines := read(place.path)) is not None:
                seen, looked = _looked_at(place, lines), looked + 1
            if seen.read is not None and seen.read.path != name:
                seen = replace(seen, read=replace(seen.read, path=name))
            if seen is not place:  # what is counted in an edit stays with it
                self._places[place.path] = [seen if one is place else one for one in self._places[place.path]]
            if seen.read is not None:
                yield seen.read


def _is_near(place: Place, here: Path, line: int) -> bool:
    return place.path == here and place.first - _NEAR <= line <= place.last + _NEAR


def _looked_at(place: Place, lines: Lines) -> Place:
    """The place as it reads now; of a long one its end."""
    if place.read is not None:
        return place
    first, behind = max(place.first, place.last - MOST_LINES), place.last + 1
    above, below = lines(first - _MARGIN, first), lines(behind, behind + _MARGIN)
    return replace(place, read=Edited("", lines(first, behind), above, below))
