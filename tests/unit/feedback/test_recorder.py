"""Recording never gets in the way, loses nothing that it acknowledged, and writes nothing without consent."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from feedback.consent import Consent, Consents
from feedback.database import open_database
from feedback.history import show
from feedback.reading import signals
from feedback.recorder import Recorder
from feedback.records import (
    OF_EDITS,
    Check,
    Committed,
    ContextDocument,
    Decision,
    Outcome,
    Report,
    Settled,
    Signal,
    Suggestion,
    Survival,
)
from model.recent_edits import path_for, recent_edits
from tests.unit.feedback.postgres_server import BOTH_STORES
from tests.unit.feedback.stored import stored

WORKSPACE = "/home/me/project"
Make = Callable[..., Suggestion]


@BOTH_STORES
def test_facts_come_back_as_they_were(place: Path, recorder: Recorder, suggestion: Make) -> None:
    offered = suggestion("a", prefix="😀\r\n", text="é𝒳()")
    decision = Decision("a", 101, True, 0.7, 0.95, "threshold", {"length": 4.0})
    outcome = Outcome("a", 102, "accepted", 4, "client", 1.0)
    settled = Settled("a", 112, "é𝒳(1)")
    survival = (Survival("a", 107, 5, 1.0), Survival("a", 132, 30, 0.5, 0.25))
    report = Report("a", 102, "accepted", "typed_through", "typed_to_its_end", 0.95)
    committed = Committed("a", 500, "c0ffee", 0.75)
    checks = (Check("a", 103, "lint", 1, 2), Check("a", 103, "syntax", 0, 0))
    for fact in (offered, decision, outcome, settled, *survival, report, committed, *checks):
        recorder.record(fact)
    assert recorder.flush(20)
    engine = open_database(place)
    entry = show(engine, "a")
    engine.dispose()
    assert (entry.prefix, entry.suffix, entry.text) == (offered.prefix, offered.suffix, offered.text)
    assert (entry.documents, entry.logprobs) == (offered.documents, offered.logprobs)
    assert (entry.decision, entry.outcome, entry.settled, entry.survival) == (decision, outcome, settled, survival)
    assert (entry.report, entry.committed, entry.checks) == (report, committed, checks)


@BOTH_STORES
def test_signals_are_kept_with_their_text_apart(place: Path, recorder: Recorder) -> None:
    signal = Signal("1", 5.0, WORKSPACE, "search_opened", "src/a.py", "semantic", "query-1", "where is it", {"rank": 2})
    recorder.record(signal)
    recorder.record(Signal("2", 6.0, WORKSPACE, "searched", "", "semantic", text=f"key {SECRET}"))
    recorder.record(Signal("3", 7.0, "/another", "searched", "", "semantic"))
    assert recorder.flush(20)
    engine = open_database(place)
    found = signals(engine)
    engine.dispose()
    assert found == [signal, Signal("2", 6.0, WORKSPACE, "searched", "", "semantic")]
    assert recorder.status().redacted == 1


def test_without_consent_no_file_is_made(place: Path, consents: Consents, suggestion: Make) -> None:
    recorder = Recorder(place, consents, lambda path: False)
    recorder.record(suggestion("a"))
    assert recorder.flush(20)
    assert recorder.close(20)
    assert recorder.status().skipped == 1
    assert not place.parent.exists()


def test_consent_is_that_of_the_moment(place: Path, consents: Consents, recorder: Recorder, suggestion: Make) -> None:
    recorder.record(suggestion("on"))
    assert recorder.flush(20)
    consents.set(WORKSPACE, Consent.OFF)
    recorder.record(suggestion("off"))
    recorder.record(Outcome("on", 1, "ignored", 0, "r", 1))
    consents.set(WORKSPACE, Consent.LOCAL)
    recorder.record(suggestion("again"))
    recorder.record(suggestion("elsewhere", workspace="/another"))
    assert recorder.flush(20)
    assert stored(place) == {"on", "again"}
    with closing(sqlite3.connect(place)) as connection:
        assert connection.execute("SELECT count(*) FROM outcomes").fetchone() == (0,)


def test_the_first_of_two_equal_facts_stays(place: Path, recorder: Recorder, suggestion: Make) -> None:
    recorder.record(suggestion("a"))
    recorder.record(Outcome("a", 1, "ignored", 0, "first", 1))
    recorder.record(Outcome("a", 2, "accepted", 5, "second", 1))
    assert recorder.flush(20)
    with closing(sqlite3.connect(place)) as connection:
        assert connection.execute("SELECT rule FROM outcomes").fetchall() == [("first",)]


@BOTH_STORES
def test_facts_about_unknown_suggestions_are_left_out(recorder: Recorder, suggestion: Make) -> None:
    recorder.record(suggestion("a"))
    recorder.record(Outcome("b", 1, "ignored", 0, "r", 1))
    assert recorder.flush(20)
    assert (recorder.status().written, recorder.status().skipped, recorder.status().dropped) == (1, 1, 0)


@BOTH_STORES
def test_facts_about_suggestions_of_an_earlier_process_are_kept(
    place: Path, consents: Consents, recorder: Recorder, suggestion: Make
) -> None:
    recorder.record(suggestion("a"))
    assert recorder.flush(20)
    later = Recorder(place, consents, lambda path: False)
    later.record(Outcome("a", 1, "ignored", 0, "r", 1))
    assert later.flush(20)
    assert later.close(20)
    assert later.status().written == 1


SECRET = "AKIAIOSFODNN7EXAMPLE"


@pytest.mark.parametrize(
    "changes",
    [
        {"text": f"'{SECRET}'"},
        {"prefix": f"key = '{SECRET}'\n"},
        {"suffix": f"\nkey = '{SECRET}'"},
        {"documents": (ContextDocument("b.py", f"key = '{SECRET}'"),)},
        {"prefix": "password = 'hunt", "text": "er2abc'"},
        {"documents": (ContextDocument("secrets.env", "nothing special"),)},
        {"documents": (ContextDocument("deploy/config.yml", "password: hunter2abc\n"),)},
        {"documents": (ContextDocument(path_for(".py"), "# config.yml\n# see a.py\npassword: hunter2abc\n"),)},
    ],
)
def test_a_suggestion_with_a_secret_keeps_its_numbers_only(
    place: Path, recorder: Recorder, suggestion: Make, changes: dict[str, object]
) -> None:
    recorder.record(suggestion("a", **changes))
    recorder.record(Settled("a", 5, "whatever"))
    assert recorder.flush(20)
    with closing(sqlite3.connect(place)) as connection:
        assert connection.execute("SELECT count(*) FROM texts").fetchone() == (0,)
        assert connection.execute("SELECT redacted FROM suggestions").fetchall() == [(1,)]
    assert SECRET.encode() not in place.read_bytes() + place.with_name(place.name + "-wal").read_bytes()


def test_a_settled_text_with_a_secret_is_not_kept(place: Path, recorder: Recorder, suggestion: Make) -> None:
    recorder.record(suggestion("a", prefix="password = "))
    recorder.record(Settled("a", 5, "'hunter2abc'"))
    assert recorder.flush(20)
    with closing(sqlite3.connect(place)) as connection:
        assert connection.execute("SELECT text, length FROM settled").fetchall() == [(None, 12)]


def test_a_password_that_was_typed_instead_of_the_offered_one_is_not_kept(
    place: Path, consents: Consents, recorder: Recorder, suggestion: Make
) -> None:
    recorder.record(suggestion("a", path="config.yml", prefix="password: ", text="${PASSWORD}", documents=()))
    recorder.record(suggestion("b", path="config.yml", prefix="password: ", text="${PASSWORD}", documents=()))
    recorder.record(Settled("a", 5, "hunter2abc"))
    assert recorder.flush(20)
    later = Recorder(place, consents, lambda path: False)  # one that knows the place from the database alone
    later.record(Settled("b", 5, "hunter2abc"))
    assert later.flush(20)
    assert later.close(20)
    with closing(sqlite3.connect(place)) as connection:
        assert connection.execute("SELECT text FROM settled").fetchall() == [(None,), (None,)]
        assert connection.execute("SELECT count(*) FROM suggestions WHERE redacted").fetchone() == (0,)


def test_lines_of_code_under_a_heading_of_the_recent_edits_are_no_passwords(
    place: Path, recorder: Recorder, suggestion: Make
) -> None:
    recent = ContextDocument(path_for(".yml"), "# src/a.py\ndef enter(name: str) -> str:\n")
    recorder.record(suggestion("a", path="config.yml", documents=(recent,)))
    recorder.record(suggestion("b", documents=(ContextDocument(path_for(".py"), "# b.py\npassword: str\n"),)))
    assert recorder.flush(20)
    assert recorder.status().redacted == 0


def test_a_password_in_a_piece_that_was_cut_off_is_found_by_its_file(recorder: Recorder, suggestion: Make) -> None:
    places = [("b.py", ["password: str"]), ("config.yml", ["name: x", "host: y", "password: hunter2abc"])]
    holding = 0
    for room in range(30, 80):
        recent = recent_edits(places, ".py", room, len)
        assert recent is not None
        for name in OF_EDITS:
            document = ContextDocument(path_for(".py", name), recent.text)
            recorder.record(suggestion(f"{name} {room}", documents=(document,)))
            holding += "hunter2abc" in recent.text
    assert recorder.flush(20)
    assert recorder.status().redacted == holding > 0


def test_secret_files_are_refused(place: Path, recorder: Recorder, suggestion: Make) -> None:
    recorder.record(suggestion("a", path="prod.env"))
    recorder.record(suggestion("b"))
    assert recorder.flush(20)
    assert stored(place) == {"b"}


def test_texts_are_stored_once(place: Path, recorder: Recorder, suggestion: Make) -> None:
    for number in range(20):
        recorder.record(suggestion(str(number)))
    assert recorder.flush(20)
    with closing(sqlite3.connect(place)) as connection:
        assert connection.execute("SELECT count(*) FROM texts").fetchone() == (4,)


def test_a_database_that_another_process_holds_keeps_nobody_waiting(
    place: Path, recorder: Recorder, suggestion: Make
) -> None:
    with closing(sqlite3.connect(place, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        for number in range(10):
            recorder.record(suggestion(str(number)))
        assert recorder.status().queued == 10
        holder.execute("ROLLBACK")
    assert recorder.flush(20)
    assert len(stored(place)) == 10


def test_a_full_queue_costs_facts_and_is_told_once(place: Path, consents: Consents, suggestion: Make) -> None:
    consents.set(WORKSPACE, Consent.LOCAL)
    told: list[str] = []
    gate = threading.Event()

    def slow(path: str) -> bool:
        gate.wait(60)
        return False

    recorder = Recorder(place, consents, slow, told.append, capacity=3)
    for number in range(20):
        recorder.record(suggestion(str(number)))
    gate.set()
    assert not recorder.flush(20)
    status = recorder.status()
    assert status.dropped > 0
    assert status.written + status.dropped == 20
    assert recorder.close(20)
    assert len(told) == 1


def test_one_fact_that_cannot_be_stored_costs_only_itself(place: Path, recorder: Recorder, suggestion: Make) -> None:
    recorder.record(suggestion("a"))
    recorder.record(suggestion("b", line=2**70))
    recorder.record(suggestion("c"))
    assert not recorder.flush(20)
    assert stored(place) == {"a", "c"}
    assert recorder.status().dropped == 1


def test_a_fault_in_a_turn_of_the_writer_costs_its_facts_and_ends_nothing(
    place: Path, consents: Consents, suggestion: Make
) -> None:
    consents.set(WORKSPACE, Consent.LOCAL)
    told: list[str] = []

    def faulty(path: str) -> bool:
        if path in ("one.py", "two.py"):
            raise RecursionError
        return False

    recorder = Recorder(place, consents, faulty, told.append)
    for number, path in enumerate(("one.py", "two.py", "three.py")):
        recorder.record(suggestion(str(number), path=path))
        assert recorder.flush(20) is (path == "three.py")
    assert recorder.close(20)
    assert stored(place) == {"2"}
    assert (recorder.status().written, recorder.status().dropped, recorder.status().queued) == (1, 2, 0)
    assert len(told) == 1


@BOTH_STORES
def test_half_characters_from_a_broken_editor_are_survived(place: Path, recorder: Recorder, suggestion: Make) -> None:
    recorder.record(suggestion("a", text="\ud83d"))
    assert recorder.flush(20)
    assert recorder.status().written == 1
