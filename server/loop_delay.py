"""How late the event loop runs: a heartbeat measures by how much each of its sleeps overshoots.

Off by default (a timer that fires 100 times a second costs battery); the setting `inkling.measureLoop` turns it
on, and `inkling/status` then carries the percentiles in milliseconds.
"""

import asyncio
import contextlib
import time

_BEAT_SECONDS = 0.01
_KEPT = 200_000


class LoopDelay:
    """A heartbeat and what it saw."""

    def __init__(self) -> None:
        self._delays: list[float] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to measure."""
        self._task = asyncio.create_task(self._beat(), name="loop delay")

    def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()

    def clear(self) -> None:
        """Forget what was seen, to measure one phase alone."""
        self._delays.clear()

    def percentiles(self) -> dict[str, float] | None:
        """Delays in milliseconds at p50, p95, p99 and the maximum; None without a measurement."""
        if not self._delays:
            return None
        ordered = sorted(self._delays)
        at = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
        found = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 for name, share in at.items()}
        return {**found, "max": ordered[-1] * 1000, "beats": float(len(ordered))}

    async def _beat(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                before = time.perf_counter()
                await asyncio.sleep(_BEAT_SECONDS)
                if len(self._delays) < _KEPT:
                    self._delays.append(max(0.0, time.perf_counter() - before - _BEAT_SECONDS))
