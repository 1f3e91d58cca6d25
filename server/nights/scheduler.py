"""The running server's part in nights: starts one that is due when the machine is free, and shows whichever runs.

Every server does this; the night's lock lets one of them win. What always holds: a night that this server started
goes on when the server leaves, and every server shows it, whoever started it.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from feedback.consent import Consents
from inkling import folders
from inkling.errors import InklingError, UserError
from inkling.process import command, environment
from server.nights.pauses import GIVE_WAY
from server.nights.quiet import conditions
from server.nights.schedule import Schedule, due, upcoming
from server.nights.state import NightState, read_state, state_file
from server.settings import Settings

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0  # at the state of the night
_DUE_SECONDS = 5.0  # whether one should begin
_LOG_BYTES = 1_000_000
_AGAIN_SECONDS = 900.0  # after a start with the same options that came to nothing


class Nights:
    """Starts and watches nights. Belongs to the event loop.

    `show` gets every new state of a night that this session did not start by hand; `tell` sentences for the user.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        consents: Consents,
        show: Callable[[NightState], None],
        tell: Callable[[str], None],
    ) -> None:
        self.by_hand = False  # a command of this session runs one and shows it itself
        self._settings = settings
        self._consents = consents
        self._show = show
        self._tell = tell
        self._since = datetime.now()
        self._stamp: object = None
        self._last: NightState | None = None
        self._waits_for: str | None = None
        self._tried: tuple[list[str], float] = ([], float("-inf"))  # options of the last start, and when it was
        self._started: set[int] = set()  # processes of this server's nights
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to watch and to schedule."""
        self._tasks.append(asyncio.create_task(self._watch(), name="night watch"))
        self._tasks.append(asyncio.create_task(self._keep_schedule(), name="night schedule"))

    def close(self) -> None:
        """Stop; a night that runs goes on."""
        for task in self._tasks:
            task.cancel()

    def status(self) -> dict[str, Any]:
        """The schedule, when a night is due next, why it waits, and the night that runs or ran last."""
        if self._last is not None and self._last.killed:
            self._read()  # it may have said its last word since
        last = self._last
        try:
            schedule = self._schedule()
        except UserError as error:
            return {"schedule": "off", "problem": str(error), "last": last.values() if last else None}
        at = upcoming(schedule, last, datetime.now(), self._since)
        return {
            "schedule": str(schedule),
            "next": at.isoformat(timespec="seconds") if at else None,
            "waitsFor": self._waits_for,
            "last": last.values() if last else None,
        }

    async def begin_if_due(self) -> bool:
        """Start a night if one is due and nothing hinders it; whether it was started."""
        settings = self._settings().night
        schedule = self._schedule()
        last = await asyncio.to_thread(read_state)
        if not due(schedule, last, datetime.now(), self._since):
            self._waits_for = None
            return False
        options = night_options(self._settings())
        if options == self._tried[0] and time.monotonic() - self._tried[1] < _AGAIN_SECONDS:
            self._waits_for = f"the last start came to nothing, see {folders.logs_folder() / 'night.log'}"
            return False
        self._waits_for = await asyncio.to_thread(self._hindrance, 60.0 * settings.idle_minutes, settings.on_battery)
        if self._waits_for is not None:
            return False
        self._tried = (options, time.monotonic())
        await self._spawn(options, min(GIVE_WAY, 60 * settings.idle_minutes))
        return True

    def _schedule(self) -> Schedule:
        return Schedule.parse(self._settings().night.schedule)

    def _hindrance(self, idle_seconds: float, on_battery: bool) -> str | None:
        try:
            self._consents.refresh()
        except InklingError as error:
            return f"the feedback cannot be read ({error})"
        if not self._consents.chosen():
            return "nothing is recorded yet (inkling consent local)"
        return conditions().hindrance(idle_seconds, on_battery=on_battery)

    async def _spawn(self, options: list[str], give_way: float) -> None:
        """A night that gives way trains in its own process, whatever runner the settings name."""
        options = [*options, "--runner", "local", "--give-way", str(give_way)]
        self._started.add(await spawn(options))

    async def _keep_schedule(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(_DUE_SECONDS)
                try:
                    await self.begin_if_due()
                except UserError as error:
                    self._tell(str(error))
                except (OSError, InklingError) as error:
                    log.warning("no night could be started: %s", error)

    async def _watch(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.to_thread(self._read)
                if self._last is not None and not self.by_hand:
                    self._show(self._last)
                    self._say_verdict(self._last)
                await asyncio.sleep(_LOOK_SECONDS)

    def _read(self) -> None:
        try:
            status = state_file().stat()
        except OSError:
            return
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            self._stamp, self._last = stamp, read_state()

    def _say_verdict(self, night: NightState) -> None:
        """What came of a night that this server started, where somebody has to know it."""
        if night.pid not in self._started or night.alive:
            return
        self._started.discard(night.pid)
        if night.status in ("promoted", "failed"):
            self._tell(f"The night is over. {night.message}")


def night_options(settings: Settings) -> list[str]:
    """The options of `inkling night` that follow from the settings."""
    return [
        "--base",
        settings.model.base,
        "--budget",
        settings.night.budget,
        "--minimum-regions",
        str(settings.night.minimum_regions),
        "--stages",
        settings.night.stages,
        "--mode",
        settings.completion.mode,
        "--canary-share",
        str(settings.night.canary_share),
    ]


async def spawn(options: list[str]) -> int:
    """Start a night that goes on when this process leaves; its process."""
    file = await asyncio.to_thread(_open_log, folders.logs_folder() / "night.log")
    with file:
        child = await asyncio.create_subprocess_exec(
            *command("night", "--json", *options),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=environment(),
            start_new_session=True,
        )
    log.info("a night was started as process %s", child.pid)
    return child.pid


def _open_log(path: Path) -> Any:
    """The log of nights, begun anew when it has become large."""
    path.parent.mkdir(parents=True, exist_ok=True)
    large = path.exists() and path.stat().st_size > _LOG_BYTES
    return path.open("wb" if large else "ab")
