"""Watches which adapter this session gets and makes the running engine serve it, without a restart.

That is the champion, or the canary for its share of the sessions. A night or `inkling models promote` runs in another
process and only changes the registry on disk; a look at its stamp every two seconds is cheap and works on every
platform and file system.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from model.adapters import Adapter, Registry
from model.engine import NOT_SWITCHED, Engine, EngineError

log = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0
_AGAIN_SECONDS = 30.0  # before a switch that failed is tried again: it reads and merges all weights


class ChampionWatch:
    """Keeps the engine on what `serving` says, whenever the registry changed.

    A switch that failed is tried again until it succeeds or the registry changes; why it failed is reported once.
    """

    def __init__(
        self,
        registry: Registry,
        engine: Engine,
        serving: Callable[[], Adapter | None],
        report: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._engine = engine
        self._serving = serving
        self._report = report
        self._clock = clock
        self._stamp: object = None  # of the registry that the engine serves by
        self._failed: tuple[object, float] | None = None  # the stamp of a switch that failed, and when
        self._told = ""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._watch(), name="champion watch")

    def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            try:
                await self._engine.ready()
            except EngineError as error:
                self._report(f"The model could not be loaded: {error}")
                return
            while True:
                await self.look()
                await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Switch if there is something else to serve."""
        stamp: object = None
        try:
            stamp = self._registry.stamp()
            if not self._due(stamp):
                return
            await self._switch()
        except Exception as error:  # whatever a damaged adapter raises, the next one must still be seen
            self._failed = (stamp, self._clock())
            self._tell(NOT_SWITCHED.format(error))
        else:
            self._stamp, self._failed, self._told = stamp, None, ""

    def _due(self, stamp: object) -> bool:
        if self._failed is not None and self._failed[0] == stamp:
            return self._clock() >= self._failed[1] + _AGAIN_SECONDS
        return stamp != self._stamp

    async def _switch(self) -> None:
        champion = self._serving()
        name, folder = (champion.name, champion.folder) if champion else (None, None)
        if name != self._engine.adapter:
            await self._engine.use_adapter(folder, name)
            log.info("now serving %s", name or "the bare base")

    def _tell(self, message: str) -> None:
        if message != self._told:
            self._told = message
            log.exception("the adapter was not switched")
            self._report(message)
