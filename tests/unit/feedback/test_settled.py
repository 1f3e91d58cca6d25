"""What is settled after an outcome, what survives, and what cannot mislead the tracker."""

import pytest

from feedback.authors import changes_of
from feedback.outcomes import Limits
from feedback.records import Report, Settled, Survival
from feedback.regions import Edit
from tests.unit.feedback.desk import Desk


def test_what_the_user_wrote_instead_is_settled() -> None:
    desk = Desk("x = \ny\n")
    desk.offer("foo()", 4)
    desk.type(4, "bar(1)")
    desk.wait(9)
    assert not any(isinstance(event, Settled) for event in desk.events)
    desk.wait(2)
    assert desk.settled() == "bar(1)"


def test_the_rest_of_the_line_belongs_to_what_is_settled() -> None:
    desk = Desk("f(a)\r\ny")
    desk.offer("b, ", 2)
    desk.insert(2, "b, ")
    desk.wait(14)
    assert desk.settled() == "b, a)"


def test_lines_that_the_suggestion_would_not_have_covered_are_not_settled_and_do_not_delay() -> None:
    desk = Desk("x = ")
    desk.offer("foo()")
    desk.insert(4, "foo()")
    for _ in range(14):
        desk.insert(len(desk.content), "\nmore")
        desk.wait(1)
    assert desk.settled() == "foo()"


def test_what_the_agent_wrote_last_is_nothing_that_the_user_settled_on() -> None:
    desk = Desk("total = ")
    desk.offer("sum(rows)")
    desk.replace(0, 8, "total = 0", author="agent")
    desk.wait(60)
    desk.close()
    assert desk.outcome()[2] == "changed_by_agent"
    assert not any(isinstance(event, Settled) for event in desk.events)


def test_what_the_user_made_of_it_afterwards_is() -> None:
    desk = Desk("total = ")
    desk.offer("sum(rows)")
    desk.replace(0, 8, "total = 0", author="agent")
    desk.type(9, ".5")
    desk.wait(12)
    assert desk.settled().endswith("0.5")


def test_a_block_is_settled_as_a_block() -> None:
    desk = Desk("def f():\n\nlast")
    desk.offer("    a\n    b", 9)
    desk.insert(9, "    a\n    b")
    desk.replace(13, 14, "c")
    desk.wait(12)
    assert desk.settled() == "    c\n    b"


def test_survival_is_looked_at_once_for_each_age() -> None:
    desk = Desk("x = ")
    desk.offer("abcdefgh")
    desk.insert(4, "abcdefgh")
    desk.wait(40)
    desk.replace(4, 12, "")
    desk.wait(700)
    kept = [(event.age, event.kept) for event in desk.events if isinstance(event, Survival)]
    assert kept == [(5, 1.0), (30, 1.0), (120, 0.0), (300, 0.0), (600, 0.0)]
    assert desk.tracker.watching == 0


def test_half_of_the_text_deleted_is_half_kept() -> None:
    desk = Desk("x = ", Limits(survival_ages=(5,)))
    desk.offer("abcdefgh")
    desk.insert(4, "abcdefgh")
    desk.replace(8, 12, "")
    desk.wait(6)
    (survival,) = [event for event in desk.events if isinstance(event, Survival)]
    assert survival.kept == pytest.approx(1 / 5)


def test_a_missed_edit_decides_without_settling_a_wrong_text() -> None:
    desk = Desk("x = ")
    desk.offer("foo()")
    desk.content = "something else"
    desk.offer("bar", name="t")
    assert desk.outcome("s")[0] == "invalidated"
    assert not any(isinstance(event, Settled) for event in desk.events)


def test_more_changes_at_once_than_can_be_held_with_their_texts_are_given_up() -> None:
    line = "call(one, two)" + "#" * 120 + "\n\n"
    desk = Desk("x = \n" + 950 * line)
    desk.offer("foo()", 4)
    desk.insert(4, "foo()")
    desk.wait(3)
    desk.replace(0, len(desk.content), desk.content.replace(", ", ",  "))
    assert desk.outcome()[0] == "accepted"
    assert desk.tracker.watching == 0
    assert not any(isinstance(event, Survival) for event in desk.events)


def test_a_text_is_not_held_once_for_each_of_thousands_of_edits() -> None:
    text = "foo\n" * 10_000
    assert changes_of(text, [Edit(4 * line, 4 * line + 3, "bar") for line in range(4_000)]) is None
    few = changes_of(text, [Edit(4 * line, 4 * line + 3, "bar") for line in range(40)])
    assert few is not None
    assert len(few) == 40


def test_a_suggestion_cannot_be_offered_twice() -> None:
    desk = Desk("x = ")
    desk.offer("foo()")
    with pytest.raises(ValueError, match="before"):
        desk.offer("foo()")


def test_typing_on_for_long_follows_a_bounded_number_of_suggestions() -> None:
    desk = Desk("x = ")
    for key in range(200):
        desk.offer("foo()", name=f"s{key}")
        desk.insert(len(desk.content), "q")
    assert desk.tracker.watching < 20
    desk.wait(12)
    assert desk.settled("s199") == "q"


def test_escape_after_taking_it_over_sends_nothing_away() -> None:
    desk = Desk("x = ")
    desk.offer("foo()")
    desk.insert(4, "foo()")
    desk.events += desk.tracker.dismissed("s", desk.now)
    desk.wait(4)
    assert desk.outcome() == ("accepted", 5, "inserted_at_once")


def test_a_report_and_what_the_edits_said_are_told_side_by_side() -> None:
    desk = Desk("x = ")
    desk.offer("foo()")
    desk.events += desk.tracker.dismissed("s", desk.now)
    desk.type(4, "foo()")
    desk.wait(4)
    (report,) = [event for event in desk.events if isinstance(event, Report)]
    assert (report.reported, report.inferred, report.rule) == ("rejected", "typed_through", "typed_to_its_end")
    assert desk.outcome() == ("rejected", 0, "dismissed")


def test_a_formatter_takes_nothing_of_an_accepted_text_away() -> None:
    desk = Desk("x = \nlast\n", Limits(survival_ages=(5,)))
    desk.offer("foo( 'a' )", 4)
    desk.insert(4, "foo( 'a' )")
    desk.replace(0, len(desk.content), 'x = foo("a")\nlast\n')
    desk.wait(6)
    (survival,) = [event for event in desk.events if isinstance(event, Survival)]
    assert (survival.kept, survival.unreverted) == (1.0, 1.0)
    assert desk.outcome()[0] == "accepted"


def test_undoing_it_later_is_a_reversal() -> None:
    desk = Desk("x = ", Limits(survival_ages=(5, 30)))
    desk.offer("foo()")
    desk.insert(4, "foo()")
    desk.wait(10)
    desk.replace(4, 9, "")
    desk.wait(25)
    looks = [(event.kept, event.unreverted) for event in desk.events if isinstance(event, Survival)]
    assert looks == [(1.0, 1.0), (0.0, 0.0)]


def test_a_clock_that_jumps_back_delays_nothing_and_decides_nothing_twice() -> None:
    desk = Desk("x = ")
    desk.offer("foo()")
    desk.insert(4, "foo()")
    desk.now -= 10_000
    desk.wait(2)
    assert desk.outcomes() == []
    desk.now += 10_003
    desk.wait(2)
    assert desk.outcome()[0] == "accepted"
