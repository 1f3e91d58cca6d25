"""When the user of this session last touched anything, and what the session is at. Belongs to the event loop."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_INDEXING = ("walk", "chunk", "embed")


class Activity:
    """Counted by the monotonic clock, so that a clock that jumps makes nobody idle."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._work: Counter[str] = Counter()

    def touch(self) -> None:
        """The user typed, moved or asked for something."""
        self._last = time.monotonic()

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """The user waits for `what` until this is left."""
        self.touch()
        self._work[what] += 1
        try:
            yield
        finally:
            self._work[what] -= 1
            self.touch()

    def status(self, workspaces: list[dict[str, Any]]) -> dict[str, Any]:
        """For the status file: seconds since the last key, and what is at work, indexing of `workspaces` included."""
        busy = [what for what, count in self._work.items() if count > 0]
        if any(entry["index"].get("phase") in _INDEXING for entry in workspaces):
            busy.append("indexing")
        return {"quietSeconds": round(time.monotonic() - self._last, 1), "busy": busy}
