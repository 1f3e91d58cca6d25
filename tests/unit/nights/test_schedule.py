"""When a night is due: once a day on an idle machine, or at a time of day; a clock that jumped puts nothing off."""

from dataclasses import replace
from datetime import datetime, timedelta

import psutil
import pytest

from inkling.errors import UserError
from server.nights.schedule import Schedule, due, upcoming
from server.nights.state import NightState

NOW = datetime(2026, 11, 26, 14, 0)
IDLE, THREE = Schedule("idle"), Schedule("daily", 3, 0)


def night(began: datetime, status: str = "refused", changed: datetime | None = None) -> NightState:
    """A night of a process that is gone."""
    at = began.timestamp()
    return NightState(1, -1.0, "tiny", at, at, True, (changed or began).timestamp(), status)


def is_due(schedule: Schedule, last: NightState | None, now: datetime = NOW, since: datetime = NOW) -> bool:
    return due(schedule, last, now, since)


@pytest.mark.parametrize(("text", "schedule"), [("off", Schedule()), ("idle", IDLE), ("03:00", THREE), ("3:00", THREE)])
def test_the_setting_is_a_word_or_a_time_of_day(text: str, schedule: Schedule) -> None:
    assert Schedule.parse(text) == schedule


@pytest.mark.parametrize("text", ["", "nightly", "24:00", "3", "03:60", "-1:00", "03:00:00"])
def test_what_is_no_schedule_names_the_setting(text: str) -> None:
    with pytest.raises(UserError, match=r"inkling\.night\.schedule: expected off, idle or a time of day"):
        Schedule.parse(text)


def test_nothing_is_due_while_it_is_off() -> None:
    assert not is_due(Schedule(), None)
    assert upcoming(Schedule(), None, NOW, NOW) is None


def test_an_idle_machine_gets_one_night_a_day() -> None:
    assert is_due(IDLE, None)
    assert not is_due(IDLE, night(NOW - timedelta(hours=12)))
    assert is_due(IDLE, night(NOW - timedelta(hours=21)))
    assert upcoming(IDLE, night(NOW), NOW, NOW) == NOW + timedelta(hours=20)


def test_a_time_of_day_is_made_up_for_when_the_machine_slept_through_it() -> None:
    assert is_due(THREE, night(NOW - timedelta(days=1)))
    assert not is_due(THREE, night(NOW.replace(hour=3, minute=1)))
    assert upcoming(THREE, night(NOW.replace(hour=3, minute=1)), NOW, NOW) == datetime(2026, 11, 27, 3, 0)


def test_a_time_that_passed_before_anybody_asked_is_not_made_up_for() -> None:
    assert not is_due(THREE, None, NOW, since=NOW.replace(hour=13))
    assert is_due(THREE, None, NOW, since=NOW.replace(hour=2))


def test_a_night_that_gave_way_is_due_at_once_and_one_that_was_killed_after_an_hour() -> None:
    began = NOW - timedelta(hours=2)
    assert is_due(THREE, night(began, "paused"))
    assert is_due(IDLE, night(began, "running"))
    assert not is_due(IDLE, night(began, "running", changed=NOW - timedelta(minutes=10)))
    assert not is_due(IDLE, night(began, "cancelled"))


def test_no_second_night_is_due_while_one_runs() -> None:
    this = psutil.Process()
    last = replace(night(NOW - timedelta(days=3)), pid=this.pid, created=this.create_time(), status="running")
    assert last.alive
    assert not is_due(IDLE, last)


@pytest.mark.parametrize("schedule", [IDLE, THREE])
@pytest.mark.parametrize("status", ["refused", "running", "paused"])
def test_a_clock_that_was_set_back_puts_nothing_off(schedule: Schedule, status: str) -> None:
    assert is_due(schedule, night(NOW + timedelta(days=400), status))


@pytest.mark.parametrize("schedule", [IDLE, THREE])
def test_a_clock_that_was_set_forward_costs_at_most_one_night_early(schedule: Schedule) -> None:
    ahead = NOW + timedelta(days=400)
    assert is_due(schedule, night(NOW), ahead)
    assert not is_due(schedule, night(ahead), ahead)
