"""A trace that was recorded beside a tracker comes to the same rows again, byte for byte."""

import json
import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.outcomes import Limits
from feedback.traces import TracedTracker, TraceError, TraceWriter, replay, row
from inkling.process import command, environment
from tests.unit.feedback import habits
from tests.unit.feedback.simulated_user import HABITS, Editor, perform

assert habits


def recorded(tmp_path: Path, name: str, seed: int) -> tuple[Path, list[str]]:
    """The trace of a habit and the rows that it came to while it happened."""
    chance = random.Random(seed)
    writer = TraceWriter(tmp_path / f"{name}{seed}.jsonl", Limits())
    editor = Editor(chance, reports=True, eol="\n", tracker=TracedTracker(Limits(), writer))
    editor.open()
    HABITS[name][1](editor)
    editor.wait(700)
    editor.close()
    writer.close()
    return tmp_path / f"{name}{seed}.jsonl", [row(event) for event in editor.events]


@pytest.mark.parametrize("name", sorted(HABITS))
def test_a_trace_replays_to_the_same_bytes(tmp_path: Path, name: str) -> None:
    trace, rows = recorded(tmp_path, name, 7)
    with trace.open(encoding="utf-8") as lines:
        assert [row(event) for event in replay(lines)] == rows
    assert {json.loads(one)["table"] for one in rows} >= {"outcome"}


@given(st.integers(0, 10_000))
def test_the_same_seed_gives_the_same_rows(seed: int) -> None:
    name = random.Random(seed).choice(sorted(HABITS))
    first, second = (perform(name, random.Random(seed)).events for _ in range(2))
    assert [row(event) for event in first] == [row(event) for event in second]


def test_the_command_prints_the_rows(tmp_path: Path) -> None:
    trace, rows = recorded(tmp_path, "takes_it_with_tab", 1)
    done = subprocess.run(
        command("feedback", "replay", str(trace)), env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == rows


def test_a_document_that_may_not_be_written_down_is_not(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "trace.jsonl", Limits())
    tracker = TracedTracker(Limits(), writer, lambda document: False)
    tracker.offered("s", "secret.py", 0, "hunter2", 1.0, "")
    tracker.accepted("s", None, 2.0)
    tracker.closed("secret.py", 3.0)
    writer.close()
    assert len((tmp_path / "trace.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("text", ["", "{}", '{"trace": 99}', "not json", '{"trace":1,"limits":{"unknown":1}}'])
def test_a_trace_that_cannot_be_read_is_named(text: str) -> None:
    if not text:
        assert list(replay([])) == []
        return
    with pytest.raises(TraceError, match=r"trace"):
        list(replay([text]))


@pytest.mark.parametrize("call", ['{"call":"erase"}', '{"call":"tick"}', "[1]"])
def test_a_call_that_cannot_be_made_names_its_line(tmp_path: Path, call: str) -> None:
    trace, _ = recorded(tmp_path, "does_nothing", 1)
    first = trace.read_text().splitlines()[0]
    with pytest.raises(TraceError, match="Line 2"):
        list(replay([first, call]))
