"""A long file as units that are read one by one: cut at definitions (but for a very long one), at blank lines, at last
anywhere.

Where to cut is decided from the inside of what is cut and by a hash of the line behind the cut, not by counting from
the file's start: an edit changes the unit that it is in, and the others stay the same, byte by byte, so that what was
computed for them stays good. What always holds: the units' texts, joined, are the file.
"""

import zlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from index.chunks import lines_of
from index.languages import MAX_IN_PROCESS, definitions, language_of
from model.document import Document
from model.positions import LONGEST_UNIT
from model.tokens import Tokens

_SLACK = 16  # tokens: the separator, and what a cut costs where it divides a token
_NESTED = 3  # rank of a definition inside definitions; the rank of one is how deep it is nested
_NAME = 80  # characters of a unit's first line that name it
_ANYWHERE = 9  # rank of a cut inside a line: only where nothing else is left


@dataclass(frozen=True)
class _Cuts:
    """Places where a text may be cut, ascending, each with its rank (the lower the better) and a hash of what follows.

    `tokens`: how many tokens start before each place.
    """

    places: Sequence[int]
    ranks: Sequence[int]
    hashes: Sequence[int]
    tokens: Sequence[int]


def units(document: Document, tokens: Tokens, limit: int = LONGEST_UNIT) -> tuple[Document, ...]:
    """The document in parts of at most `limit` tokens, their path counted; itself, if it is short enough.

    Never fails, whatever the text is. An empty text is one empty unit.
    """
    room = max(16, limit - len(tokens.encode(document.path + "\n")) - _SLACK)
    starts = tokens.starts(document.text)
    if len(starts) <= room:
        return (document,)
    cuts = _cuts(document, starts, room)
    edges = [0, *_divide(cuts, 0, len(document.text), room, len(starts)), len(document.text)]
    return tuple(Document(document.path, document.text[start:end]) for start, end in pairwise(edges) if start < end)


def named_units(document: Document, tokens: Tokens, limit: int = LONGEST_UNIT) -> tuple[Document, ...]:
    """The same, each named by its first line, so that a new version of one takes the old one's place."""
    seen: dict[str, int] = {}
    named = []
    for unit in units(document, tokens, limit):
        line = unit.text.lstrip().split("\n", 1)[0][:_NAME]
        seen[line] = seen.get(line, 0) + 1
        named.append(replace(unit, unit=f"{line}#{seen[line]}"))
    return tuple(named)


def units_of_lines(parts: Sequence[Document], first: int, last: int) -> tuple[int, ...]:
    """Which units hold the lines from `first` to `last` (from 0, both included) of the joined text; past its end, the
    last unit."""
    lines = "".join(part.text for part in parts).split("\n")
    starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
    start = starts[min(first, len(lines) - 1)]
    return units_overlapping(parts, start, max(starts[min(last + 1, len(lines))], start + 1))


def units_overlapping(parts: Sequence[Document], start: int, end: int) -> tuple[int, ...]:
    """Which units hold the characters from `start` to before `end` of the joined text."""
    found, at = [], 0
    for number, part in enumerate(parts):
        if at < end and start < at + len(part.text):
            found.append(number)
        at += len(part.text)
    return tuple(found)


def _divide(cuts: _Cuts, start: int, end: int, room: int, tokens: int) -> list[int]:
    """Cuts between `start` and `end` so that no part has more than `room` tokens; ascending.

    The best cut of the middle half is taken: the lowest rank, then the lowest hash; where no definition starts there,
    the nearest one that starts anywhere. Both sides are divided again.
    """
    edges: list[int] = []
    open_parts = [(start, end, 0, tokens)]  # a part and how many tokens start before its ends
    while open_parts:
        start, end, before, after = open_parts.pop()
        if after - before <= room:
            continue
        quarter = (after - before) // 4
        first, last = bisect_left(cuts.tokens, before + quarter), bisect_left(cuts.tokens, after - quarter + 1)
        least, most = bisect_left(cuts.places, start + 1), bisect_left(cuts.places, end)
        if least >= most:
            continue
        best = min(
            range(max(first, least), min(last, most)),
            key=lambda at: (cuts.ranks[at], cuts.hashes[at], at),
            default=-1,
        )
        if best < 0 or cuts.ranks[best] > _NESTED:  # a definition near an end is better than a line in the middle
            middle = (before + after) // 2
            best = min(range(least, most), key=lambda at: (max(cuts.ranks[at], _NESTED), abs(cuts.tokens[at] - middle)))
        place, here = cuts.places[best], cuts.tokens[best]
        edges.append(place)
        open_parts += [(start, place, before, here), (place, end, here, after)]
    return sorted(edges)


def _cuts(document: Document, starts: Sequence[int], room: int) -> _Cuts:
    """Every line start, ranked; and in lines that are longer than a part, a place every `room` tokens."""
    lines = lines_of(document.text)
    depth = _definition_depths(document)
    places, ranks, hashes, tokens = [], [], [], []
    at, blank = 0, True
    for line in lines:
        before = bisect_left(starts, at)
        indent = len(line) - len(line.lstrip(" \t"))
        rank = depth.get(at, 4 if blank and not indent else 6 if blank else 8)
        places.append(at)
        ranks.append(rank)
        hashes.append(zlib.crc32(line.encode("utf-8", "replace")))
        tokens.append(before)
        inside = bisect_left(starts, at + len(line)) - before
        for number in range(before + room // 2, before + inside if inside > room else 0, room // 2):
            if starts[number] > places[-1]:
                places.append(starts[number])
                ranks.append(_ANYWHERE)
                hashes.append(0)
                tokens.append(number)
        blank = not line.strip()
        at += len(line)
    return _Cuts(places, ranks, hashes, tokens)


def _definition_depths(document: Document) -> dict[int, int]:
    """Start of the line on which a definition starts, in characters -> how deep it is nested, 3 for more."""
    data = document.text.encode("utf-8", "replace")
    if len(data) > MAX_IN_PROCESS:
        return {}
    found: dict[int, int] = {}
    line_starts, at, bytes_at = [], 0, 0
    for line in lines_of(document.text):
        line_starts.append((bytes_at, at))
        bytes_at += len(line.encode("utf-8", "replace"))
        at += len(line)
    ends: list[int] = []
    for definition in definitions(language_of(document.path), data):
        while ends and ends[-1] <= definition.start:
            ends.pop()
        number = bisect_left(line_starts, (definition.start + 1, -1)) - 1
        if 0 <= number < len(line_starts):
            depth = found.setdefault(line_starts[number][1], min(len(ends), 3))
            found[line_starts[number][1]] = min(depth, len(ends))
        ends.append(definition.end)
    return found
