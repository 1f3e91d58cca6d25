"""What a user did with one suggestion, from edits alone: a state machine that is open, then held, then decided.

It knows no clock and no client: `feedback.watches` gives it trimmed edits in order, and compares what it says with
what a client reports. Always: it decides once. What was completed is held for `regret` seconds, for what is accepted
and taken back at once was rejected. Line ends are compared as "\n"; lengths count characters of the suggestion in
that form.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from feedback.authors import Author, Change, one_key
from feedback.records import OutcomeKind
from feedback.regions import Edit, Span, shared_prefix

_CLOSERS = frozenset(")]}>\"'`")
_BY_HAND = ("human", "multi_cursor")


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


@dataclass(frozen=True)
class Verdict:
    """What the edits say. `rule` is the one that decided; `confidence` from 0 to 1 is how often it is right."""

    kind: OutcomeKind
    at: float
    length: int
    rule: str
    confidence: float


class Inference:
    """One suggestion `text` at `offset` of `content`, from its offer to its verdict."""

    def __init__(self, offset: int, text: str, at: float, content: str, limits: Limits) -> None:
        self.text = lines_of(text)
        self.span = Span(offset, offset, grows=True)  # what appeared at the cursor since the offer
        self.accepted: Span | None = None  # what was taken over, once the suggestion is complete
        self.taken = 0  # leading characters of the suggestion that are there
        self.inserted = 0  # ... of which came with edits that bring more than a key can
        self.held: Verdict | None = None
        self.verdict: Verdict | None = None
        self._limits = limits
        self._offered_into = content
        self._touched = at
        self._left: float | None = None
        self._joints: list[int] = []  # where one insertion of it ended and the next one began
        self._keys = 0  # characters that may have been typed

    @property
    def open(self) -> bool:
        """True while the suggestion may still be taken over."""
        return self.held is None and self.verdict is None

    def changed(self, changes: Sequence[Change], author: Author, at: float) -> None:
        """One notification's changes, made by `author`."""
        by_hand = author in _BY_HAND
        touching = any(self._touches(change.edit) for change in changes)
        for change in changes:
            if self.held is not None:
                self._follow_held(change, by_hand, at)
            elif self.verdict is None:
                self._follow_open(change, by_hand, touching, author, at)

    def superseded(self, offset: int, text: str, at: float, content: str) -> None:
        """A newer suggestion was offered in the document."""
        if not self.open:
            return
        here = self.span.start <= offset <= self.span.end
        expected = lines_of(content[self.span.start : offset] + text)
        if here and self.inserted == 0 and expected.startswith(self.text):
            self._decide("superseded", at, self.taken, "continued", 1.0)
        else:
            self.leave("superseded", at, "replaced", 0.9)

    def tick(self, at: float) -> None:
        """Time passes."""
        limits = self._limits
        if self.held is not None and at - self.held.at >= limits.regret:
            self.held, self.verdict = None, self.held
        if not self.open:
            return
        if self._left is not None and at - self._left >= limits.leave_after:
            self.leave("ignored", self._left, "edited_elsewhere", 0.8)
        elif at - self._touched >= limits.ignore_after:
            self.leave("ignored", at, "timeout", 0.7)

    def end(self, at: float, rule: str) -> None:
        """The document cannot be followed any more: decide."""
        if self.held is not None:
            self.held, self.verdict = None, self.held
        elif self.verdict is None:
            self.leave("invalidated", at, rule, 0.9)

    def leave(self, kind: OutcomeKind, at: float, rule: str, confidence: float) -> None:
        """The suggestion is not completed any more; what was taken of it counts before why it was left."""
        if self.inserted:
            whole = self.inserted >= len(self.text)
            self._decide("accepted" if whole else "partial", at, self.inserted, "leading_part", 0.9)
        elif self.taken >= self._limits.typed_share * len(self.text):
            self._decide("typed_through", at, self.taken, "typed_most_of_it", 0.7)
        else:
            self._decide(kind, at, self.taken, rule, confidence)

    def _touches(self, edit: Edit) -> bool:
        return edit.start >= self.span.start and self.span.touched_by(edit)

    def _follow_held(self, change: Change, by_hand: bool, at: float) -> None:
        """It is complete; is it taken back?"""
        assert self.held is not None
        self.span = self.span.after(change.edit)
        if self.accepted is None:
            return
        self.accepted = self.accepted.after(change.edit)
        if not by_hand or at - self.held.at >= self._limits.regret:
            return
        if change.content == self._offered_into:
            self._regret(at, "undone", 0.95)
        elif self.accepted.start == self.accepted.end:
            self._regret(at, "deleted_after_accept", 0.9)

    def _regret(self, at: float, rule: str, confidence: float) -> None:
        self.held = self.accepted = None
        self._decide("rejected", at, 0, rule, confidence)

    def _follow_open(self, change: Change, by_hand: bool, touching: bool, author: Author, at: float) -> None:
        edit = change.edit
        here, across = self.span.touched_by(edit), edit.start < self.span.start
        same_line = across and "\n" not in change.before[edit.start : self.span.start]
        self.span = self.span.after(edit)
        if not by_hand:
            if here or same_line:
                self.leave("invalidated", at, f"changed_by_{author}", 0.8)
            return
        if self.inserted and change.content == self._offered_into:
            self._decide("rejected", at, 0, "undone", 0.95)
        elif across and here and self.inserted and self.span.start == self.span.end:
            self._decide("rejected", at, 0, "deleted_after_partial", 0.9)
        elif across or not here:
            if self._left is None and not touching:
                self._left = at
        else:
            self._touched, self._left = at, None
            self._compare(change, at)

    def _compare(self, change: Change, at: float) -> None:
        """Something was written at the cursor: is it the suggestion?"""
        content = change.content
        taken = _taken(lines_of(self.span.of(content)), self.text)
        inserted = lines_of(change.edit.text)
        if taken is None:
            self.leave("rejected", at, "typed_something_else", 0.9 if len(inserted) == 1 else 0.8)
            return
        rest = self.text[taken:]
        if taken and _CLOSERS.issuperset(rest) and content.startswith(rest, self.span.end):
            taken = len(self.text)  # the brackets that close it stood behind the cursor already
        gained, self.taken = taken - self.taken, taken
        by_key = one_key(inserted) or (_from_a_list(change) and rest != "")
        if taken == len(self.text):
            self._complete(gained, by_key, inserted, at)
        elif gained > 1 and not by_key:
            self.inserted += gained
            self._joints.append(taken)
        elif gained > 0:
            self._keys += gained
        elif gained < 0 and self.inserted:
            if taken == 0:
                self._decide("rejected", at, 0, "deleted_after_partial", 0.9)
            self.inserted = min(self.inserted, taken)

    def _complete(self, gained: int, by_key: bool, inserted: str, at: float) -> None:
        """The whole suggestion stands there."""
        size = len(self.text)
        if gained == size > 1 and inserted.startswith(self.text):
            self._hold("accepted", at, size, "inserted_at_once", 0.6 if by_key else 0.98)
        elif gained > 1 and not by_key:
            rule = self._in_parts() if self.inserted else "rest_inserted_at_once"
            self.inserted += gained
            self._hold("accepted", at, self.inserted, rule, 0.9)
        elif self.inserted and self._keys + gained <= len(self._joints):  # its words of one character were taken too
            self._hold("accepted", at, size, self._in_parts(), 0.75)
        elif self.inserted:
            self._hold("partial", at, self.inserted, "part_then_typed", 0.8)
        else:
            self._hold("typed_through", at, size, "typed_to_its_end", 0.95)

    def _in_parts(self) -> str:
        by_line = all("\n" in self.text[joint - 1 : joint + 1] for joint in self._joints)
        return "inserted_line_by_line" if by_line else "inserted_word_by_word"

    def _hold(self, kind: OutcomeKind, at: float, length: int, rule: str, confidence: float) -> None:
        """The verdict is known, and counts unless it is regretted."""
        self.held = Verdict(kind, at, length, rule, confidence)
        if kind != "typed_through":
            self.accepted = Span(self.span.start, self.span.end)

    def _decide(self, kind: OutcomeKind, at: float, length: int, rule: str, confidence: float) -> None:
        self.verdict = Verdict(kind, at, length, rule, confidence)


def lines_of(text: str) -> str:
    """The text with "\n" for every line end."""
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


def _from_a_list(change: Change) -> bool:
    """True if a name was chosen from the editor's own list: that writes the begun name again, ghost text never does."""
    begun = change.before[change.raw.start : change.raw.end]
    return begun.isidentifier() and change.raw.text.isidentifier() and change.raw.text.startswith(begun)
