"""Which findings are new after an edit, which are gone, and which only moved.

Pure. Two findings are the same remark if source, code and message agree (line numbers inside a message count as
equal: they move with the text) and the old place, carried through the edit, meets the new one. An old finding answers
for one new finding only, so a second copy of a known mistake is new. A finding whose whole text was deleted answers
for none.
"""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.findings import Finding, TextEdit
from agent.shadow import Offsets, apply, placed

_LINE_NUMBER = re.compile(r"\bline \d+", re.IGNORECASE)

Remark = tuple[str, str, str]


def remark(finding: Finding) -> Remark:
    """What a finding says, without where."""
    return finding.source, finding.code, _LINE_NUMBER.sub("line #", finding.message)


class Carry:
    """Carries ranges of the old text, in offsets, to ranges of the new one."""

    def __init__(self, text: str, edits: Iterable[TextEdit]) -> None:
        self._edits = placed(text, edits)
        self._starts = [start for start, _, _ in self._edits]
        self._shifts = [0]  # how far text after the first n edits has moved
        for start, end, new in self._edits:
            self._shifts.append(self._shifts[-1] + len(new) - (end - start))

    def range(self, start: int, end: int) -> tuple[int, int] | None:
        """Where [start, end) lies now; None if all of it was deleted.

        An end inside replaced text widens to all of the replacement; an empty range where something was inserted
        is both before and after it.
        """
        first, last = sorted((self._start(start), self._end(end)))
        return None if start < end and first == last else (first, last)

    def _start(self, offset: int) -> int:
        passed = bisect_right(self._starts, offset)
        if passed:
            start, end, _ = self._edits[passed - 1]
            if start <= offset < end:
                return start + self._shifts[passed - 1]
        return offset + self._shifts[passed]

    def _end(self, offset: int) -> int:
        passed = bisect_left(self._starts, offset)
        if passed:
            start, end, new = self._edits[passed - 1]
            if start < offset <= end:
                return start + self._shifts[passed - 1] + len(new)
        return offset + self._shifts[passed]


@dataclass(frozen=True)
class Comparison:
    """`new` are findings of the edited text, `gone` of the text before; each in its own order."""

    new: tuple[Finding, ...]
    gone: tuple[Finding, ...]


def compare(before: Sequence[Finding], after: Sequence[Finding], text: str, edits: Sequence[TextEdit]) -> Comparison:
    """Match the findings of `text` with those of the edited text. Raises EditError if the edits overlap.

    Equal starts are matched first, then whatever meets: an edit inside a finding's own lines may move its start.
    """
    carry, old, new = Carry(text, edits), Offsets(text), Offsets(apply(text, edits))
    waiting: dict[Remark, list[tuple[int, tuple[int, int]]]] = defaultdict(list)
    for number, finding in enumerate(before):
        carried = carry.range(*old.range(finding.span))
        if carried is not None:
            waiting[remark(finding)].append((number, carried))
    answered_before: set[int] = set()
    answered_after: set[int] = set()
    for exactly in (True, False):
        for number, finding in enumerate(after):
            if number in answered_after:
                continue
            start, end = new.range(finding.span)
            for candidate in waiting[remark(finding)]:
                first, last = candidate[1]
                if first == start if exactly else first <= end and start <= last:
                    waiting[remark(finding)].remove(candidate)
                    answered_before.add(candidate[0])
                    answered_after.add(number)
                    break
    return Comparison(
        new=tuple(finding for number, finding in enumerate(after) if number not in answered_after),
        gone=tuple(finding for number, finding in enumerate(before) if number not in answered_before),
    )


def new_findings(
    before: Sequence[Finding], after: Sequence[Finding], text: str, edits: Sequence[TextEdit]
) -> list[Finding]:
    """The findings of `after` (of the edited text) that `before` (of `text`) does not answer for."""
    return list(compare(before, after, text, edits).new)
