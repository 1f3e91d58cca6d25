"""Outlines come from a child process in order, and whatever becomes of the child, every text has one."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest

from index.chunks import outline
from index.outlining import CHILDREN, EAGER, RARE, STARTS, TRIES, Outliner, Text
from tests.unit.index.workspace import CRASHING, KILLED

PYTHON = [Text(f"{n}.py", f"import os\n\ndef f{n}():\n    return g()\n", "python") for n in range(8)]
DEADLY = Text("deadly.py", "def f():\n    pass\n", "python")


@pytest.fixture
def outliner() -> Iterator[Outliner]:
    made = Outliner()
    yield made
    made.close()


def test_outlines_are_those_of_this_process_in_order(outliner: Outliner) -> None:
    expected = [outline(*text) for text in PYTHON]
    assert list(outliner.outlines(PYTHON)) == expected
    assert expected[3].references == {"g": [3]}


def test_half_a_surrogate_pair_gets_there(outliner: Outliner) -> None:
    text = Text("a.py", "x = '\ud800'\n", "python")
    assert list(outliner.outlines([text])) == [outline(*text)]


def test_a_grammar_that_crashes_costs_its_own_text_alone(outliner: Outliner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.outlining._START", CRASHING)
    found = list(outliner.outlines([PYTHON[0], DEADLY, PYTHON[1]]))
    assert [[symbol.name for symbol in each.symbols] for each in found] == [["f0"], [], ["f1"]]
    assert found[1].chunks[0].text == DEADLY.text
    assert outliner.refused == ["deadly.py"]
    assert outliner.postponed == {}


@pytest.mark.skipif(sys.platform == "win32", reason="a crash and an end by others are the same there")
@pytest.mark.parametrize("by", [signal.SIGSEGV, signal.SIGILL, signal.SIGFPE])
def test_every_signal_of_a_crash_is_the_fault_of_the_text(
    outliner: Outliner, monkeypatch: pytest.MonkeyPatch, by: signal.Signals
) -> None:
    monkeypatch.setattr("index.outlining._START", KILLED.format(signal=by.value))
    list(outliner.outlines([DEADLY]))
    assert (outliner.refused, outliner.postponed) == (["deadly.py"], {})


@pytest.mark.skipif(sys.platform == "win32", reason="a crash and an end by others are the same there")
@pytest.mark.parametrize("by", ["SIGKILL", "SIGTERM"])
def test_a_text_whose_child_others_end_is_postponed(
    outliner: Outliner, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("index.outlining._START", KILLED.format(signal=getattr(signal, by).value))
        found = list(outliner.outlines([PYTHON[0], DEADLY, PYTHON[1]]))
        assert [[symbol.name for symbol in each.symbols] for each in found] == [["f0"], [], ["f1"]]
        assert found[1].chunks[0].text == DEADLY.text
        assert (outliner.refused, outliner.postponed) == ([], {"deadly.py": 0})
    outliner.close()
    assert list(outliner.outlines([DEADLY])) == [outline(*DEADLY)]
    assert (outliner.refused, outliner.postponed) == ([], {})


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ((subprocess.Popen, "__init__"), BlockingIOError("Resource temporarily unavailable")),
        ((subprocess.Popen, "__init__"), OSError("Cannot allocate memory")),
        ((threading.Thread, "start"), RuntimeError("can't start new thread")),
        ((threading.Timer, "start"), RuntimeError("can't start new thread")),
    ],
)
def test_a_text_for_which_no_child_can_be_started_is_postponed(
    outliner: Outliner, monkeypatch: pytest.MonkeyPatch, what: tuple[type, str], error: Exception
) -> None:
    tried = count()

    def fails(*given: object, **named: object) -> None:
        next(tried)
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(*what, fails)
        assert [each.chunks[0].text for each in outliner.outlines(PYTHON[:1])] == [PYTHON[0].text]
    assert next(tried) <= TRIES
    assert (outliner.refused, outliner.postponed) == ([], {"0.py": 0})
    assert list(outliner.outlines(PYTHON[:2])) == [outline(*text) for text in PYTHON[:2]]
    assert outliner.postponed == {}


def test_a_child_that_ends_before_it_is_there_is_no_fault_of_a_text_and_not_started_for_each(
    outliner: Outliner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    monkeypatch.setattr("index.outlining._START", f"open({str(begun)!r}, 'a').write('x'); raise MemoryError")
    found = list(outliner.outlines(PYTHON))
    assert [each.chunks[0].text for each in found] == [text.text for text in PYTHON]
    assert outliner.refused == []
    assert set(outliner.postponed) == {text.path for text in PYTHON}
    assert len(begun.read_text()) <= STARTS * CHILDREN
    monkeypatch.undo()
    assert list(outliner.outlines(PYTHON)) == [outline(*text) for text in PYTHON]
    assert outliner.postponed == {}


def test_a_start_that_fails_once_costs_nothing(outliner: Outliner, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tried = subprocess.Popen, count()

    def start(*given: Any, **named: Any) -> Any:
        if next(tried) == 0:
            raise BlockingIOError
        return real(*given, **named)

    monkeypatch.setattr(subprocess, "Popen", start)
    assert list(outliner.outlines(PYTHON[:1])) == [outline(*PYTHON[0])]
    assert outliner.postponed == {}


def test_a_text_that_is_postponed_is_due_at_once_and_then_rarely(outliner: Outliner) -> None:
    due = [outliner.due("a.py") for _ in range(2 * RARE)]
    assert due[:EAGER] == [True] * EAGER
    assert due.count(True) == EAGER + 2


def test_a_child_that_is_killed_for_other_reasons_costs_nothing(outliner: Outliner) -> None:
    list(outliner.outlines(PYTHON[:1]))
    for child in psutil.Process().children():
        if "index.outlining" in " ".join(child.cmdline()):
            child.kill()
    assert [each.symbols[0].name for each in outliner.outlines(PYTHON[1:3])] == ["f1", "f2"]
    assert outliner.refused == []


@pytest.mark.skipif(sys.platform == "win32", reason="the system does not count the time of a process there")
def test_a_text_that_takes_too_much_work_is_cut_by_lines() -> None:
    outliner = Outliner(cpu_seconds=0)
    slow = Text("slow.py", "f()\n" * 400_000, "python")
    found = list(outliner.outlines([slow, PYTHON[0]]))
    outliner.close()
    assert [bool(each.references) for each in found] == [False, True]
    assert outliner.refused == ["slow.py"]


def test_a_text_that_takes_too_long_by_the_clock_is_cut_by_lines() -> None:
    outliner = Outliner(clock_seconds=0.0)
    found = list(outliner.outlines(PYTHON[:2]))
    outliner.close()
    assert [each.chunks[0].text for each in found] == [text.text for text in PYTHON[:2]]
    assert outliner.refused == ["0.py", "1.py"]


def test_whoever_stops_listening_can_ask_again(outliner: Outliner) -> None:
    for first in outliner.outlines(PYTHON):
        assert first.symbols[0].name == "f0"
        break
    assert [each.symbols[0].name for each in outliner.outlines(PYTHON[4:])] == ["f4", "f5", "f6", "f7"]
