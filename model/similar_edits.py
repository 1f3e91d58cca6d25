"""What the user wrote in places like the one at the cursor, as one document: what is done again is done alike.

Pure: the edits come from whoever follows them, ranked here by the words that they and the cursor have around them
(BM25: Robertson & Zaragoza 2009). Like `model.recent_edits`, the document is named like no file.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from feedback.records import SIMILAR_EDITS
from index.words import words
from model.document import Document
from model.recent_edits import below_names, edited_pieces, path_for

REMEMBERED = 256  # of a user's edits that are compared
_BEFORE = 8  # lines before the cursor that are compared, and
_AFTER = 4  # behind it; blank ones are not counted
_AROUND = (4, 2)  # lines above and below an edit that say where it was made; the last of those above are shown
_SHOWN = 2
_K1, _B = 1.2, 0.75
_SIGNS = re.compile(r"[^\w\s]+")
_LONGEST = 400  # characters of a line that are read


@dataclass(frozen=True)
class Edited:
    """Lines that were written into the file `path`, and those that stand above and below them."""

    path: str
    lines: tuple[str, ...]
    above: tuple[str, ...] = ()
    below: tuple[str, ...] = ()

    @cached_property
    def said(self) -> str:
        """Its own lines that are not blank."""
        return "\n".join(_written(self.lines))

    @property
    def shown(self) -> tuple[str, ...]:
        """What a document says of it: the lines below the last ones above them."""
        return (*_written(self.above)[-_SHOWN:], *self.lines)

    @cached_property
    def words(self) -> Counter[str]:
        """How often words and signs stand in it and around it."""
        return Counter(_words((*_written(self.above)[-_AROUND[0] :], *self.lines, *_written(self.below)[: _AROUND[1]])))

    @cached_property
    def length(self) -> int:
        """How many words those are."""
        return self.words.total()


def similar_edits(
    edits: Sequence[Edited],
    before: Sequence[str],
    after: Sequence[str],
    ending: str,
    room: int,
    size: Callable[[str], int],
    besides: Document | None = None,
) -> Document | None:
    """The edits that are most like the lines before and after the cursor, the best first: where there is less room at
    night, the end is cut off. None if none is like them.

    `room` and `size` as in `recent_edits`. What the document `besides` says already is left out.
    """
    new = [edit for edit in edits if besides is None or edit.said not in besides.text]
    around = (*_written(before)[-_BEFORE:], *_written(after)[:_AFTER])
    places = ((new[place].path, new[place].shown) for place in ranked(new, around))
    pieces = edited_pieces(places, room, size)
    return Document(path_for(ending, SIMILAR_EDITS), below_names(pieces), SIMILAR_EDITS) if pieces else None


def ranked(edits: Sequence[Edited], around: Iterable[str]) -> list[int]:
    """Indices of the edits that share words with these lines, the one that shares most first, then the newest."""
    counts = [edit.words for edit in edits]
    mean = sum(edit.length for edit in edits) / max(1, len(edits))
    scores = [0.0] * len(edits)
    for word in set(_words(around)):
        holding = [place for place, count in enumerate(counts) if word in count]
        weight = math.log(1 + (len(edits) - len(holding) + 0.5) / (len(holding) + 0.5))
        for place in holding:
            times, share = counts[place][word], edits[place].length / mean
            scores[place] += weight * times * (_K1 + 1) / (times + _K1 * (1 - _B + _B * share))
    return [place for place in sorted(range(len(edits)), key=lambda one: (-scores[one], -one)) if scores[place] > 0]


def _written(lines: Iterable[str]) -> tuple[str, ...]:
    """Those that are not blank."""
    return tuple(line for line in lines if line.strip())


def _words(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield from words(line[:_LONGEST])
        yield from _SIGNS.findall(line[:_LONGEST])
