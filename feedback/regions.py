"""Edits of a text, and spans that follow them. Pure; offsets are code points; a span never leaves its text.

A span has two habits. One that `grows` is a place where somebody writes: text inserted at its end, or where it is
empty, belongs to it. One that does not is a piece of text: only what is inserted between its characters belongs.
Where an edit replaces text across a border, the new text belongs to the side where the replaced text began,
save that a span which does not grow never takes in text from across its end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Indel

_MOST_PAIRS = 16_000_000  # of characters that are compared with each other in one change
_MOST_LINES = 2000


@dataclass(frozen=True)
class Edit:
    """Replace the code points from `start` up to, not including, `end` by `text`."""

    start: int
    end: int
    text: str

    def fits(self, content: str) -> bool:
        """True if the range lies within the content."""
        return 0 <= self.start <= self.end <= len(content)

    def apply(self, content: str) -> str:
        return content[: self.start] + self.text + content[self.end :]

    def trimmed(self, content: str) -> "Edit":
        """The same change without what it leaves as it was at its two ends.

        Editors may replace `fo` by `foo` instead of inserting an `o`, formatters the whole file.
        """
        removed, text = content[self.start : self.end], self.text
        head = shared_prefix(removed, text)
        removed, text = removed[head:], text[head:]
        tail = shared_prefix(removed[::-1], text[::-1])
        return Edit(self.start + head, self.end - tail, text[: len(text) - tail])

    def pieces(self, content: str) -> "list[Edit]":
        """The same change as small edits, last place first, so that each is in the text that the others left.

        A formatter that replaces a file whole would otherwise sweep away every span in it. Very large
        changes stay one edit.
        """
        small = self.trimmed(content)
        removed = content[small.start : small.end]
        old, new = removed.splitlines(keepends=True), small.text.splitlines(keepends=True)
        if not removed or not small.text or max(len(old), len(new)) > _MOST_LINES:
            return [small] if removed or small.text else []
        starts = [small.start]
        for line in old:
            starts.append(starts[-1] + len(line))
        found: list[Edit] = []
        room = _MOST_PAIRS
        for i1, i2, j1, j2 in _hunks(old, new):
            hunk = Edit(starts[i1], starts[i2], "".join(new[j1:j2]))
            pairs = (hunk.end - hunk.start) * len(hunk.text)
            if pairs > room:
                found.append(hunk.trimmed(content))
            else:
                room -= pairs
                found += hunk._by_character(content)
        return found[::-1]

    def _by_character(self, content: str) -> "list[Edit]":
        return [
            Edit(self.start + step.src_start, self.start + step.src_end, self.text[step.dest_start : step.dest_end])
            for step in Indel.opcodes(content[self.start : self.end], self.text)
            if step.tag != "equal"
        ]

    @staticmethod
    def between(before: str, after: str) -> "Edit":
        """The smallest single edit that makes `after` out of `before`; for clients that send whole documents."""
        return Edit(0, len(before), after).trimmed(before)


@dataclass(frozen=True)
class Span:
    """The code points from `start` up to, not including, `end`."""

    start: int
    end: int
    grows: bool = False

    def of(self, content: str) -> str:
        return content[self.start : self.end]

    def touched_by(self, edit: Edit) -> bool:
        """True if the edit lies at least partly in the span, or starts at one of its two ends."""
        return not self._behind(edit) and edit.start <= self.end

    def after(self, edit: Edit) -> "Span":
        """Where the span is once the edit has been made."""
        shift = len(edit.text) - (edit.end - edit.start)
        new_end = edit.start + len(edit.text)
        if self._behind(edit):
            return Span(self.start + shift, self.end + shift, self.grows)
        if edit.start > self.end or (edit.start == self.end > self.start and not self.grows):
            return self
        if edit.start < self.start:  # across the start: the new text stays outside
            return Span(new_end, max(self.end + shift, new_end), self.grows)
        if not self.grows:
            if edit.start == edit.end == self.start:
                return Span(new_end, self.end + shift)  # pushed to the right
            if edit.end > self.end:
                return Span(self.start, edit.start)  # across the end
        return Span(self.start, max(self.end + shift, new_end), self.grows)

    def _behind(self, edit: Edit) -> bool:
        """True if the span lies behind all that the edit touches."""
        return edit.end < self.start or edit.start < edit.end == self.start


def _hunks(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """Where two lists of lines differ, in order: `old[i1:i2]` has become `new[j1:j2]`.

    By the longest common subsequence, in time that does not depend on how often lines repeat.
    """
    numbers: dict[str, int] = {}  # rapidfuzz compares hashes, and those of small numbers are never shared
    numbered = [[numbers.setdefault(line, len(numbers)) for line in lines] for lines in (old, new)]
    i, j = 0, 0
    for step in Indel.opcodes(*numbered):
        if step.tag == "equal":
            if (i, j) != (step.src_start, step.dest_start):
                yield i, step.src_start, j, step.dest_start
            i, j = step.src_end, step.dest_end
    if (i, j) != (len(old), len(new)):
        yield i, len(old), j, len(new)


def shared_prefix(one: str, other: str) -> int:
    """The number of leading characters that two texts share."""
    shortest = min(len(one), len(other))
    if one[:shortest] == other[:shortest]:
        return shortest
    low, high = 0, shortest  # one[:low] agrees, one[:high] does not
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low
