"""Recording survives what happens to its process, its database and its disk, and loses nothing acknowledged."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from feedback.consent import Consent, Consents
from feedback.database import open_database
from feedback.recorder import Recorder
from feedback.records import Suggestion
from tests.disks import tiny
from tests.unit.feedback.stored import stored

ROOT = Path(__file__).resolve().parents[3]
WORKSPACE = "/home/me/project"
Make = Callable[..., Suggestion]


def test_a_damaged_database_is_told_and_survived(
    place: Path, consents: Consents, recorder: Recorder, suggestion: Make
) -> None:
    told: list[str] = []
    broken = place.with_name("broken.sqlite")
    broken.write_bytes(b"not a database" * 100)
    other = Recorder(broken, consents, lambda path: False, told.append)
    other.record(suggestion("a"))
    assert not other.flush(20)
    other.record(suggestion("b"))
    assert not other.flush(20)
    assert other.close(20)
    assert other.status().waiting == 2
    assert len(told) == 1


def test_what_cannot_be_written_because_the_database_was_damaged_waits(
    place: Path, consents: Consents, recorder: Recorder, suggestion: Make
) -> None:
    recorder.record(suggestion("a"))
    assert recorder.flush(20)
    with closing(sqlite3.connect(place)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'suggestions'").fetchone()
    with place.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    later = Recorder(place, consents, lambda path: False)
    later.record(suggestion("b"))
    assert not later.flush(20)
    assert later.close(20)
    assert (later.status().waiting, later.status().dropped) == (1, 0)


CHILD = """
import sys, pathlib
sys.path[:0] = sys.argv[3:]
from feedback.consent import Consent, Consents
from feedback.reading import signals
from feedback.recorder import Recorder
from feedback.records import ContextDocument, Outcome, Suggestion
place, name = pathlib.Path(sys.argv[1]), sys.argv[2]
consents = Consents(place)
consents.set("/w", Consent.LOCAL)
recorder = Recorder(place, consents, lambda path: False)
for number in range(1_000_000):
    id = f"{name}{number}"
    text = "x" * number
    recorder.record(Suggestion(id, 1.0, "/w", "a.py", "python", 1, 0, 0, text, "", "foo", (), (), "b", None, 0.1))
    recorder.record(Outcome(id, 2.0, "ignored", 0, "r", 1.0))
    if not recorder.flush(30):
        sys.exit(recorder.status().trouble)
    print(id, flush=True)
"""


@pytest.fixture
def child(place: Path) -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """Starts processes that record, and print every id that is safe."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str) -> "subprocess.Popen[str]":
        arguments = [sys.executable, "-c", CHILD, str(place), name, str(ROOT), str(ROOT / "server" / "launch")]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def lines(process: "subprocess.Popen[str]", count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("turn", range(4))
def test_a_killed_process_loses_nothing_that_it_acknowledged(
    place: Path, child: Callable[[str], "subprocess.Popen[str]"], turn: int
) -> None:
    process = child("a")
    acknowledged = lines(process, random.randint(1, 60))
    os.kill(process.pid, signal.SIGKILL)
    rest, errors = process.communicate()
    acknowledged += rest.split("\n")[:-1]
    assert (process.returncode, errors) == (-signal.SIGKILL, "")
    open_database(place).dispose()
    assert set(acknowledged) <= stored(place)


def test_two_processes_record_into_one_database(place: Path, child: Callable[[str], "subprocess.Popen[str]"]) -> None:
    one, two = child("a"), child("b")
    acknowledged = lines(one, 40) + lines(two, 40)
    assert all(acknowledged), one.stderr
    assert set(acknowledged) <= stored(place)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 600 kB."""
    with tiny(tmp_path / "disk", "600k") as folder:
        yield folder


def test_a_full_disk_costs_facts_and_is_told_once(tiny_disk: Path, suggestion: Make) -> None:
    place = tiny_disk / "feedback.sqlite"
    consents = Consents(place)
    consents.set(WORKSPACE, Consent.LOCAL)
    told: list[str] = []
    recorder = Recorder(place, consents, lambda path: False, told.append)
    fates = []
    for number in range(80):
        recorder.record(suggestion(str(number), prefix=f"{number} " * 6_000))
        fates.append(recorder.flush(20))
    assert recorder.close(20)
    consents.close()
    assert True in fates
    assert fates[-1] is False
    assert recorder.status().dropped == fates.count(False)
    assert len(told) == 1
    assert stored(place) == {str(number) for number, kept in enumerate(fates) if kept}


def test_on_a_read_only_disk_consent_cannot_be_read_so_nothing_is_written(
    tiny_disk: Path, tmp_path: Path, suggestion: Make
) -> None:
    place = tiny_disk / "feedback.sqlite"
    book = Consents(place)
    book.set(WORKSPACE, Consent.LOCAL)
    book.close()
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    told: list[str] = []
    consents = Consents(place)
    recorder = Recorder(place, consents, lambda path: False, told.append, journal=tmp_path / "waiting")
    for number in range(3):
        recorder.record(suggestion(str(number)))
    assert recorder.close(20)
    consents.close()
    assert [sentence.partition(":")[0] for sentence in told] == [
        "Consent cannot be read, so that no feedback is written"
    ]
    assert "INKLING_HOME" in told[0]
    assert not (tmp_path / "waiting").exists()
    subprocess.run(["mount", "-o", "remount,rw", str(tiny_disk)], check=True)
    assert stored(place) == set()
