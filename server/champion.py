"""Watches which adapter this session gets and makes the running engine serve it, without a restart.

That is the champion, or the canary for its share of the sessions. A night or `inkling models promote` runs in another
process and only changes the registry on disk; a look at its stamp every two seconds is cheap and works on every
platform and file system.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from model.adapters import Adapter, Registry
from model.engine import NOT_SWITCHED, Engine, EngineError

log = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0


class ChampionWatch:
    """Keeps the engine on what `serving` says, whenever the registry changed."""

    def __init__(
        self,
        registry: Registry,
        engine: Engine,
        serving: Callable[[], Adapter | None],
        report: Callable[[str], None],
    ) -> None:
        self._registry = registry
        self._engine = engine
        self._serving = serving
        self._report = report
        self._stamp: object = None
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
                try:
                    await self._look()
                except Exception as error:  # whatever a damaged adapter raises, the next one must still be seen
                    log.exception("the adapter was not switched")
                    self._report(NOT_SWITCHED.format(error))
                await asyncio.sleep(_LOOK_SECONDS)

    async def _look(self) -> None:
        stamp = self._registry.stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        champion = self._serving()
        name, folder = (champion.name, champion.folder) if champion else (None, None)
        if name != self._engine.adapter:
            await self._engine.use_adapter(folder, name)
            log.info("now serving %s", name or "the bare base")
