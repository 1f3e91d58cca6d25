"""From edits to facts: the outcome tracker, consent and the recorder, wired for the event loop.

Everything here is quick: the tracker is pure, the recorder only queues. With consent off the tracker still runs
(what was just rejected is not shown again) and the recorder forgets every fact.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from feedback.consent import Consents
from feedback.outcomes import Event, Tracker
from feedback.recorder import Recorder
from feedback.records import Decision, Outcome, Suggestion
from feedback.regions import Edit
from feedback.watches import Limits
from index.files import is_secret
from server.settings import FeedbackSettings

_TICK_SECONDS = 0.5
_REMEMBERED_REJECTIONS = 200


class Learning:
    """What the user did with what was offered. Belongs to the event loop."""

    def __init__(self, database: Path, settings: FeedbackSettings, report: Callable[[str], None]) -> None:
        self._report = report
        self._loop: asyncio.AbstractEventLoop | None = None
        self.consents = Consents(database)
        self.recorder = Recorder(database, self.consents, is_secret, self._report_from_thread)
        self._tracker = Tracker(Limits(settle_after=settings.settle_seconds, survival_ages=settings.survival_seconds))
        self._offers: dict[str, tuple[str, str]] = {}  # open suggestion -> (line before the cursor, text)
        self._documents: set[str] = set()
        self._rejected: deque[tuple[str, str]] = deque(maxlen=_REMEMBERED_REJECTIONS)
        self._counts: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look at the clock: settled text and survival are decided by it."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._tick(), name="feedback clock")

    def offered(self, suggestion: Suggestion, decision: Decision, document: str, offset: int, content: str) -> None:
        """A suggestion was made; what becomes of it is followed only if it was shown."""
        self.recorder.record(suggestion)
        self.recorder.record(decision)
        if decision.shown:
            self._offers[suggestion.id] = (_last_line(suggestion.prefix), suggestion.text)
            self._documents.add(document)
            self._take(self._tracker.offered(suggestion.id, document, offset, suggestion.text, suggestion.at, content))

    def is_open(self, suggestion: str) -> bool:
        """True while nothing is decided about a suggestion."""
        return suggestion in self._offers

    def was_rejected(self, prefix: str, text: str) -> bool:
        """True if this text was turned down at such a line not long ago."""
        return (_last_line(prefix), text) in self._rejected

    def changed(self, document: str, edit: Edit) -> None:
        """The document changed."""
        self._take(self._tracker.changed(document, edit, time.time()))

    def closed(self, document: str) -> None:
        """The document was closed: whatever is open about it ends now."""
        self._documents.discard(document)
        self._take(self._tracker.closed(document, time.time()))

    def accepted(self, suggestion: str, length: int | None = None) -> None:
        """The client says that the suggestion, or its first `length` characters, was taken."""
        self._take(self._tracker.accepted(suggestion, length, time.time()))

    def dismissed(self, suggestion: str) -> None:
        """The client says that the user turned the suggestion down."""
        self._take(self._tracker.dismissed(suggestion, time.time()))

    def status(self) -> dict[str, Any]:
        """Outcomes of this session by kind, and how recording goes."""
        return {"outcomes": dict(self._counts), "recorder": asdict(self.recorder.status())}

    def close(self) -> None:
        """Decide every open suggestion and write what is left."""
        if self._task is not None:
            self._task.cancel()
        for document in list(self._documents):
            self.closed(document)
        self.recorder.close()
        self.consents.close()

    async def _tick(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(_TICK_SECONDS)
                self._take(self._tracker.tick(time.time()))

    def _take(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Outcome):
                self._counts[event.kind] = self._counts.get(event.kind, 0) + 1
                offer = self._offers.pop(event.suggestion, None)
                if event.kind == "rejected" and offer is not None:
                    self._rejected.append(offer)
            self.recorder.record(event)

    def _report_from_thread(self, message: str) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._report, message)


def _last_line(text: str) -> str:
    return text.rsplit("\n", 1)[-1]
