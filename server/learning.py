"""From edits to facts: the outcome tracker, the recorder and consent, wired for the event loop.

Everything here is quick: the tracker is pure, the recorder only puts values into a queue. With consent off the
tracker still runs (its outcomes keep just-rejected suggestions from being shown again) but nothing is recorded.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from feedback.consent import Consent, ConsentBook
from feedback.outcomes import Edit, Tracker
from feedback.recorder import Recorder
from feedback.records import Decision, Fact, Outcome, Suggestion
from server.settings import FeedbackSettings

_TICK_SECONDS = 0.5
_REMEMBERED_REJECTIONS = 200
OPEN_OUTCOMES = ("rejected",)


class Learning:
    """What the user did with what was offered."""

    def __init__(
        self,
        database: Path,
        settings: FeedbackSettings,
        text_of: Callable[[str], str | None],
        report: Callable[[str], None],
    ) -> None:
        self.consents = ConsentBook(database)
        self.recorder = Recorder(database, report=report)
        self._tracker = Tracker(
            text_of, settle_seconds=settings.settle_seconds, survival_ages=settings.survival_seconds
        )
        self._workspace_of: dict[str, str] = {}
        self._offers: dict[str, tuple[str, str]] = {}  # suggestion -> (line before the cursor, text)
        self._rejected: deque[tuple[str, str]] = deque(maxlen=_REMEMBERED_REJECTIONS)
        self._task: asyncio.Task[None] | None = None
        self._counts: dict[str, int] = {}

    def start(self) -> None:
        """Begin to look at the clock: settled text and survival are decided by it."""
        self._task = asyncio.create_task(self._tick(), name="feedback clock")

    def consent(self, workspace: str) -> Consent:
        """What the user chose for this workspace; off until chosen."""
        return self.consents.get(workspace)

    def offered(self, suggestion: Suggestion, decision: Decision, document: str, offset: int) -> None:
        """A suggestion was made; it is followed only if it was shown."""
        if self.consent(suggestion.workspace) is not Consent.OFF:
            self._workspace_of[suggestion.id] = suggestion.workspace
            self.recorder.record(suggestion)
            self.recorder.record(decision)
        if decision.shown:
            line = suggestion.prefix.rsplit("\n", 1)[-1]
            self._offers[suggestion.id] = (line, suggestion.text)
            self._take(self._tracker.offered(suggestion.id, document, offset, suggestion.text, suggestion.at))

    def was_rejected(self, prefix: str, text: str) -> bool:
        """True if this text was turned down at such a line not long ago."""
        return (prefix.rsplit("\n", 1)[-1], text) in self._rejected

    def changed(self, document: str, edit: Edit) -> None:
        """The document changed; its text is already the new one."""
        self._take(self._tracker.changed(document, edit, time.time()))

    def closed(self, document: str) -> None:
        """The document was closed: whatever is open about it ends now."""
        self._take(self._tracker.closed(document, time.time()))

    def accepted(self, suggestion: str, length: int | None = None) -> None:
        """The client says that the suggestion, or its first `length` characters, was taken."""
        self._take(self._tracker.accepted(suggestion, length, time.time()))

    def dismissed(self, suggestion: str) -> None:
        """The client says that the user turned the suggestion down."""
        self._take(self._tracker.dismissed(suggestion, time.time()))

    def status(self) -> dict[str, Any]:
        """Outcomes of this session by kind, and how the recorder is doing."""
        return {"outcomes": dict(self._counts), "recorder": self.recorder.status()}

    def close(self) -> None:
        """End every open suggestion and write what is left."""
        if self._task is not None:
            self._task.cancel()
        self._take(self._tracker.close(time.time()))
        self.recorder.close()

    async def _tick(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(_TICK_SECONDS)
                self._take(self._tracker.tick(time.time()))

    def _take(self, facts: list[Outcome] | list[Fact]) -> None:
        for fact in facts:
            if isinstance(fact, Outcome):
                self._counts[fact.kind] = self._counts.get(fact.kind, 0) + 1
                offer = self._offers.pop(fact.suggestion, None)
                if fact.kind == "rejected" and offer is not None:
                    self._rejected.append(offer)
            workspace = self._workspace_of.get(getattr(fact, "suggestion", ""))
            if workspace is not None and self.consent(workspace) is not Consent.OFF:
                self.recorder.record(fact)
