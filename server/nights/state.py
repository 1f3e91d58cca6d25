"""What a night says about itself while it runs and when it is over: one small file, replaced as a whole.

The night that holds the lock is the only one who writes it. A night that is gone without a last word was killed; it
can be gone on with, like one that paused or that the machine let down. What always holds: a file that cannot be read is
no night.
"""

import contextlib
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from feedback.held import LONGEST
from inkling.folders import data_folder
from model.adapters import write_atomically

log = logging.getLogger(__name__)

LIVE = ("running", "waiting")
PAUSED = "paused"
DISK_FULL, WORKER_FAILED = "disk_full", "worker_failed"  # codes of failures after which a night goes on
_EVERY_SECONDS = 1.0


@dataclass(frozen=True)
class NightState:
    """`status`: running, waiting (it pauses), paused (ended, to be gone on with), failed, cancelled, or a verdict's.

    Times are Unix seconds. `until`: feedback that settled before is what it learns from, so that a night that is gone
    on with learns from the same. `created` tells this process from a later one of the same `pid`.
    """

    pid: int
    created: float
    base: str
    started: float
    until: float
    scheduled: bool
    changed: float
    status: str = "running"
    phase: str = ""
    message: str = ""
    done: int = 0
    total: int = 0
    adapter: str | None = None
    verdict: Mapping[str, Any] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.status in LIVE and runs(self.pid, self.created)

    @property
    def killed(self) -> bool:
        """Whether it ended without a last word."""
        return self.status in LIVE and not self.alive

    def resumable(self, base: str, now: float) -> bool:
        """Whether a night on `base` goes on where this one was interrupted."""
        recent = 0 <= now - self.until < LONGEST  # one that is older begins anew, with newer feedback
        let_down = self.status == "failed" and self.verdict.get("code") in (DISK_FULL, WORKER_FAILED)
        interrupted = self.status in (PAUSED, "cancelled") or self.killed or let_down
        return base == self.base and recent and interrupted

    def stop(self) -> bool:
        """Ask the process to end; it keeps a checkpoint. False if it does not run."""
        if not self.alive:
            return False
        with contextlib.suppress(psutil.Error):
            psutil.Process(self.pid).terminate()
        return True

    def values(self) -> dict[str, Any]:
        """For `inkling/status`."""
        shown = "killed" if self.killed else self.status
        names = ("base", "started", "scheduled", "changed", "phase", "message", "done", "total", "adapter")
        return {"status": shown, **{name: getattr(self, name) for name in names}, "verdict": dict(self.verdict)}


def runs(pid: int, created: float) -> bool:
    """Whether the process of this number that began then still runs, and not a later one that got its number."""
    try:
        return psutil.Process(pid).create_time() == created
    except psutil.Error:
        return False


def state_file() -> Path:
    """Where the state lies."""
    return data_folder() / "night.json"


def read_state() -> NightState | None:
    """The night that runs now or ran last; None if there was none."""
    try:
        return NightState(**json.loads(state_file().read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


class StateWriter:
    """Keeps the file up to date for the night in this process. A full disk costs the state, not the night."""

    def __init__(self, base: str, *, until: float, scheduled: bool) -> None:
        now = time.time()
        process = psutil.Process()
        self._state = NightState(process.pid, process.create_time(), base, now, until, scheduled, now)
        self._written = float("-inf")

    def begin(self) -> None:
        """Say that it runs."""
        self._write()

    def report(self, phase: str, message: str, done: int, total: int, status: str = "running") -> None:
        """Say how it goes; at most once a second, unless the status changes."""
        changed = status != self._state.status
        self._state = replace(self._state, status=status, phase=phase, message=message, done=done, total=total)
        if changed or time.monotonic() - self._written >= _EVERY_SECONDS:
            self._write()

    def end(self, status: str, code: str, reason: str, adapter: str | None = None) -> None:
        """Say how it ended."""
        self._state = replace(
            self._state, status=status, message=reason, adapter=adapter, verdict={"code": code, "reason": reason}
        )
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        # A clock that is set moves the time of every process's beginning, as it is counted from the machine's.
        self._state = replace(self._state, changed=time.time(), created=psutil.Process().create_time())
        try:
            state_file().parent.mkdir(parents=True, exist_ok=True)
            write_atomically(state_file(), json.dumps(asdict(self._state)).encode())
        except OSError as error:
            log.warning("the state of the night cannot be written to %s: %s", state_file(), error)
