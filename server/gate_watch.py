"""Watches the file of the fitted gate, so that a running server takes a new one up without a restart.

A night or `inkling feedback gate --fit` runs in another process and only replaces the file; a look at its stamp every
two seconds is cheap. What always holds: a file that is gone or damaged means the written rule.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0


class GateWatch:
    """Calls `renew` after every change of the file."""

    def __init__(self, file: Path, renew: Callable[[], None], seconds: float = _LOOK_SECONDS) -> None:
        self._file = file
        self._renew = renew
        self._seconds = seconds
        self._stamp = self._look()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._watch(), name="gate watch")

    def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(self._seconds)
                stamp = self._look()
                if stamp != self._stamp:
                    self._stamp = stamp
                    self._renew()
                    log.info("the gate was renewed")

    def _look(self) -> tuple[int, int] | None:
        try:
            status = self._file.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino
