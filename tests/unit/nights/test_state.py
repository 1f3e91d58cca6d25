"""What a night says about itself: whether it runs, was killed, and may be gone on with."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from server.nights.state import StateWriter, read_state, runs, state_file


def test_a_night_that_runs_is_seen_and_its_last_word_stays() -> None:
    assert read_state() is None
    writer = StateWriter("tiny", until=5.0, scheduled=True)
    writer.begin()
    state = read_state()
    assert state is not None
    assert (state.alive, state.killed, state.status, state.until) == (True, False, "running", 5.0)
    writer.report("", "somebody types", 0, 0, "waiting")
    state = read_state()
    assert state is not None
    assert (state.alive, state.message) == (True, "somebody types")
    writer.end("refused", "not_better", "Refused: no.", "night-a")
    state = read_state()
    assert state is not None
    assert (state.alive, state.killed, state.status, state.adapter) == (False, False, "refused", "night-a")
    assert state.values()["verdict"] == {"code": "not_better", "reason": "Refused: no."}


def test_one_that_was_killed_can_be_gone_on_with_for_a_while(inkling_home: Path) -> None:
    until = time.time() - 86_400  # it was interrupted before, and goes on with what had settled then
    code = f"from server.nights.state import StateWriter; StateWriter('tiny', until={until}, scheduled=True).begin()"
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)
    state = read_state()
    assert state is not None
    assert state.killed
    assert state.values()["status"] == "killed"
    now = time.time()
    assert state.resumable("tiny", now)
    assert not state.resumable("another base", now)
    assert not state.resumable("tiny", now + 10 * 86_400)
    assert not state.resumable("tiny", now + 2.5 * 86_400), "however often it goes on, what it learns from grows old"
    assert not state.resumable("tiny", now - 2 * 86_400)  # the clock was set back: what it learned from lies ahead


@pytest.mark.parametrize(("code", "goes_on"), [("disk_full", True), ("worker_failed", True), ("error", False)])
def test_one_that_the_machine_let_down_can_be_gone_on_with(code: str, goes_on: bool) -> None:
    now = time.time()
    StateWriter("tiny", until=now - 60, scheduled=True).end("failed", code, "It failed.")
    state = read_state()
    assert state is not None
    assert state.resumable("tiny", now) is goes_on


def test_a_number_that_another_process_got_is_not_the_same_process() -> None:
    this = psutil.Process()
    assert runs(this.pid, this.create_time())
    assert not runs(this.pid, this.create_time() - 3600)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"pid": 1}', '"night"'])
def test_a_file_that_cannot_be_read_is_no_night(text: str) -> None:
    state_file().parent.mkdir(parents=True)
    state_file().write_text(text)
    assert read_state() is None


def test_stopping_asks_the_process_and_nobody_else() -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        writer = StateWriter("tiny", until=0.0, scheduled=False)
        writer.begin()
        state = read_state()
        assert state is not None
        theirs = psutil.Process(sleeper.pid)
        later = type(state)(**{**vars(state), "pid": theirs.pid, "created": theirs.create_time() + 1})
        assert not later.stop()
        night = type(state)(**{**vars(state), "pid": theirs.pid, "created": theirs.create_time()})
        assert night.stop()
        assert sleeper.wait(30) == -15
    finally:
        sleeper.kill()


def test_a_full_disk_costs_the_state_and_not_the_night(inkling_home: Path) -> None:
    state_file().parent.parent.mkdir(parents=True, exist_ok=True)
    state_file().parent.write_text("a file stands where the folder should be")
    writer = StateWriter("tiny", until=0.0, scheduled=False)
    writer.begin()
    writer.end("refused", "not_better", "Refused.")
    assert read_state() is None
