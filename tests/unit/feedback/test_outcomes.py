"""What a user did is told from edits alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.outcomes import Event, Limits, Tracker
from feedback.records import Outcome, Report, Settled, Survival
from feedback.regions import Edit

TEXTS = st.text(alphabet="ab()\"'\r\n😀é 𝒳\t", min_size=1, max_size=20)


class Desk:
    """A document, a clock and a user in front of a tracker."""

    def __init__(self, content: str, limits: Limits | None = None) -> None:
        self.tracker = Tracker(limits)
        self.content = content
        self.now = 1000.0
        self.events: list[Event] = []

    def offer(self, text: str, offset: int | None = None, name: str = "s") -> None:
        at = len(self.content) if offset is None else offset
        self.events += self.tracker.offered(name, "a.py", at, text, self.now, self.content)

    def replace(self, start: int, end: int, text: str) -> None:
        edit = Edit(start, end, text)
        self.content = edit.apply(self.content)
        self.now += 0.1
        self.events += self.tracker.changed("a.py", [edit], self.now)

    def insert(self, offset: int, text: str) -> None:
        self.replace(offset, offset, text)

    def type(self, offset: int, text: str) -> None:
        for place, character in enumerate(text):
            self.insert(offset + place, character)

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.now += 1
            self.events += self.tracker.tick(self.now)

    def close(self) -> None:
        self.events += self.tracker.closed("a.py", self.now)

    def outcomes(self, name: str = "s") -> list[Outcome]:
        return [event for event in self.events if isinstance(event, Outcome) and event.suggestion == name]

    def outcome(self, name: str = "s") -> tuple[str, int, str]:
        (event,) = self.outcomes(name)
        return event.kind, event.length, event.rule

    def settled(self, name: str = "s") -> str:
        (text,) = [event.text for event in self.events if isinstance(event, Settled) and event.suggestion == name]
        return text


@given(TEXTS, TEXTS, TEXTS)
def test_typing_the_suggestion_key_by_key_is_typed_through(before: str, text: str, after: str) -> None:
    desk = Desk(before + after)
    desk.offer(text, len(before))
    desk.type(len(before), text)
    desk.close()
    assert desk.outcome()[0] == "typed_through"


@given(TEXTS, TEXTS.filter(lambda text: len(text.replace("\r\n", "\n")) > 1), TEXTS)
def test_inserting_the_suggestion_in_one_edit_is_accepted(before: str, text: str, after: str) -> None:
    desk = Desk(before + after)
    desk.offer(text, len(before))
    desk.insert(len(before), text)
    desk.close()
    assert desk.outcome() == ("accepted", len(text.replace("\r\n", "\n")), "inserted_at_once")


@given(TEXTS.filter(lambda text: len(text.strip()) > 2 and "\r" not in text), st.data())
def test_typing_a_part_and_taking_the_rest_counts_the_rest(text: str, data: st.DataObject) -> None:
    typed = data.draw(st.integers(1, len(text) - 2))
    rest = text[typed:]
    if len(rest) == 2 or not rest.strip():
        return  # could be one key: a pair of brackets, a line break with its indentation
    desk = Desk("x = ")
    desk.offer(text)
    desk.type(4, text[:typed])
    desk.insert(4 + typed, rest)
    desk.close()
    assert desk.outcome() == ("accepted", len(rest), "rest_inserted_at_once")


ACTS = st.lists(
    st.tuples(st.sampled_from(["offer", "edit", "accept", "dismiss", "wait"]), st.floats(0, 1), st.floats(0, 1), TEXTS),
    max_size=25,
)


def perform(acts: list[tuple[str, float, float, str]]) -> tuple[Desk, list[str]]:
    desk = Desk("def f():\r\n    return 1\n")
    offered: list[str] = []
    for kind, one, two, text in acts:
        start = round(one * len(desk.content))
        if kind == "offer":
            offered.append(f"s{len(offered)}")
            desk.offer(text, start, offered[-1])
        elif kind == "edit":
            desk.replace(start, round(start + two * (len(desk.content) - start)), text)
        elif kind == "wait":
            desk.wait(two * 40)
        elif offered:
            name = offered[round(one * (len(offered) - 1))]
            if kind == "accept":
                desk.events += desk.tracker.accepted(name, None if two < 0.5 else 1, desk.now)
            else:
                desk.events += desk.tracker.dismissed(name, desk.now)
    desk.close()
    return desk, offered


@given(ACTS)
def test_every_suggestion_has_one_outcome_and_a_settled_text_unless_many_came_after_it(
    acts: list[tuple[str, float, float, str]],
) -> None:
    desk, offered = perform(acts)
    assert sorted(e.suggestion for e in desk.events if isinstance(e, Outcome)) == sorted(offered)
    settled = [e.suggestion for e in desk.events if isinstance(e, Settled)]
    taken = {e.suggestion for e in desk.events if isinstance(e, Outcome) and e.kind in ("accepted", "partial")}
    assert len(settled) == len(set(settled))
    assert taken | set(offered[-12:]) <= set(settled)
    assert desk.tracker.watching == 0


@given(ACTS)
def test_the_same_trace_gives_the_same_events(acts: list[tuple[str, float, float, str]]) -> None:
    assert perform(acts)[0].events == perform(acts)[0].events


@given(ACTS)
def test_values_are_within_their_bounds(acts: list[tuple[str, float, float, str]]) -> None:
    for event in perform(acts)[0].events:
        if isinstance(event, Survival):
            assert 0 <= event.kept <= 1
        if isinstance(event, Outcome):
            assert 0 < event.confidence <= 1
            assert 0 <= event.length <= 20


def test_accepting_a_word_and_leaving_is_partial() -> None:
    desk = Desk("x = \ny\n")
    desk.offer("foo.bar(1)", 4)
    desk.insert(4, "foo.")
    desk.insert(len(desk.content), "z")
    desk.wait(3)
    assert desk.outcome() == ("partial", 4, "leading_part")


def test_accepting_word_after_word_to_the_end_is_accepted() -> None:
    desk = Desk("x = ")
    desk.offer("foo.bar(1)")
    desk.insert(4, "foo.")
    desk.insert(8, "bar(1)")
    desk.wait(4)
    assert desk.outcome() == ("accepted", 10, "inserted_word_by_word")


def test_an_acceptance_that_replaces_what_stood_there_is_accepted() -> None:
    desk = Desk("print()")
    desk.offer("x, y)", 6)
    desk.replace(6, 7, "x, y)")
    desk.wait(4)
    assert desk.outcome()[0] == "accepted"


def test_an_acceptance_that_replaces_the_typed_part_counts_the_rest() -> None:
    desk = Desk("x = ")
    desk.offer("foobar()")
    desk.type(4, "fo")
    desk.replace(4, 6, "foobar()")
    desk.close()
    assert desk.outcome() == ("accepted", 6, "rest_inserted_at_once")


def test_brackets_that_the_editor_closes_by_itself_are_no_difference() -> None:
    desk = Desk("x = ")
    desk.offer("foo(bar)")
    desk.type(4, "foo")
    desk.insert(7, "()")
    desk.type(8, "bar")
    desk.wait(4)
    assert desk.outcome() == ("typed_through", 8, "typed_to_its_end")


def test_typing_something_else_is_rejected() -> None:
    desk = Desk("x = ")
    desk.offer("foo()")
    desk.insert(4, "q")
    assert desk.outcome() == ("rejected", 0, "typed_something_else")


def test_sending_it_away_is_rejected() -> None:
    desk = Desk("x = ")
    desk.offer("foo()")
    desk.events += desk.tracker.dismissed("s", desk.now)
    assert desk.outcome() == ("rejected", 0, "dismissed")


def test_deleting_it_right_after_accepting_is_rejected() -> None:
    desk = Desk("x = ")
    desk.offer("foo()")
    desk.insert(4, "foo()")
    desk.replace(5, 9, "")
    desk.replace(4, 5, "")
    desk.wait(20)
    assert desk.outcome() == ("rejected", 0, "undone")


def test_deleting_it_where_it_had_replaced_something_is_rejected() -> None:
    desk = Desk("f()")
    desk.offer("a, b)", 2)
    desk.replace(2, 3, "a, b)")
    desk.replace(2, 7, "")
    desk.wait(20)
    assert desk.outcome() == ("rejected", 0, "deleted_after_accept")


def test_editing_elsewhere_is_ignored() -> None:
    desk = Desk("x = \ny\n")
    desk.offer("foo()", 4)
    desk.insert(6, "z")
    desk.wait(2)
    assert desk.outcome() == ("ignored", 0, "edited_elsewhere")


def test_an_edit_elsewhere_that_belongs_to_the_acceptance_does_not_hide_it() -> None:
    desk = Desk("import a\nx = ")
    desk.offer("foo()")
    desk.insert(0, "import foo\n")
    desk.insert(len(desk.content), "foo()")
    desk.wait(4)
    assert desk.outcome() == ("accepted", 5, "inserted_at_once")


def test_doing_nothing_for_long_is_ignored() -> None:
    desk = Desk("x = ")
    desk.offer("foo()")
    desk.wait(70)
    assert desk.outcome() == ("ignored", 0, "timeout")


def test_a_newer_suggestion_supersedes() -> None:
    desk = Desk("x = ")
    desk.offer("foo()")
    desk.offer("bar()", name="t")
    assert desk.outcome() == ("superseded", 0, "replaced")


def test_the_same_text_offered_again_while_it_is_typed_continues_it() -> None:
    desk = Desk("x = ")
    desk.offer("foo()")
    desk.type(4, "fo")
    desk.offer("o()", name="t")
    desk.insert(6, "o()")
    desk.wait(4)
    assert desk.outcome("s") == ("superseded", 2, "continued")
    assert desk.outcome("t") == ("accepted", 3, "inserted_at_once")


@pytest.mark.parametrize("first", ["edit", "report"])
def test_the_clients_report_confirms_whichever_comes_first(first: str) -> None:
    desk = Desk("x = ")
    desk.offer("foo()")
    if first == "edit":
        desk.insert(4, "foo()")
        desk.events += desk.tracker.accepted("s", None, desk.now)
    else:
        desk.events += desk.tracker.accepted("s", None, desk.now)
        desk.insert(4, "foo()")
    desk.wait(4)
    assert desk.outcome() == ("accepted", 5, "client")
    assert desk.outcomes()[0].confidence == 1.0


def test_a_reported_word_is_counted_once() -> None:
    desk = Desk("x = ")
    desk.offer("foo.bar(1)")
    desk.events += desk.tracker.accepted("s", 4, desk.now)
    desk.insert(4, "foo.")
    desk.close()
    assert desk.outcome() == ("partial", 4, "client")


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
