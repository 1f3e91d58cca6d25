"""From edits to facts: the outcome tracker, consent and the recorder, wired for the event loop.

Everything here is quick: the tracker is pure, the recorder only queues. With consent off the tracker still runs
(what was just rejected is not shown again) and the recorder forgets every fact.
"""

import asyncio
import contextlib
import logging
import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from feedback.authors import Author
from feedback.commits import committed
from feedback.consent import Consent, Consents
from feedback.database import Place, find_database
from feedback.inference import lines_of
from feedback.outcomes import Event, Limits, Tracker
from feedback.recorder import Recorder
from feedback.records import Committed, Decision, Outcome, Report, Signal, SignalKind, Suggestion
from feedback.regions import Edit
from feedback.retention import Keep
from feedback.traces import TracedTracker, TraceWriter
from index.files import is_secret
from inkling import folders
from inkling.errors import InklingError
from server.agent_edits import AgentEdits, Fate
from server.checking import Taken
from server.recent import Recent
from server.settings import FeedbackSettings, Settings

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.5
_COMMITS_SECONDS = 300.0


class SteadyClock:
    """Unix seconds that never jump: the machine's clock is looked at once, from then on one counts that nobody sets."""

    def __init__(self) -> None:
        self._offset = time.time() - _counted()

    def now(self) -> float:
        return _counted() + self._offset


def _counted() -> float:
    """Seconds since some moment, also those that the machine slept, which `time.monotonic` counts on Windows alone."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC_RAW)
    return time.monotonic()


@dataclass(frozen=True)
class _Open:
    """A suggestion that nothing is decided about yet."""

    line: str
    taken: Taken


class Learning:
    """What the user did with what was offered. Belongs to the event loop.

    `on_taken` is told of every suggestion that was accepted whole where recording is allowed; `texts` gives the texts
    of the open documents.
    """

    def __init__(
        self,
        place: Place,
        settings: Settings,
        report: Callable[[str], None],
        on_taken: Callable[[Taken], None] = lambda taken: None,
        texts: Callable[[], dict[str, str]] = dict,
    ) -> None:
        self._report = report
        self._texts = texts
        self._on_taken = on_taken
        self._loop: asyncio.AbstractEventLoop | None = None
        self._place = place
        self._trusted = settings.trusted
        self.clock = SteadyClock()
        self.recent = Recent()
        self.consents = Consents(place, at_most=_most(settings))
        self.recorder = Recorder(
            place,
            self.consents,
            is_secret,
            self._report_from_thread,
            journal=folders.data_folder() / "waiting",
            keep=Keep(settings.feedback.texts_days, settings.feedback.most_megabytes),
        )
        self._tracker, self._trace = self._new_tracker(settings.feedback)
        self._workspaces: dict[str, str] = {}  # document -> the workspace of its last suggestion
        self._offers: dict[str, _Open] = {}
        self._expected: dict[str, str] = {}  # document -> its lines once the agent's edit has been made
        self._agent_edits = AgentEdits()
        self._agent_edited: dict[str, float] = {}  # document -> when the agent last edited it
        self._counts: Counter[str] = Counter()
        self._compared: Counter[str] = Counter()  # client reports, by whether the edits alone said the same
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to look at the clock: settled text and survival are decided by it; at commits now and then."""
        self._loop = asyncio.get_running_loop()
        self._tasks.append(asyncio.create_task(self._tick(), name="feedback clock"))
        if self._trusted:
            self._tasks.append(asyncio.create_task(self._look_at_commits(), name="feedback commits"))
        if self.consents.at_most is Consent.OFF and self.consents.chosen():
            self._report(
                "Nothing is recorded, although you allowed it: the editor's telemetry is switched off. The setting "
                "inkling.feedback.withoutTelemetry, set to local, records what stays on this machine all the same."
            )

    def offered(
        self,
        suggestion: Suggestion,
        decision: Decision,
        document: str,
        offset: int,
        content: str,
        replaces: int = 0,
    ) -> None:
        """A suggestion was made; what becomes of it is followed only if it was shown."""
        self.recorder.record(suggestion)
        self.recorder.record(decision)
        if decision.shown:
            taken = Taken(suggestion.id, document, suggestion.language, content, offset, suggestion.text, replaces)
            self._offers[suggestion.id] = _Open(suggestion.prefix.rpartition("\n")[2], taken)
            self._workspaces[document] = suggestion.workspace
            self._take(self._tracker.offered(suggestion.id, document, offset, suggestion.text, suggestion.at, content))

    def is_open(self, suggestion: str) -> bool:
        """True while nothing is decided about a suggestion."""
        return suggestion in self._offers

    def changed(self, document: str, edits: Sequence[Edit], version: int, content: str) -> None:
        """One notification changed the document, whose text is now `content`."""
        author: Author | None = None
        if document in self._expected and self._expected[document] == lines_of(content):
            author = "agent"
            del self._expected[document]
            self._agent_edited[document] = self.clock.now()
        elif (fate := self._agent_edits.changed(document, content)) is not None:
            self._fate(fate)
        self._take(self._tracker.changed(document, edits, self.clock.now(), version, author))

    def agent_edits(self, document: str, before: str, after: str, reference: str, place: tuple[str, str]) -> None:
        """The agent is about to turn the document's text into another: that change is not the user's, and what
        becomes of it is told by signals. `reference` is the signal that offered it, `place` workspace and path."""
        self._expected[document] = lines_of(after)
        self._agent_edits.made(document, (before, after), reference, place, self.clock.now())

    def agent_edited(self, document: str) -> float:
        """When the agent last edited the document; minus infinity if it never did."""
        return self._agent_edited.get(document, float("-inf"))

    def agent_edit_refused(self, document: str) -> None:
        """The editor did not apply it."""
        self._expected.pop(document, None)

    def signal(
        self,
        kind: SignalKind,
        workspace: str,
        path: str = "",
        subject: str = "",
        reference: str = "",
        text: str | None = None,
        values: Mapping[str, float] | None = None,
    ) -> str:
        """Something was done with the agent, the search or a linter; returns the signal's id."""
        id = uuid.uuid4().hex
        now = self.clock.now()
        self.recorder.record(Signal(id, now, workspace, kind, path, subject, reference, text, values or {}))
        return id

    def closed(self, document: str) -> None:
        """The document was closed: whatever is open about it ends now."""
        self._take(self._tracker.closed(document, self.clock.now()))
        self._workspaces.pop(document, None)
        self._agent_edited.pop(document, None)

    def accepted(self, suggestion: str, length: int | None = None) -> None:
        """The client says that the suggestion, or its first `length` characters, was taken."""
        self._take(self._tracker.accepted(suggestion, length, self.clock.now()))

    def dismissed(self, suggestion: str) -> None:
        """The client says that the user turned the suggestion down."""
        self._take(self._tracker.dismissed(suggestion, self.clock.now()))

    def shown(self, suggestion: str) -> None:
        """The client says that the user saw the suggestion."""
        offer = self._offers.get(suggestion)
        if offer is not None:
            self.signal("shown", self._workspaces.get(offer.taken.uri, ""), subject="ghost text", reference=suggestion)

    def status(self) -> dict[str, Any]:
        """Outcomes of this session by kind, client reports beside what the edits said, and how recording goes."""
        return {
            "outcomes": dict(self._counts),
            "reports": dict(self._compared),
            "recorder": asdict(self.recorder.status()),
        }

    def close(self) -> None:
        """Decide every open suggestion and write what is left."""
        for task in self._tasks:
            task.cancel()
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
                now = self.clock.now()
                self._take(self._tracker.tick(now))
                if self._agent_edits.due(now):
                    for fate in self._agent_edits.tick(now, self._texts()):
                        self._fate(fate)

    def _take(self, events: Iterable[Event]) -> None:
        for event in events:
            self.recorder.record(event)  # first: whoever is told of it may fail
            if isinstance(event, Outcome):
                self._counts[event.kind] += 1
                self._ended(event)
            elif isinstance(event, Report):
                same = event.reported == event.inferred
                self._compared["confirmed" if same else f"{event.reported} over {event.inferred}"] += 1

    def _fate(self, fate: Fate) -> None:
        self.signal(fate.kind, fate.workspace, fate.path, "edit", fate.reference, values={"kept": fate.kept})

    def _ended(self, outcome: Outcome) -> None:
        offer = self._offers.pop(outcome.suggestion, None)
        if offer is None:
            return
        self.recent.ended(outcome.kind, offer.line, offer.taken.text, outcome.at)
        allowed = self.consents.known(self._workspaces.get(offer.taken.uri, "")) is not Consent.OFF
        if outcome.kind == "accepted" and allowed:
            self._on_taken(offer.taken)

    async def _look_at_commits(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(_COMMITS_SECONDS)
                allowed = [
                    root for root in set(self._workspaces.values()) if self.consents.known(root) is not Consent.OFF
                ]
                try:
                    found = await asyncio.to_thread(_committed, self._place, allowed)
                except (InklingError, SQLAlchemyError) as error:
                    log.info("commits could not be looked at: %s", error)
                    continue
                for fact in found:
                    self.recorder.record(fact)

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


def _most(settings: Settings) -> Consent:
    """What may be recorded at most, by the editor's telemetry switch."""
    return Consent.TEAM if settings.telemetry else Consent(settings.feedback.without_telemetry)


def _committed(place: Place, workspaces: list[str]) -> list[Committed]:
    engine = find_database(place) if workspaces else None
    if engine is None:
        return []
    try:
        return list(committed(engine, workspaces))
    finally:
        engine.dispose()
