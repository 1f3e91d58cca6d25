"""Meets the team now and then while a server runs. Light: what a meeting needs is imported with the first."""

import asyncio
import logging
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from feedback.consent import Consent
from feedback.database import Place
from inkling.errors import InklingError
from server.settings import Settings
from server.team.places import account_file

log = logging.getLogger(__name__)

EVERY_SECONDS = 900.0
_FIRST_SECONDS = 60.0  # after the server's start


class TeamSync:
    """The loop. Belongs to the event loop of the server; `at_most` is how far the telemetry switch lets consent go."""

    def __init__(self, place: Place, settings: Callable[[], Settings], at_most: Callable[[], Consent]) -> None:
        self._place = place
        self._settings = settings
        self._at_most = at_most
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; does nothing for who has no account."""
        self._task = asyncio.create_task(self._run(), name="team")

    def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        await asyncio.sleep(_FIRST_SECONDS)
        while True:
            try:
                if self._at_most() is Consent.TEAM:
                    await asyncio.to_thread(self._meet)
            except (InklingError, SQLAlchemyError, OSError) as error:
                log.info("the team was not met: %s", error)
            await asyncio.sleep(EVERY_SECONDS)

    def _meet(self) -> None:
        if not account_file().exists():
            return
        from server.team.account import read_account
        from server.team.sync import meet

        if (account := read_account()) is not None:
            met = meet(account, self._place, self._settings())
            log.info("met the team: %d suggestions sent, adapter %s", met.suggestions, met.adapter or "none")
