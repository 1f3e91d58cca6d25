"""One suggestion that was offered, from its offer to its last survival: edits, client reports and time together.

A watch is driven by `feedback.outcomes.Tracker`, which holds the document's text. What the edits say is found by
`feedback.inference`; a client's report confirms or overrules it, and both are told as a `Report` once both are known,
so that they can be compared. What stands there afterwards is `feedback.aftermath`'s. Always: one outcome, at most one
settled text, at most one report, each survival age once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from feedback.aftermath import Aftermath
from feedback.authors import Author, Change
from feedback.inference import Inference, Limits, Verdict
from feedback.records import Outcome, OutcomeKind, Report, Settled, Survival
from feedback.regions import Edit, Span

Event = Outcome | Settled | Survival | Report


@dataclass(frozen=True)
class _Reported:
    kind: OutcomeKind
    at: float
    length: int


class Watch:
    """One suggestion `text` at `offset` of the document."""

    def __init__(self, suggestion: str, offset: int, text: str, at: float, content: str, limits: Limits) -> None:
        self.suggestion = suggestion
        self._limits = limits
        self._inference = Inference(offset, text, at, content, limits)
        self._aftermath = Aftermath(suggestion, offset, self._inference.text, at, content, limits)
        self._reported: _Reported | None = None
        self._outcome: Outcome | None = None
        self._surviving = False  # the aftermath knows what was accepted
        self._compared = False

    @property
    def finished(self) -> bool:
        """True if nothing can come any more."""
        return self._outcome is not None and self._aftermath.finished and (self._reported is None or self._compared)

    @property
    def passed(self) -> bool:
        """True if it is decided that nothing of it was taken, and all that was reported is compared."""
        compared = self._reported is None or self._compared
        return self._outcome is not None and not self._surviving and compared

    def touches(self, edit: Edit) -> bool:
        """True if the edit is where the suggestion stands, and it is still open."""
        return self._inference.open and self._inference.span.touched_by(edit)

    def changed(self, changes: Sequence[Change], author: Author, at: float) -> list[Event]:
        """One notification's changes were made by `author`."""
        self._aftermath.follow(changes, author, at)
        if self._inference.verdict is not None:
            return []  # decided: only the aftermath goes on
        self._inference.changed(changes, author, at)
        return self._progress(at, changes[-1].content)

    def superseded(self, offset: int, text: str, at: float, content: str) -> list[Event]:
        """A newer suggestion was offered in the document."""
        self._inference.superseded(offset, text, at, content)
        return self._progress(at, content)

    def accepted(self, length: int | None, at: float, content: str) -> list[Event]:
        """The client reports an acceptance, whole or of the first `length` characters."""
        if self._outcome is not None:
            return []
        size = len(self._inference.text)
        taken = size if length is None else max(0, min(length, size))
        self._reported = _Reported("accepted" if taken == size else "partial", at, taken)
        return self._progress(at, content)

    def dismissed(self, at: float, content: str) -> list[Event]:
        """The client reports that the suggestion was sent away. One that stands there already cannot be."""
        if self._outcome is not None or self._reported is not None or self._inference.held is not None:
            return []
        kind: OutcomeKind = "partial" if self._inference.inserted else "rejected"
        self._reported = _Reported(kind, at, self._inference.inserted or self._inference.taken)
        return self._progress(at, content)

    def tick(self, at: float, content: str) -> list[Event]:
        """Time passes."""
        self._inference.tick(at)
        events = self._progress(at, content)
        return events if self._outcome is None else [*events, *self._aftermath.look(at, content)]

    def closed(self, at: float, content: str) -> list[Event]:
        """The document is gone; `content` is the last of it."""
        events = self._end("closed", at, content)
        return events if self._aftermath.settled else [*events, *self._aftermath.settle(at, content)]

    def lost(self, at: float, rule: str) -> list[Event]:
        """The document cannot be followed any more: decide without looking at a text that is not the user's."""
        return self._end(rule, at, None)

    def _end(self, rule: str, at: float, content: str | None) -> list[Event]:
        self._inference.end(at, rule)
        return self._progress(at, content)

    def _progress(self, at: float, content: str | None) -> list[Event]:
        """What can be said now that could not be said before."""
        events: list[Event] = []
        verdict = self._inference.verdict
        if content is not None:
            self._begin_survival(content)
        if self._outcome is None and (outcome := self._decided(at)) is not None:
            self._outcome = outcome
            events.append(outcome)
            if outcome.kind not in ("accepted", "partial"):
                self._aftermath.regretted()
        reported = self._reported
        if reported is not None and verdict is not None and not self._compared:
            self._compared = True
            events.append(Report(self.suggestion, at, reported.kind, verdict.kind, verdict.rule, verdict.confidence))
        return events

    def _decided(self, at: float) -> Outcome | None:
        """The outcome, once there is one: by the edits, unless the client knows better."""
        verdict, reported = self._inference.verdict, self._reported
        if reported is None:
            return None if verdict is None else self._by_edits(verdict)
        if verdict is not None and verdict.rule in ("undone", "deleted_after_accept", "deleted_after_partial"):
            return self._by_edits(verdict)  # it was accepted, and regretted
        if reported.kind == "rejected" or (reported.kind == "partial" and verdict is not None):
            return self._by_client(reported, reported.length)
        if verdict is not None:
            taken = verdict.length if verdict.kind == "accepted" else reported.length
            return self._by_client(reported, taken)
        late = at - reported.at >= self._limits.regret and self._inference.open
        return self._by_client(reported, reported.length) if late and reported.kind == "accepted" else None

    def _by_edits(self, verdict: Verdict) -> Outcome:
        return Outcome(self.suggestion, verdict.at, verdict.kind, verdict.length, verdict.rule, verdict.confidence)

    def _by_client(self, reported: _Reported, length: int) -> Outcome:
        rule = "dismissed" if reported.kind == "rejected" else "client"
        return Outcome(self.suggestion, reported.at, reported.kind, length, rule, 1.0)

    def _begin_survival(self, content: str) -> None:
        """From the moment of an acceptance its text is followed, whatever the outcome's own time."""
        inference = self._inference
        last = inference.held or inference.verdict
        taken_over = last is not None and last.kind in ("accepted", "partial")
        claimed = last is not None and self._reported is not None and self._reported.kind in ("accepted", "partial")
        if self._surviving or last is None or not (taken_over or claimed):
            return
        self._surviving = True
        span = inference.accepted or Span(inference.span.start, inference.span.end)
        text = inference.text[: inference.taken or last.length]
        self._aftermath.accepted(span, text, last.at, content)
