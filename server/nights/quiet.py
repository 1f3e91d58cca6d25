"""Whether the machine is free for a night: who types, what servers are at, and where the power comes from.

It looks and judges; it starts and stops nothing. What always holds: what cannot be found out (no server runs, no
battery is known) never keeps a night from running.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from server.status_file import running_servers


@dataclass(frozen=True)
class Conditions:
    """How things are now. `quiet_seconds`: since the last key in any editor; infinite where no server runs."""

    quiet_seconds: float = math.inf
    busy: tuple[str, ...] = ()
    on_battery: bool = False

    def hindrance(self, idle_seconds: float, *, on_battery: bool = False) -> str | None:
        """Why a night must wait, as a sentence; None if it need not. `on_battery`: whether a battery may be drained."""
        if self.on_battery and not on_battery:
            return "the machine runs on its battery (inkling.night.onBattery)"
        if self.quiet_seconds < idle_seconds:
            return f"the last key was {self.quiet_seconds:.0f} s ago, {idle_seconds:.0f} s of quiet are asked for"
        if self.busy:
            return f"a server is at work: {', '.join(self.busy)}"
        return None


def conditions() -> Conditions:
    """How things are on this machine."""
    return of_servers(running_servers(), on_battery=runs_on_battery())


def of_servers(servers: Iterable[Mapping[str, Any]], *, on_battery: bool = False) -> Conditions:
    """The conditions that these servers' status files speak of."""
    quiet, busy = math.inf, list[str]()
    for server in servers:
        activity = server.get("activity", {})
        quiet = min(quiet, float(activity.get("quietSeconds", math.inf)))
        busy += [str(work) for work in activity.get("busy", ())]
    return Conditions(quiet, tuple(dict.fromkeys(busy)), on_battery)


def runs_on_battery() -> bool:
    """True only where the system says that it is unplugged."""
    if not hasattr(psutil, "sensors_battery"):  # psutil leaves it out on systems without such a thing
        return False
    battery = psutil.sensors_battery()
    return battery is not None and battery.power_plugged is False
