"""From edits to rows: what a session records, what it never does, and a trace that comes to the same rows."""

import json
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from feedback.consent import Consent, set_consent
from feedback.database import find_database
from feedback.history import listing, show, statistics
from feedback.reading import signals
from feedback.records import ContextDocument, Decision, Suggestion
from feedback.regions import Edit
from feedback.traces import replay, row
from inkling import folders
from server.checking import Taken
from server.learning import Learning, SteadyClock
from server.settings import FeedbackSettings, Settings

WORKSPACE = "/home/me/project"
URI = "file:///home/me/project/a.py"


def suggestion(text: str, prefix: str = "x = ") -> Suggestion:
    return Suggestion(
        uuid.uuid4().hex, 0.0, WORKSPACE, "a.py", "python", 1, 0, 4, prefix, "", text, (ContextDocument("b", "c"),),
        (-0.1,), "smol", None, 0.01,
    )  # fmt: skip


class Desk:
    """A session's learning, one document, and a user who types."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.told: list[str] = []
        self.taken: list[Taken] = []
        self.learning = Learning(
            folders.feedback_database(), settings or Settings(), self.told.append, self.taken.append
        )
        self.content = "x = "
        self.version = 1

    def offer(self, text: str) -> str:
        made = replace(suggestion(text, self.content), at=self.learning.clock.now())
        decision = Decision(made.id, made.at, True, 0.5, 0.98, "rule-balanced", {"characters": 1.5})
        self.learning.offered(made, decision, URI, len(self.content), self.content)
        return made.id

    def insert(self, text: str) -> None:
        edit = Edit(len(self.content), len(self.content), text)
        self.content += text
        self.version += 1
        self.learning.changed(URI, [edit], self.version, self.content)

    def close(self) -> None:
        self.learning.closed(URI)
        self.learning.close()


@pytest.fixture
def place() -> Path:
    return folders.feedback_database()


def test_what_was_accepted_is_a_row_with_its_decision(place: Path):
    set_consent(WORKSPACE, Consent.LOCAL)
    desk = Desk()
    id = desk.offer("foo()")
    desk.insert("foo()")
    desk.learning.accepted(id)
    desk.close()
    engine = find_database(place)
    assert engine is not None
    entry = show(engine, id)
    assert entry.outcome is not None
    assert (entry.outcome.kind, entry.outcome.rule) == ("accepted", "client")
    assert entry.decision is not None
    assert (entry.decision.propensity, entry.decision.features) == (0.98, {"characters": 1.5})
    assert entry.report is not None
    assert (entry.report.reported, entry.report.inferred) == ("accepted", "accepted")
    assert desk.learning.status()["reports"] == {"confirmed": 1}
    assert [one.suggestion for one in desk.taken] == [id]


def test_a_report_that_overrules_is_counted_by_both_sides():
    desk = Desk()
    id = desk.offer("foo()")
    desk.learning.dismissed(id)
    assert desk.learning.recent.was_rejected("x = ", "foo()")
    desk.insert("f")
    for key in "oo()":
        desk.insert(key)
    desk.close()
    assert desk.learning.status()["outcomes"] == {"rejected": 1}
    assert desk.learning.status()["reports"] == {"rejected over typed_through": 1}


def test_nothing_is_written_without_consent_but_what_was_rejected_is_remembered(place: Path):
    desk = Desk()
    desk.offer("foo()")
    desk.insert("q")
    desk.learning.signal("searched", WORKSPACE, text="where")
    desk.close()
    assert not place.exists()
    assert desk.learning.recent.was_rejected("x = ", "foo()")
    assert desk.taken == []


@pytest.mark.parametrize(("setting", "written"), [("off", 0), ("local", 1)])
async def test_the_editors_telemetry_switch_is_obeyed(place: Path, setting: str, written: int):
    set_consent(WORKSPACE, Consent.TEAM)
    feedback = FeedbackSettings(without_telemetry=setting)  # type: ignore[arg-type]
    desk = Desk(Settings(telemetry=False, feedback=feedback))
    desk.learning.start()
    assert desk.learning.consents.known(WORKSPACE).value == setting
    desk.offer("foo()")
    desk.close()
    engine = find_database(place)
    assert engine is not None
    assert statistics(engine).suggestions == written
    assert bool(desk.told) == (setting == "off")


def test_what_the_agent_writes_is_not_the_users_doing(place: Path):
    set_consent(WORKSPACE, Consent.LOCAL)
    desk = Desk()
    id = desk.offer("foo()")
    offer = desk.learning.signal("agent_offered", WORKSPACE, "a.py", "fix")
    desk.learning.agent_edits(URI, "x = ", "x = agent()", offer, (WORKSPACE, "a.py"))
    desk.insert("agent()")
    desk.version += 1
    desk.learning.changed(URI, [Edit(4, 11, "")], desk.version, "x = ")
    desk.close()
    engine = find_database(place)
    assert engine is not None
    outcome = show(engine, id).outcome
    assert outcome is not None
    assert (outcome.kind, outcome.rule) == ("invalidated", "changed_by_agent")
    assert [(one.kind, one.reference) for one in signals(engine)] == [("agent_offered", ""), ("agent_undone", offer)]


def test_the_agents_edit_is_known_by_its_lines_whatever_ends_the_editor_gives_them(place: Path):
    set_consent(WORKSPACE, Consent.LOCAL)
    desk = Desk()
    id = desk.offer("foo()")
    desk.learning.agent_edits(URI, "x = ", "x = agent(\n)\n", "offer", (WORKSPACE, "a.py"))
    desk.insert("agent(\r\n)\r\n")
    desk.close()
    engine = find_database(place)
    assert engine is not None
    outcome = show(engine, id).outcome
    assert outcome is not None
    assert outcome.rule == "changed_by_agent"


def test_signals_reach_the_same_database(place: Path):
    set_consent(WORKSPACE, Consent.LOCAL)
    desk = Desk()
    id = desk.learning.signal("search_opened", WORKSPACE, "a.py", "semantic", "query-1", "where", {"rank": 2.0})
    desk.close()
    engine = find_database(place)
    assert engine is not None
    assert [(one.id, one.kind, one.text, one.values) for one in signals(engine)] == [
        (id, "search_opened", "where", {"rank": 2.0})
    ]


def test_a_session_that_was_traced_replays_to_the_rows_in_the_database(place: Path):
    set_consent(WORKSPACE, Consent.LOCAL)
    desk = Desk(Settings(feedback=FeedbackSettings(trace=True)))
    desk.offer("foo()")
    desk.insert("foo()")
    desk.insert("\n")
    second = desk.offer("bar(1)")
    desk.insert("b")
    desk.insert("~")
    desk.learning.dismissed(second)
    desk.close()
    (trace,) = (folders.data_folder() / "traces").glob("*.jsonl")
    replayed = sorted(row(event) for event in replay(trace.read_text(encoding="utf-8").splitlines()))
    engine = find_database(place)
    assert engine is not None
    stored = []
    for entry in listing(engine):
        facts = (entry.outcome, entry.settled, entry.report, *entry.survival)
        stored += [row(fact) for fact in facts if fact is not None]
    assert replayed == sorted(stored)
    assert {json.loads(line)["table"] for line in replayed} >= {"outcome", "settled"}


def test_a_trace_leaves_out_what_may_not_be_recorded():
    desk = Desk(Settings(feedback=FeedbackSettings(trace=True)))
    desk.offer("foo()")
    desk.insert("foo()")
    desk.close()
    (trace,) = (folders.data_folder() / "traces").glob("*.jsonl")
    assert "foo" not in trace.read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="there the monotonic clock counts sleep by itself")
def test_the_clock_counts_what_the_machine_slept_and_nothing_that_somebody_set(monkeypatch: pytest.MonkeyPatch):
    clock = SteadyClock()
    before, awake = clock.now(), time.clock_gettime
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert 0 <= clock.now() - before < 60
    monkeypatch.setattr(time, "clock_gettime", lambda which: awake(which) + 3600)
    assert 3600 <= clock.now() - before < 3660
