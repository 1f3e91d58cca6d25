"""The state of one suggestion that was offered: what appeared at its place, what that means, what it became.

A watch is driven by `feedback.outcomes.Tracker`, which holds the document's text and gives it trimmed edits in order.
Always: one outcome, at most one settled text, each survival age once. Line ends are compared as "\\n"; `length` of an
outcome counts characters of the suggestion in that form.
"""

from dataclasses import dataclass, replace

from feedback.records import Outcome, OutcomeKind, Settled, Survival
from feedback.regions import Edit, Span, shared_prefix
from feedback.survival import kept_share

Event = Outcome | Settled | Survival

_CLOSERS = frozenset(")]}>\"'`")
_PAIRS = frozenset(("()", "[]", "{}", "<>", '""', "''", "``"))


@dataclass(frozen=True)
class Limits:
    """The times (seconds) and the share by which outcomes are told apart."""

    regret: float = 3.0  # accepted and gone within this time is rejected
    ignore_after: float = 60.0  # an offer that nothing happened to
    leave_after: float = 1.0  # after an edit elsewhere: time for the edits that belong to the same acceptance
    settle_after: float = 10.0
    settle_at_most: float = 600.0  # a region that is never left alone is settled anyway
    typed_share: float = 0.75  # typed so much of the suggestion before leaving it: typed_through
    survival_ages: tuple[int, ...] = (5, 30, 120, 300, 600)


class Watch:
    """One suggestion, from its offer to its last survival."""

    def __init__(self, suggestion: str, offset: int, text: str, at: float, content: str, limits: Limits) -> None:
        self.suggestion = suggestion
        self._text = _lines(text)
        self._limits = limits
        self._at = at
        self._written = Span(offset, offset, grows=True)  # what appeared at the cursor since the offer
        self._taken = 0  # leading characters of the suggestion that are there
        self._inserted = 0  # ... of which came with edits that bring more than a key can
        self._touched = at
        self._left: float | None = None
        self._confirmed: float | None = None  # when the client last reported an acceptance
        self._unseen = 0  # characters of it whose edit has not come yet
        self._outcome: Outcome | None = None
        self._held = False  # the outcome is known and waits for regret
        self._accepted: Span | None = None
        self._accepted_text = ""
        self._ages = list(limits.survival_ages)
        self._line_breaks = self._text.count("\n")
        self._region = _cut(Span(offset, _line_end(content, offset), grows=True), content, self._line_breaks)
        self._region_touched = at
        self._settled = False

    @property
    def finished(self) -> bool:
        """True if nothing can come any more."""
        return self._outcome is not None and not self._held and self._settled and self._accepted is None

    @property
    def _open(self) -> bool:
        return self._outcome is None

    def changed(self, edit: Edit, at: float, content: str) -> list[Event]:
        """`edit` was made and left `content`."""
        if edit.start == edit.end and not edit.text:
            return []
        self._follow(edit, at, content)
        if self._held and self._accepted is not None and self._accepted.start == self._accepted.end:
            self._accepted = None
            self._outcome, self._held = self._make("rejected", at, 0, "deleted_after_accept", 0.9), False
            return [self._outcome]
        if not self._open:
            return []
        here, across = self._written.touched_by(edit), edit.start < self._written.start
        self._written = self._written.after(edit)
        if across and here and self._inserted and self._written.start == self._written.end:
            return self._decide("rejected", at, 0, "deleted_after_partial", 0.9)
        if across or not here:
            self._left = at if self._left is None else self._left
            return []
        self._touched, self._left = at, None
        return self._compare(edit, at, content)

    def superseded(self, offset: int, text: str, at: float, content: str) -> list[Event]:
        """A newer suggestion was offered in the document."""
        if not self._open:
            return []
        here = self._written.start <= offset <= self._written.end
        expected = _lines(content[self._written.start : offset] + text)
        if here and self._inserted == 0 and expected.startswith(self._text):
            return self._decide("superseded", at, self._taken, "continued", 1.0)
        return self._leave("superseded", at, "replaced", 0.9)

    def confirmed(self, length: int | None, at: float) -> list[Event]:
        """The client reports an acceptance; it knows better than any inference."""
        if self._outcome is not None and not self._held:
            return []
        whole = length is None or length >= len(self._text)
        taken = len(self._text) if length is None else max(0, min(length, len(self._text)))
        self._confirmed = at
        if self._outcome is not None:
            self._outcome = replace(
                self._outcome, kind="accepted" if whole else "partial", length=taken, rule="client", confidence=1.0
            )
            return []
        self._touched, self._left = at, None
        self._unseen = max(0, taken - self._inserted)
        self._inserted += self._unseen
        return []

    def dismissed(self, at: float) -> list[Event]:
        """The client reports that the suggestion was sent away."""
        if not self._open:
            return []
        if self._inserted:
            return self._leave("rejected", at, "dismissed", 1.0)
        return self._decide("rejected", at, self._taken, "dismissed", 1.0)

    def tick(self, at: float, content: str) -> list[Event]:
        """Time passes."""
        events: list[Event] = []
        limits = self._limits
        if self._held and self._outcome is not None and at - self._outcome.at >= limits.regret:
            self._held = False
            events.append(self._outcome)
        if self._open and self._confirmed is not None and self._all_in() and at - self._confirmed >= limits.regret:
            events += self._leave("ignored", self._confirmed, "client", 1.0)  # its edit never came
        elif self._open and self._left is not None and at - self._left >= limits.leave_after:
            events += self._leave("ignored", self._left, "edited_elsewhere", 0.8)
        elif self._open and at - self._touched >= limits.ignore_after:
            events += self._leave("ignored", at, "timeout", 0.7)
        if self._outcome is None or self._held:
            return events
        idle = at - self._region_touched >= limits.settle_after
        if not self._settled and (idle or at - self._at >= limits.settle_at_most):
            events.append(self._settle(at, content))
        return events + self._survive(at, content)

    def closed(self, at: float, content: str) -> list[Event]:
        """The document is gone; `content` is the last of it."""
        events = self.lost(at)
        return events if self._settled else [*events, self._settle(at, content)]

    def lost(self, at: float) -> list[Event]:
        """The document cannot be followed any more: decide."""
        if self._held and self._outcome is not None:
            self._held = False
            return [self._outcome]
        return self._leave("ignored", at, "closed", 0.6) if self._open else []

    def _follow(self, edit: Edit, at: float, content: str) -> None:
        """Move the region and the accepted text along."""
        if self._accepted is not None:
            self._accepted = self._accepted.after(edit)
        if not self._settled:
            inside = self._region.touched_by(edit)
            size = self._region.end - self._region.start
            moved = self._region.after(edit)
            self._region = _cut(moved, content, self._line_breaks)
            grew_only_behind = edit.start - self._region.start >= size and self._region.end <= edit.start
            if inside and not grew_only_behind:
                self._region_touched = at

    def _compare(self, edit: Edit, at: float, content: str) -> list[Event]:
        """Something was written at the cursor: is it the suggestion?"""
        there = _lines(self._written.of(content))
        taken = _taken(there, self._text)
        inserted = _lines(edit.text)
        if taken is None:
            return self._leave("rejected", at, "typed_something_else", 0.9 if len(inserted) == 1 else 0.8)
        rest = self._text[taken:]
        if taken and _CLOSERS.issuperset(rest) and content.startswith(rest, self._written.end):
            taken = len(self._text)  # the brackets that close it stood behind the cursor already
        before, self._taken = self._taken, taken
        gained = taken - before
        key = _one_key(inserted)
        if taken == len(self._text):
            return self._complete(gained, before, inserted, at)
        if gained > 1 and not key:
            self._credit(gained)
        elif gained < 0 and self._inserted > self._unseen:
            if taken == 0:
                return self._decide("rejected", at, 0, "deleted_after_partial", 0.9)
            self._inserted = min(self._inserted, taken)
        return []

    def _complete(self, gained: int, before: int, inserted: str, at: float) -> list[Event]:
        """The whole suggestion stands there."""
        size = len(self._text)
        if self._confirmed is not None and self._all_in():
            self._hold("accepted", at, size, "client", 1.0)
        elif before == 0 and gained == size > 1 and inserted.startswith(self._text):
            self._hold("accepted", at, size, "inserted_at_once", 0.6 if _one_key(inserted) else 0.98)
        elif gained > 1 and not _one_key(inserted):
            rule = "inserted_in_parts" if self._inserted else "rest_inserted_at_once"
            self._credit(gained)
            self._hold("accepted", at, self._inserted, rule, 0.9)
        elif self._inserted:
            self._hold("partial", at, self._inserted, "part_then_typed", 0.8)
        else:
            self._hold("typed_through", at, size, "typed_to_its_end", 0.95)
        return []

    def _leave(self, kind: OutcomeKind, at: float, rule: str, confidence: float) -> list[Event]:
        """The suggestion is not completed any more; what was taken of it counts before why it was left."""
        if self._inserted:
            why, sure = ("leading_part", 0.7) if self._confirmed is None else ("client", 1.0)
            return self._decide("accepted" if self._all_in() else "partial", at, self._inserted, why, sure)
        if self._taken >= self._limits.typed_share * len(self._text):
            return self._decide("typed_through", at, self._taken, "typed_most_of_it", 0.7)
        return self._decide(kind, at, self._taken, rule, confidence)

    def _all_in(self) -> bool:
        """True if the whole suggestion came, or was reported, in insertions."""
        return self._inserted >= len(self._text)

    def _credit(self, gained: int) -> None:
        """Count characters that came in one insertion, unless the client reported them before."""
        reported = min(gained, self._unseen)
        self._unseen -= reported
        self._inserted += gained - reported

    def _make(self, kind: OutcomeKind, at: float, length: int, rule: str, confidence: float) -> Outcome:
        return Outcome(self.suggestion, at, kind, length, rule, confidence)

    def _decide(self, kind: OutcomeKind, at: float, length: int, rule: str, confidence: float) -> list[Event]:
        self._outcome = self._make(kind, at, length, rule, confidence)
        self._start_survival()
        return [self._outcome]

    def _hold(self, kind: OutcomeKind, at: float, length: int, rule: str, confidence: float) -> None:
        """The outcome is known, and counts unless it is regretted."""
        self._outcome, self._held = self._make(kind, at, length, rule, confidence), True
        self._start_survival()

    def _start_survival(self) -> None:
        if self._outcome is not None and self._outcome.kind in ("accepted", "partial"):
            self._accepted = Span(self._written.start, self._written.end)
            self._accepted_text = self._text[: self._taken or self._outcome.length]

    def _settle(self, at: float, content: str) -> Settled:
        self._settled = True
        return Settled(self.suggestion, at, self._region.of(content))

    def _survive(self, at: float, content: str) -> list[Event]:
        events: list[Event] = []
        while self._accepted is not None and self._outcome is not None:
            if not self._ages:
                self._accepted = None
            elif at - self._outcome.at >= self._ages[0]:
                kept = kept_share(self._accepted_text, _lines(self._accepted.of(content)))
                events.append(Survival(self.suggestion, at, self._ages.pop(0), kept))
            else:
                break
        return events


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n")


def _taken(there: str, text: str) -> int | None:
    """How many leading characters of `text` stand there; None if something else stands there too.

    Brackets and quotes that the editor closed by itself behind the cursor are no difference, nor is half a line end.
    """
    shared = shared_prefix(there, text)
    rest = there[shared:]
    if shared == len(text) or not rest or (shared and len(rest) <= shared and _CLOSERS.issuperset(rest)):
        return shared
    return shared if rest == "\r" else None


def _one_key(inserted: str) -> bool:
    """True if one key can bring this: a character, a pair of brackets, a line break with its indentation."""
    return len(inserted) <= 1 or inserted in _PAIRS or (inserted[0] == "\n" and not inserted.strip())


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
