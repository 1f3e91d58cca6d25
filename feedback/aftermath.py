"""What became of one suggestion's place afterwards: the settled text, and how much of what was accepted survives.

It follows spans through edits and looks at them when its time has come; it decides no outcome. Always: one settled
text at most, each survival age once. What a formatter does to accepted text takes nothing away from it; what the agent
wrote last is nothing that the user settled on.
"""

from collections.abc import Sequence
from dataclasses import replace

from feedback.authors import Author, Change
from feedback.inference import Limits, lines_of
from feedback.records import Settled, Survival
from feedback.regions import Span
from feedback.survival import kept_share, unreverted_share


class Aftermath:
    """The region of a suggestion that was offered at `offset` of `content`: the rest of the line, or the block."""

    def __init__(self, suggestion: str, offset: int, text: str, at: float, content: str, limits: Limits) -> None:
        self._suggestion = suggestion
        self._limits = limits
        self._line_breaks = text.count("\n")
        self._offered_at = at
        self._region = _cut(Span(offset, _line_end(content, offset), grows=True), content, self._line_breaks)
        self._region_touched = at
        self._by_agent = False
        self._region_before = self._region.of(content)
        self._region_after = ""
        self._accepted: Span | None = None
        self._accepted_text = ""
        self._accepted_at = at
        self._ages = list(limits.survival_ages)
        self._settled = False

    @property
    def finished(self) -> bool:
        """True if nothing can come any more."""
        return self._settled and self._accepted is None

    @property
    def settled(self) -> bool:
        return self._settled

    def follow(self, changes: Sequence[Change], author: Author, at: float) -> None:
        """Move the region and the accepted text along."""
        for change in changes:
            edit, content = change.edit, change.content
            if self._accepted is not None:
                whole = author == "formatter" and lines_of(self._accepted.of(change.before)) == self._accepted_text
                self._accepted = self._accepted.after(edit)
                if whole:
                    self._accepted_text = lines_of(self._accepted.of(content))
            inside = self._region.touched_by(edit)
            size = self._region.end - self._region.start
            moved = self._region.after(edit)
            self._region = _cut(moved, content, self._line_breaks)
            grew_only_behind = edit.start - self._region.start >= size and self._region.end <= edit.start
            if inside and not grew_only_behind and author != "formatter":
                self._region_touched = at
                self._by_agent = author == "agent"

    def accepted(self, span: Span, text: str, at: float, content: str) -> None:
        """`text` was taken over and stands in `span`."""
        self._accepted, self._accepted_text, self._accepted_at = span, text, at
        self._region_after = self._region.of(content)

    def regretted(self) -> None:
        """What was accepted counts as rejected after all."""
        self._accepted = None

    def look(self, at: float, content: str) -> list[Settled | Survival]:
        """Whatever is due."""
        events: list[Settled | Survival] = []
        idle = at - self._region_touched >= self._limits.settle_after
        if not self._settled and (idle or at - self._offered_at >= self._limits.settle_at_most):
            events += self.settle(at, content)
        while self._accepted is not None:
            if not self._ages:
                self._accepted = None
            elif at - self._accepted_at >= self._ages[0]:
                events.append(self._survival(at, content, self._accepted))
            else:
                break
        return events

    def settle(self, at: float, content: str) -> list[Settled]:
        """The region as it is now, unless it is not the user's."""
        self._settled = True
        return [] if self._by_agent else [Settled(self._suggestion, at, self._region.of(content))]

    def _survival(self, at: float, content: str, span: Span) -> Survival:
        kept = kept_share(self._accepted_text, lines_of(span.of(content)))
        unreverted = unreverted_share(self._region_before, self._region_after, self._region.of(content))
        return Survival(self._suggestion, at, self._ages.pop(0), kept, unreverted)


def _line_end(content: str, offset: int) -> int:
    end = content.find("\n", offset)
    end = len(content) if end < 0 else end
    return end - 1 if end > offset and content[end - 1] == "\r" else end


def _cut(span: Span, content: str, line_breaks: int) -> Span:
    """The span without the lines that the suggestion would not have covered."""
    end = span.start
    for _ in range(line_breaks + 1):
        end = content.find("\n", end, span.end)
        if end < 0:
            return span
        end += 1
    end -= 1
    return replace(span, end=end - 1 if end > span.start and content[end - 1] == "\r" else end)
