"""Outlines come from a child process in order, and whatever becomes of the child, every text has one."""

import sys
from collections.abc import Iterator

import psutil
import pytest

from index.chunks import outline
from index.outlining import Outliner, Text
from tests.unit.index.workspace import CRASHING

PYTHON = [Text(f"{n}.py", f"import os\n\ndef f{n}():\n    return g()\n", "python") for n in range(8)]


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
    deadly = Text("deadly.py", "def f():\n    pass\n", "python")
    found = list(outliner.outlines([PYTHON[0], deadly, PYTHON[1]]))
    assert [[symbol.name for symbol in each.symbols] for each in found] == [["f0"], [], ["f1"]]
    assert found[1].chunks[0].text == deadly.text
    assert outliner.refused == ["deadly.py"]


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
