"""When a night is due. Pure: what it has to know is given to it.

`off`, `idle` (once a day, when nobody has typed for a while) or a time of day. What always holds: a clock that jumped
never puts a night off for longer than one turn of the schedule.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from inkling.errors import UserError
from server.nights.state import PAUSED, NightState

_IDLE_EVERY = timedelta(hours=20)  # a day, less than that: the hours at which somebody leaves the desk differ
_AFTER_A_KILL = timedelta(hours=1)  # whatever killed it (too little memory?) must not do so every minute
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class Schedule:
    """When nights begin. `kind`: off, idle or daily; `hour` and `minute` count for daily."""

    kind: str = "off"
    hour: int = 0
    minute: int = 0

    @classmethod
    def parse(cls, text: str, where: str = "inkling.night.schedule") -> "Schedule":
        """From the setting. Raises UserError for what is no schedule."""
        if text in ("off", "idle"):
            return cls(text)
        if (match := _TIME.fullmatch(text.strip())) is None:
            raise UserError(f"{where}: expected off, idle or a time of day such as 03:00, found {text!r}.")
        return cls("daily", int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.hour:02}:{self.minute:02}" if self.kind == "daily" else self.kind


def due(schedule: Schedule, last: NightState | None, now: datetime, since: datetime) -> bool:
    """Whether a night should begin as soon as the machine is free. `last` is the night before; times are local.

    `since`: when somebody began to ask, for a time of day that passed before there was any night.
    """
    if schedule.kind == "off" or (last is not None and last.alive):
        return False
    if last is None:
        return schedule.kind == "idle" or since < _latest(schedule, now)
    began = datetime.fromtimestamp(last.started)
    if began > now:  # the clock was set back since
        return True
    if last.status == PAUSED:
        return True
    if last.killed and now - datetime.fromtimestamp(min(last.changed, now.timestamp())) >= _AFTER_A_KILL:
        return True
    if schedule.kind == "idle":
        return now - began >= _IDLE_EVERY
    return began < _latest(schedule, now)


def upcoming(schedule: Schedule, last: NightState | None, now: datetime, since: datetime) -> datetime | None:
    """When a night is due next, `now` if it is; None if never."""
    if schedule.kind == "off":
        return None
    if due(schedule, last, now, since):
        return now
    if schedule.kind == "idle":
        return now if last is None else datetime.fromtimestamp(last.started) + _IDLE_EVERY
    return _latest(schedule, now) + timedelta(days=1)


def _latest(schedule: Schedule, now: datetime) -> datetime:
    """The last time the clock showed the schedule's time of day."""
    at = now.replace(hour=schedule.hour, minute=schedule.minute, second=0, microsecond=0)
    return at if at <= now else at - timedelta(days=1)
