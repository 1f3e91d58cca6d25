"""Pauses of a night between two steps: while somebody types, while the plug is pulled.

A short pause waits in memory; after a long one the night ends and keeps its checkpoint, so that its memory is given
back, and whoever scheduled it starts it again. What always holds: time that was paused is not spent from the budget.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from server.nights.quiet import Conditions, conditions

GIVE_WAY = 120  # seconds of quiet


@dataclass(frozen=True)
class Manners:
    """How considerate a night is; seconds. `patience`: a longer pause ends it for now."""

    typing: float = 20.0  # a key that is younger pauses it
    quiet: float = GIVE_WAY  # of quiet, and it goes on
    patience: float = 900.0
    look: float = 2.0  # between two looks at the machine
    on_battery: bool = False

    @classmethod
    def of(cls, quiet: float, *, on_battery: bool) -> "Manners":
        """Those of a night that waits for so many seconds of quiet; 0: it does not mind who types."""
        return cls(typing=min(cls.typing, quiet), quiet=quiet, on_battery=on_battery)


class Pauses:
    """Asked between two steps whether to go on. `asked`: whether somebody wants the night to end."""

    def __init__(
        self,
        asked: Callable[[], bool],
        manners: Manners | None,
        report: Callable[[str], None] = lambda why: None,
        look: Callable[[], Conditions] = conditions,
    ) -> None:
        """`manners` None: it never pauses. `report` gets the reason of each pause."""
        self.gave_up: str | None = None
        self._asked = asked
        self._manners = manners
        self._report = report
        self._conditions = look
        self._looked = float("-inf")
        self._paused = 0.0

    def clock(self) -> float:
        """Monotonic seconds in which the night could work."""
        return time.monotonic() - self._paused

    def ended(self) -> bool:
        """Whether to end here; returns only when the machine is free, or when patience is over (see `gave_up`)."""
        if self._asked():
            return True
        if self._manners is None or time.monotonic() - self._looked < self._manners.look:
            return False
        why = self._why(self._manners.typing)
        return why is not None and self._pause(why)

    def _pause(self, why: str) -> bool:
        assert self._manners is not None
        began = time.monotonic()
        try:
            self._report(why)
            while (still := self._why(self._manners.quiet)) is not None:
                if self._asked():
                    return True
                if time.monotonic() - began >= self._manners.patience:
                    self.gave_up = still
                    return True
                time.sleep(self._manners.look)
            return False
        finally:
            self._paused += time.monotonic() - began

    def _why(self, quiet: float) -> str | None:
        assert self._manners is not None
        self._looked = time.monotonic()
        return self._conditions().hindrance(quiet, on_battery=self._manners.on_battery)
