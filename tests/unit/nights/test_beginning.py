"""A night that is gone on with learns from what it began with, whatever came or went meanwhile."""

import time

from feedback.held import held, hold, release
from server.nights.beginning import settled_by
from tests.unit.training.tiny_language import HABITS, HOURS, written


def test_what_came_in_late_is_left_to_the_next_night() -> None:
    now = time.time()
    on_time, later = written(HABITS, 6), written(HABITS, 9, start=6)
    assert settled_by(now, on_time, dry_run=False) == on_time
    assert settled_by(now, [*on_time, *later], dry_run=False) == on_time
    assert settled_by(now + 1, [*on_time, *later], dry_run=False) == [*on_time, *later]


def test_what_was_erased_meanwhile_is_not_learned_from() -> None:
    now = time.time()
    settled_by(now, written(HABITS, 6), dry_run=False)
    assert settled_by(now, written(HABITS, 6)[1:], dry_run=False) == written(HABITS, 6)[1:]


def test_what_settled_after_the_beginning_waits() -> None:
    assert settled_by(3 * HOURS, written(HABITS, 6), dry_run=True) == written(HABITS, 4)


def test_a_dry_run_holds_nothing() -> None:
    settled_by(time.time(), written(HABITS, 6), dry_run=True)
    assert held(time.time()) is None


def test_a_hold_ends_by_itself_or_when_it_is_released() -> None:
    now = time.time()
    hold(now, ["a", "b"])
    before = held(now + 2 * 86_400)
    assert before is not None
    assert (before.until, before.examples) == (now, {"a", "b"})
    assert held(now + 4 * 86_400) is None
    assert held(now - 60) is None  # the clock was set back
    release()
    assert held(now) is None
