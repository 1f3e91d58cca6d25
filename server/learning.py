"""From edits to facts: the outcome tracker, consent and the recorder, wired for the event loop.

Everything here is quick: the tracker is pure, the recorder only queues. With consent off the tracker still runs
(what was just rejected is not shown again) and the recorder forgets every fact.
"""

import asyncio
import contextlib
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from feedback.authors import Author
from feedback.consent import Consent, Consents
from feedback.outcomes import Event, Limits, Tracker
from feedback.recorder import Recorder
from feedback.records import Decision, Outcome, Report, Suggestion
from feedback.regions import Edit
from feedback.traces import TracedTracker, TraceWriter
from index.files import is_secret
from inkling import folders
from server.settings import FeedbackSettings

_TICK_SECONDS = 0.5
_REMEMBERED_REJECTIONS = 200


class SteadyClock:
    """Unix seconds that never jump: the machine's clock is looked at once, from then on the monotonic one counts."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        return time.monotonic() + self._offset


class Learning:
    """What the user did with what was offered. Belongs to the event loop."""

    def __init__(self, database: Path, settings: FeedbackSettings, report: Callable[[str], None]) -> None:
        self._report = report
        self._loop: asyncio.AbstractEventLoop | None = None
        self.clock = SteadyClock()
        self.consents = Consents(database)
        self.recorder = Recorder(database, self.consents, is_secret, self._report_from_thread)
        self._tracker, self._trace = self._new_tracker(settings)
        self._workspaces: dict[str, str] = {}  # document -> the workspace of its last suggestion
        self._offers: dict[str, tuple[str, str]] = {}  # open suggestion -> (line before the cursor, text)
        self._rejected: deque[tuple[str, str]] = deque(maxlen=_REMEMBERED_REJECTIONS)
        self._counts: Counter[str] = Counter()
        self._compared: Counter[str] = Counter()  # client reports, by whether the edits alone said the same
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
            self._workspaces[document] = suggestion.workspace
            self._take(self._tracker.offered(suggestion.id, document, offset, suggestion.text, suggestion.at, content))

    def is_open(self, suggestion: str) -> bool:
        """True while nothing is decided about a suggestion."""
        return suggestion in self._offers

    def was_rejected(self, prefix: str, text: str) -> bool:
        """True if this text was turned down at such a line not long ago."""
        return (_last_line(prefix), text) in self._rejected

    def changed(self, document: str, edits: Sequence[Edit], version: int, author: Author | None = None) -> None:
        """One notification changed the document; `author` where it is known who did that."""
        self._take(self._tracker.changed(document, edits, self.clock.now(), version, author))

    def closed(self, document: str) -> None:
        """The document was closed: whatever is open about it ends now."""
        self._take(self._tracker.closed(document, self.clock.now()))
        self._workspaces.pop(document, None)

    def accepted(self, suggestion: str, length: int | None = None) -> None:
        """The client says that the suggestion, or its first `length` characters, was taken."""
        self._take(self._tracker.accepted(suggestion, length, self.clock.now()))

    def dismissed(self, suggestion: str) -> None:
        """The client says that the user turned the suggestion down."""
        self._take(self._tracker.dismissed(suggestion, self.clock.now()))

    def status(self) -> dict[str, Any]:
        """Outcomes of this session by kind, client reports beside what the edits said, and how recording goes."""
        return {
            "outcomes": dict(self._counts),
            "reports": dict(self._compared),
            "recorder": asdict(self.recorder.status()),
        }

    def close(self) -> None:
        """Decide every open suggestion and write what is left."""
        if self._task is not None:
            self._task.cancel()
        for document in list(self._workspaces):
            self.closed(document)
        if self._trace is not None:
            self._trace.close()
        self.recorder.close()
        self.consents.close()

    async def _tick(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(_TICK_SECONDS)
                self._take(self._tracker.tick(self.clock.now()))

    def _take(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Outcome):
                self._counts[event.kind] += 1
                offer = self._offers.pop(event.suggestion, None)
                if event.kind == "rejected" and offer is not None:
                    self._rejected.append(offer)
            elif isinstance(event, Report):
                same = event.reported == event.inferred
                self._compared["confirmed" if same else f"{event.reported} over {event.inferred}"] += 1
            self.recorder.record(event)

    def _new_tracker(self, settings: FeedbackSettings) -> tuple[Tracker, TraceWriter | None]:
        limits = Limits(settle_after=settings.settle_seconds, survival_ages=settings.survival_seconds)
        if not settings.trace:
            return Tracker(limits), None
        started = time.strftime("%Y%m%d-%H%M%S")
        writer = TraceWriter(folders.data_folder() / "traces" / f"{started}-{os.getpid()}.jsonl", limits)
        return TracedTracker(limits, writer, self._may_be_traced), writer

    def _may_be_traced(self, document: str) -> bool:
        return self.consents.known(self._workspaces.get(document, "")) is not Consent.OFF

    def _report_from_thread(self, message: str) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._report, message)


def _last_line(text: str) -> str:
    return text.rsplit("\n", 1)[-1]
