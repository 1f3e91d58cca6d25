"""A disk that becomes full under a night: the verdict and the state say so, and it can be gone on with."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from inkling.folders import data_folder
from inkling.process import environment
from server.nights.state import read_state
from tests.unit.training.tiny_language import make_base

pytestmark = pytest.mark.slow

NIGHT = """
import errno, sys
import server.night as night
from model.training import checkpoints
from server.night import Plan
from tests.unit.training.tiny_language import OTHER_HABITS, written

def full(path, data=None):
    raise OSError(errno.ENOSPC, "No space left on device", str(path))

night.allowed_examples = lambda place: written(OTHER_HABITS, 60)
{full}
plan = Plan({base!r}, budget_seconds=20, minimum_regions=40, stages=("sft",))
sys.exit(night.night("nowhere.sqlite", plan, json=True))
"""


def run(base: Path, full: str) -> tuple[int, dict[str, Any]]:
    """A night in a process of its own, in which one thing that writes finds no room; its code and its last line."""
    code = NIGHT.format(base=f"path:{base}", full=full)
    root = Path(__file__).parents[3]
    known = environment({"OMP_NUM_THREADS": "1"})
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, env=known, capture_output=True, text=True)
    assert ran.stdout, ran.stderr
    return ran.returncode, json.loads(ran.stdout.splitlines()[-1])


def test_a_checkpoint_without_room_ends_the_night_in_words(tmp_path: Path) -> None:
    make_base(tmp_path)
    code, last = run(tmp_path, "checkpoints.write_atomically = full")
    assert (code, last["phase"], last["status"], last["code"]) == (2, "verdict", "failed", "disk_full")
    assert f"free some below {data_folder()}" in last["reason"]
    state = read_state()
    assert state is not None
    assert (state.status, state.verdict["code"]) == ("failed", "disk_full")
    assert state.resumable(f"path:{tmp_path}", time.time())


def test_a_lock_without_room_is_said_before_anything_is_done(tmp_path: Path) -> None:
    code, last = run(tmp_path, "night.FileLock = lambda path, timeout: full(path)")
    assert (code, last["code"]) == (2, "disk_full")
    assert "night.lock" in last["reason"]
    assert read_state() is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no file here that is always full")
def test_a_verdict_that_nobody_can_write_down_is_no_crash() -> None:
    code = "from server.nights.pages import JsonLines; JsonLines().end('failed', 'error', 'It failed.')"
    root = Path(__file__).parents[3]
    with Path("/dev/full").open("w") as nowhere:
        ran = subprocess.run([sys.executable, "-c", code], cwd=root, stdout=nowhere, stderr=subprocess.PIPE, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
