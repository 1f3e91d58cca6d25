"""What a user did is told from edits alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.records import Outcome, Settled, Survival
from tests.unit.feedback.desk import Desk

TEXTS = st.text(alphabet="ab()\"'\r\n😀é 𝒳\t", min_size=1, max_size=20)


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
