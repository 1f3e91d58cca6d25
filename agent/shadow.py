"""A shadow copy of one text: edits are tried here, never on the user's file.

Pure: no file is read or written. Lines end at `\\n`, `\\r\\n` or `\\r` and at nothing else (a form feed or U+2028 is
an ordinary character), as editors count them. A position past the end of a line means the end of that line, one past
the last line means the end of the text. All edits of one call speak of the same, unedited text.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from agent.findings import Span, TextEdit
from inkling.errors import InklingError

_LINE_END = re.compile(r"\r\n|\n|\r")
_AROUND = 3  # lines that a diff shows around a change
_MANY = 2000  # lines; among more, difflib may only start at lines that are not found everywhere, or it takes minutes


class EditError(InklingError):
    """Edits that cannot be applied together: two of them overlap, or one ends before it starts."""


def lines_of(text: str) -> list[str]:
    """The lines without their ends; a text that ends with a line end has an empty last line."""
    return _LINE_END.split(text)


def lines_with_ends(text: str) -> list[str]:
    """The lines with their ends; nothing comes after the last line end."""
    starts = [0, *(found.end() for found in _LINE_END.finditer(text))]
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True) if start < end]


def lines_shown(text: str) -> list[str]:
    """The lines as they are printed: without their ends, and nothing after the last line end."""
    return [line.rstrip("\r\n") for line in lines_with_ends(text)]


def line_end_of(text: str) -> str:
    """The line end that the text uses first; a newline where there is none."""
    found = _LINE_END.search(text)
    return found.group() if found else "\n"


class Offsets:
    """Turns (line, column) into an offset in code points and back, for one text."""

    def __init__(self, text: str) -> None:
        self._starts = [0]
        self._ends: list[int] = []
        for found in _LINE_END.finditer(text):
            self._ends.append(found.start())
            self._starts.append(found.end())
        self._ends.append(len(text))

    def at(self, line: int, column: int) -> int:
        """The offset of a position; positions outside the text are pulled to the nearest end."""
        if line < 0:
            return 0
        if line >= len(self._starts):
            return self._ends[-1]
        return min(self._starts[line] + max(column, 0), self._ends[line])

    def range(self, span: Span) -> tuple[int, int]:
        """The offsets of a span's two ends."""
        return self.at(span.line, span.column), self.at(span.end_line, span.end_column)


def placed(text: str, edits: Iterable[TextEdit]) -> list[tuple[int, int, str]]:
    """The edits as (start, end, new text) in offsets, in the order of the text. Raises EditError."""
    offsets = Offsets(text)
    found = [(*offsets.range(edit.span), edit.text) for edit in edits]
    found.sort(key=lambda edit: edit[:2])  # stable: two insertions at one place keep their order
    reached = 0
    for start, end, _ in found:
        if end < start:
            raise EditError("An edit ends before it starts.")
        if start < reached:
            raise EditError("Two edits overlap, so there is no one text that they make.")
        reached = max(reached, end)
    return found


def apply(text: str, edits: Iterable[TextEdit]) -> str:
    """The text after all edits. Raises EditError if two of them overlap."""
    pieces: list[str] = []
    reached = 0
    for start, end, new in placed(text, edits):
        pieces += (text[reached:start], new)
        reached = end
    pieces.append(text[reached:])
    return "".join(pieces)


def edits_between(old: str, new: str) -> tuple[TextEdit, ...]:
    """Edits of whole lines that turn `old` into `new`."""
    before, after = lines_with_ends(old), lines_with_ends(new)
    return tuple(
        TextEdit(Span(first, 0, last, 0), "".join(after[start:end]))
        for first, last, start, end in changes(before, after)
    )


def changes(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """The places where two lists of lines differ, in order: `old[first:last]` has become `new[start:end]`.

    What is equal at both ends costs next to nothing.
    """
    most, head, tail = min(len(old), len(new)), 0, 0
    while head < most and old[head] == new[head]:
        head += 1
    while tail < most - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    before, after = old[head : len(old) - tail], new[head : len(new) - tail]
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=len(after) > _MANY)
    for kind, first, last, start, end in matcher.get_opcodes():
        if kind != "equal":
            yield head + first, head + last, head + start, head + end


def _hunks(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """The lines of a unified diff behind its head."""
    groups: list[list[tuple[int, int, int, int]]] = []
    for change in changes(old, new):
        if groups and change[0] - groups[-1][-1][1] <= 2 * _AROUND:
            groups[-1].append(change)
        else:
            groups.append([change])
    for group in groups:
        (first, _, start, _), (_, last, _, end) = group[0], group[-1]
        above, below = min(first, _AROUND), min(len(old) - last, _AROUND)
        yield f"@@ -{_stretch(first - above, last + below)} +{_stretch(start - above, end + below)} @@"
        reached = first - above
        for first, last, start, end in group:
            yield from (f" {line}" for line in old[reached:first])
            yield from (f"-{line}" for line in old[first:last])
            yield from (f"+{line}" for line in new[start:end])
            reached = last
        yield from (f" {line}" for line in old[reached : reached + below])


def _stretch(start: int, end: int) -> str:
    """Lines as a diff names them: an empty stretch by the line before it."""
    length = end - start
    return str(start + 1) if length == 1 else f"{start + bool(length)},{length}"


@dataclass(frozen=True)
class Shadow:
    """One text as it is, and as it would be. `steps` are the groups of edits that were applied, each to its result."""

    path: str
    original: str
    text: str
    steps: tuple[tuple[TextEdit, ...], ...] = field(default=())

    @classmethod
    def of(cls, path: str, text: str) -> "Shadow":
        """A copy with nothing changed yet."""
        return cls(path, text, text)

    @property
    def changed(self) -> bool:
        """True if the copy differs from the original."""
        return self.text != self.original

    def apply(self, edits: Sequence[TextEdit]) -> "Shadow":
        """A further copy with the edits applied to this one's text. Raises EditError."""
        return Shadow(self.path, self.original, apply(self.text, edits), (*self.steps, tuple(edits)))

    def edits(self) -> tuple[TextEdit, ...]:
        """Edits of whole lines from the original to the copy, whatever the steps were."""
        return edits_between(self.original, self.text)

    def diff(self) -> str:
        """A unified diff, empty if nothing changed."""
        hunks = list(_hunks(lines_shown(self.original), lines_shown(self.text)))
        return "\n".join([f"--- a/{self.path}", f"+++ b/{self.path}", *hunks] if hunks else [])
