"""What cannot be stored now waits on disk, in order and within bounds, and is stored as soon as that is possible."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from feedback import recorder as recording
from feedback.consent import Consent, Consents
from feedback.journal import Journal
from feedback.recorder import Recorder
from feedback.records import Check, Outcome, Settled, Signal, Suggestion
from feedback.store import Prepared, prepared

ROOT = Path(__file__).resolve().parents[3]
WORKSPACE = "/home/me/project"
Make = Callable[..., Suggestion]


def facts(suggestion: Make, count: int) -> list[Prepared]:
    return [prepared(suggestion(str(number)), lambda path: False) for number in range(count)]


def waiting(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob("*.jsonl"))


def test_facts_come_back_as_they_were_and_in_order(tmp_path: Path, suggestion: Make) -> None:
    made = [
        prepared(suggestion("a", text="é𝒳()"), lambda path: False),
        prepared(suggestion("b", text="'AKIAIOSFODNN7EXAMPLE'"), lambda path: False),
        Prepared(Outcome("a", 1.0, "accepted", 3, "client", 1.0)),
        Prepared(Settled("a", 2.0, "text"), False, 4),
        Prepared(Check("a", 2.0, "lint", 0, 1)),
        Prepared(Check("a", 2.0, "syntax", 0, 0), local=True),
        Prepared(Signal("s", 2.0, "/w", "searched", "", "semantic", "", "query", {"hits": 2.0})),
    ]
    journal = Journal(tmp_path / "waiting")
    assert not (tmp_path / "waiting").exists()
    assert journal.append(made) == 0
    assert [fact for batch in journal.read(2) for fact in batch] == made
    assert b"AKIA" not in waiting(tmp_path / "waiting")
    journal.clear()
    assert list(journal.read(2)) == []
    journal.close()


def test_the_oldest_go_first_and_are_counted(tmp_path: Path, suggestion: Make) -> None:
    journal = Journal(tmp_path / "waiting", limit=20_000)
    dropped = sum(journal.append([fact]) for fact in facts(suggestion, 200))
    left = [fact.fact.id for batch in journal.read(100) for fact in batch]  # type: ignore[union-attr]
    assert len(waiting(tmp_path / "waiting")) <= 20_000
    assert left == [str(number) for number in range(200 - len(left), 200)]
    assert (dropped, journal.waiting) == (200 - len(left), len(left))
    journal.close()


ABANDON = """
import os, sys, pathlib
sys.path[:0] = sys.argv[2:]
from feedback.journal import Journal
from feedback.records import Outcome
from feedback.store import Prepared
Journal(pathlib.Path(sys.argv[1])).append([Prepared(Outcome("a", 1.0, "ignored", 0, "r", 1.0))])
os._exit(1)
"""


def test_what_a_process_left_behind_is_taken_over_once_it_is_gone(tmp_path: Path, suggestion: Make) -> None:
    folder = tmp_path / "waiting"
    living = Journal(folder)
    living.append(facts(suggestion, 3))
    arguments = [sys.executable, "-c", ABANDON, str(folder), str(ROOT), str(ROOT / "server" / "launch")]
    assert subprocess.run(arguments, check=False).returncode == 1
    next(file for file in folder.glob("*.jsonl") if file != living._file).open("ab").write(b'{"cut off')
    heir = Journal(folder)
    assert [fact for batch in heir.read(9) for fact in batch] == [Prepared(Outcome("a", 1.0, "ignored", 0, "r", 1.0))]
    assert (heir.waiting, living.waiting) == (1, 3)
    for journal in (heir, living):
        journal.close()


@pytest.mark.parametrize("name", ["jobs.jsonl", "4711-0123abcd.jsonl"])
def test_what_another_program_keeps_there_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"job": 1}\n{"job": 2}\n')
    journal = Journal(tmp_path)
    assert journal.waiting == 0
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == '{"job": 1}\n{"job": 2}\n'


def test_a_file_whose_only_fact_was_cut_off_goes(tmp_path: Path) -> None:
    (tmp_path / "4711-0123abcd.jsonl").write_text('{"kind": "Sugg')
    assert Journal(tmp_path).waiting == 0
    assert list(tmp_path.glob("4711-0123abcd.jsonl")) == []


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a lock, and a failed database is tried again at once."""
    monkeypatch.setattr("feedback.database.BUSY_SECONDS", 0.05)
    monkeypatch.setattr(recording, "_RETRY_SECONDS", 0.0)


@pytest.mark.usefixtures("impatient")
def test_while_the_database_is_locked_facts_wait_and_are_stored_afterwards(
    place: Path, consents: Consents, suggestion: Make
) -> None:
    consents.set(WORKSPACE, Consent.LOCAL)
    told: list[str] = []
    recorder = Recorder(place, consents, lambda path: False, told.append)
    recorder.record(suggestion("before"))
    assert recorder.flush(20)
    with closing(sqlite3.connect(place, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        recorder.record(suggestion("during", text="'AKIAIOSFODNN7EXAMPLE'"))
        recorder.record(Outcome("during", 5, "ignored", 0, "r", 1))
        recorder.record(Outcome("before", 5, "ignored", 0, "r", 1))
        assert not recorder.flush(20)
        assert recorder.status().waiting == 3
        assert b"AKIA" not in waiting(place.parent / "waiting")
        holder.execute("ROLLBACK")
    recorder.record(suggestion("after"))
    assert recorder.close(20)
    status = recorder.status()
    assert (status.waiting, status.dropped, status.trouble) == (0, 0, None)
    assert len(told) == 1
    with closing(sqlite3.connect(place)) as connection:
        assert connection.execute("SELECT id, redacted FROM suggestions ORDER BY at, id").fetchall() == [
            ("after", 0),
            ("before", 0),
            ("during", 1),
        ]
        assert connection.execute("SELECT count(*) FROM outcomes").fetchone() == (2,)


@pytest.mark.usefixtures("impatient")
def test_what_still_waits_at_the_end_is_stored_by_the_next_process(
    place: Path, consents: Consents, suggestion: Make
) -> None:
    consents.set(WORKSPACE, Consent.LOCAL)
    recorder = Recorder(place, consents, lambda path: False)
    recorder.record(suggestion("a"))
    assert recorder.flush(20)
    with closing(sqlite3.connect(place, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        recorder.record(suggestion("b"))
        assert not recorder.flush(20)
        assert recorder.close(20)
        assert recorder.status().waiting == 1
        holder.execute("ROLLBACK")
    heir = Recorder(place, consents, lambda path: False)
    assert heir.close(20)
    assert (heir.status().waiting, heir.status().written) == (0, 1)


@pytest.mark.usefixtures("impatient")
def test_what_waits_is_forgotten_once_consent_is_withdrawn(place: Path, consents: Consents, suggestion: Make) -> None:
    consents.set(WORKSPACE, Consent.LOCAL)
    recorder = Recorder(place, consents, lambda path: False)
    with closing(sqlite3.connect(place, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        recorder.record(suggestion("a"))
        assert not recorder.flush(20)
        holder.execute("ROLLBACK")
    consents.set(WORKSPACE, Consent.OFF)
    assert recorder.close(20)
    assert waiting(place.parent / "waiting") == b""
    with closing(sqlite3.connect(place)) as connection:
        assert connection.execute("SELECT count(*) FROM suggestions").fetchone() == (0,)
