"""How far a replay is, and how long the rest may take: by the mean of what each kind of unit took in this run.

It only counts and tells; whoever is told decides how to show it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from model.evaluation.replay_store import Unit


@dataclass(frozen=True)
class Progress:
    """Where a run stands. `seconds_left` is an estimate, None before there is anything to go by."""

    done: int
    total: int
    message: str
    seconds_left: float | None


Tell = Callable[[Progress], None]


class Pace:
    """The units of a run, and which of them are left."""

    def __init__(self, units: Sequence[Unit], done: Callable[[Unit], bool], tell: Tell) -> None:
        self._left = {unit for unit in units if not done(unit)}
        self._total = len(units)
        self._tell = tell
        self._spent: dict[tuple[str, str, bool], list[float]] = {}
        self._began = time.monotonic()

    def of(self, unit: Unit) -> Callable[[str, int, int], None]:
        """Reports from inside a unit."""

        def told(phase: str, done: int, total: int) -> None:
            self._say(f"{_named(unit)}: {phase} {done} of {total}" if total > 1 else f"{_named(unit)}: {phase}")

        return told

    def finished(self, unit: Unit) -> None:
        """One less."""
        now = time.monotonic()
        self._spent.setdefault(_like(unit), []).append(now - self._began)
        self._began = now
        self._left.discard(unit)
        self._say(f"{_named(unit)}: done")

    def _say(self, message: str) -> None:
        means = {kind: sum(spent) / len(spent) for kind, spent in self._spent.items()}
        guess = max(means.values(), default=0.0)
        seconds = sum(means.get(_like(unit), guess) for unit in self._left)
        self._tell(Progress(self._total - len(self._left), self._total, message, seconds if means else None))


def _like(unit: Unit) -> tuple[str, str, bool]:
    """What takes about as long as this. On the first day most arms are asked nothing of their own."""
    return unit.kind, unit.arm, unit.day > 0


def _named(unit: Unit) -> str:
    """The unit in words."""
    if unit.kind == "old":
        return f"old tasks, {unit.arm}" + (f" of {unit.package}, seed {unit.seed}" if unit.package else "")
    when = f"the night after day {unit.day + 1}" if unit.kind == "night" else f"day {unit.day + 1}"
    return f"{unit.package}, seed {unit.seed}, {when}, {unit.arm}"
