"""A night gives way: it waits while somebody types, goes on by itself, and ends for now when that takes too long."""

import threading
import time
from collections.abc import Iterator

from server.nights.pauses import Manners, Pauses
from server.nights.quiet import Conditions

QUICK = Manners(typing=5, quiet=60, patience=1e9, look=0.0)
TYPING, QUIET, UNPLUGGED = Conditions(1.0), Conditions(600.0), Conditions(600.0, on_battery=True)


class Machine:
    """Conditions, one after the other; the last ones stay."""

    def __init__(self, *conditions: Conditions) -> None:
        self._next: Iterator[Conditions] = iter(conditions)
        self._now = conditions[0]

    def look(self) -> Conditions:
        self._now = next(self._next, self._now)
        return self._now


def test_nothing_pauses_a_night_that_was_asked_for_by_hand() -> None:
    assert not Pauses(lambda: False, None, look=Machine(TYPING).look).ended()


def test_it_waits_until_the_user_has_been_quiet_and_goes_on() -> None:
    told: list[str] = []
    pauses = Pauses(lambda: False, QUICK, told.append, Machine(TYPING, Conditions(30.0), QUIET).look)
    assert not pauses.ended()
    assert told == ["the last key was 1 s ago, 5 s of quiet are asked for"]
    assert pauses.gave_up is None


def test_a_short_rest_between_two_keys_does_not_resume_it() -> None:
    looks: list[Conditions] = []
    machine = Machine(TYPING, *[Conditions(float(seconds)) for seconds in range(10, 60, 10)], QUIET)

    def look() -> Conditions:
        looks.append(machine.look())
        return looks[-1]

    assert not Pauses(lambda: False, QUICK, look=look).ended()
    assert looks[-1] == QUIET
    assert len(looks) == 7


def test_a_pulled_plug_pauses_it_too_unless_batteries_may_be_drained() -> None:
    told: list[str] = []
    assert not Pauses(lambda: False, QUICK, told.append, Machine(UNPLUGGED, QUIET).look).ended()
    assert "battery" in told[0]
    brave = Manners(look=0.0, on_battery=True)
    assert not Pauses(lambda: False, brave, told.append, Machine(UNPLUGGED).look).ended()
    assert len(told) == 1


def test_a_long_pause_ends_it_for_now_and_says_why() -> None:
    impatient = Manners(typing=5, quiet=60, patience=0.0, look=0.0)
    pauses = Pauses(lambda: False, impatient, look=Machine(TYPING).look)
    assert pauses.ended()
    assert pauses.gave_up == "the last key was 1 s ago, 60 s of quiet are asked for"


def test_who_wants_it_to_end_is_heard_during_a_pause() -> None:
    asked = threading.Event()
    pauses = Pauses(asked.is_set, QUICK, lambda why: asked.set(), Machine(TYPING).look)
    assert pauses.ended()
    assert pauses.gave_up is None


def test_time_that_was_paused_is_not_spent() -> None:
    started = time.monotonic()
    pauses = Pauses(lambda: False, Manners(typing=5, look=0.02), look=Machine(TYPING, TYPING, TYPING, QUIET).look)
    began = pauses.clock()
    assert not pauses.ended()
    passed = time.monotonic() - started
    assert passed >= 0.04
    assert pauses.clock() - began <= passed - 0.04
