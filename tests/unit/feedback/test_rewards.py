"""A reward is a sum of named parts that anybody can check, and can be had again by the rules of any version."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.records import Check, CheckKind, Outcome, OutcomeKind, Survival
from feedback.rewards import (
    FAULT_COSTS,
    IGNORED_COST,
    LIKENESS_WEIGHT,
    MOST_FAULTS,
    REJECTED_COST,
    REVERSAL_COST,
    SHOW_COST,
    Happened,
    Reward,
    edit_likeness,
    explain,
    reward,
)
from feedback.survival import kept_share, unreverted_share
from inkling.errors import UserError


def outcome(kind: OutcomeKind, length: int = 0, rule: str = "rule") -> Outcome:
    return Outcome("s", 1.0, kind, length, rule, 1.0)


def part(value: Reward, name: str) -> float:
    (found,) = [component.value for component in value.components if component.name == name]
    return found


LOOKS = (Survival("s", 6, 5, 1.0), Survival("s", 31, 30, 0.5))


def test_accepted_text_counts_as_far_as_it_survived() -> None:
    value = reward(Happened(outcome("accepted", 10), "x" * 10, "", "y", LOOKS))
    assert (part(value, "acceptance"), part(value, "retention")) == (10.0, -5.0)
    assert value.total == 5.0 - SHOW_COST


def test_a_part_counts_as_a_part() -> None:
    assert reward(Happened(outcome("partial", 3), "x" * 10)).total == 3.0 - SHOW_COST


@pytest.mark.parametrize(("kind", "cost"), [("rejected", REJECTED_COST), ("ignored", IGNORED_COST), ("superseded", 0)])
def test_a_refused_display_costs_and_a_hidden_one_does_not(kind: OutcomeKind, cost: float) -> None:
    assert reward(Happened(outcome(kind), "abc", "", "")).total == -cost
    assert reward(Happened(outcome(kind), "abc", "", "", shown=False)).total == 0.0


def test_a_near_miss_is_worth_more_than_a_far_one() -> None:
    near = reward(Happened(outcome("rejected"), "foo(bar)", "", "foo(baz)")).total
    assert near > reward(Happened(outcome("rejected"), "foo(bar)", "", "while 1:")).total


def test_what_stood_there_already_makes_no_edit_alike() -> None:
    rest = ")  # a long remark that nobody touched"
    assert edit_likeness(rest, "abc" + rest, "xyz" + rest) == 0.0
    assert edit_likeness(rest, "abc" + rest, "abc" + rest) == 1.0
    assert edit_likeness(rest, "abc" + rest, rest) == 0.0


@given(st.text(), st.text(), st.text())
def test_the_likeness_of_edits_is_a_share(before: str, offered: str, settled: str) -> None:
    assert 0.0 <= edit_likeness(before, offered, settled) <= 1.0
    assert edit_likeness(before, offered, offered) == 1.0


@given(st.text(), st.text(), st.text())
def test_a_rejected_display_never_pays(offered: str, rest: str, settled: str) -> None:
    assert reward(Happened(outcome("rejected"), offered, rest, settled)).total < 0


def test_taking_back_costs_more_than_sending_away() -> None:
    sent_away = reward(Happened(outcome("rejected"), "abc")).total
    taken_back = reward(Happened(outcome("rejected", rule="undone"), "abc")).total
    assert taken_back == sent_away - REVERSAL_COST


def test_a_late_reversal_costs_and_nothing_is_retained() -> None:
    value = reward(Happened(outcome("accepted", 10), "x" * 10, survival=[Survival("s", 301, 300, 0.9, 0.0)]))
    assert (part(value, "retention"), part(value, "reversal")) == (-10.0, -REVERSAL_COST)


@pytest.mark.parametrize("kind", ["syntax", "lint", "tests"])
def test_new_faults_cost_up_to_a_bound(kind: CheckKind) -> None:
    def cost(before: int, after: int) -> float:
        checks = [Check("s", 1, kind, before, after)]
        return part(reward(Happened(outcome("accepted", 3), "abc", checks=checks)), kind)

    assert cost(1, 1) == 0.0
    assert cost(1, 3) == -2 * FAULT_COSTS[kind]
    assert cost(0, 99) == -MOST_FAULTS * FAULT_COSTS[kind]
    assert cost(2, 0) == (2 * FAULT_COSTS[kind] if kind == "tests" else 0.0)


def test_the_explanation_adds_up() -> None:
    value = reward(Happened(outcome("rejected"), "abcd", "", "abcd"))
    assert sum(component.value for component in value.components) == value.total == LIKENESS_WEIGHT - REJECTED_COST
    lines = explain(value)
    assert lines[2] == "show cost: -5.00 characters (rejected display)"
    assert lines[3] == "likeness: +4.00 characters (100% like the user's own edit)"
    assert lines[-1] == "reward (version 2): -1.00 characters"
    assert len(lines) == len(value.components) + 1


def test_the_first_version_can_be_had_again() -> None:
    value = reward(Happened(outcome("accepted", 10), "x" * 10, "", "y", LOOKS), version=1)
    assert [component.name for component in value.components] == ["retained characters", "show cost", "likeness"]
    assert (value.version, value.total) == (1, 5.0)
    assert reward(Happened(outcome("rejected"), "abcd", ")", "abcd)"), version=1).total == -1.0


def test_a_version_that_never_was_is_named() -> None:
    with pytest.raises(UserError, match="there are 1, 2"):
        reward(Happened(outcome("ignored"), "a"), version=9)


@pytest.mark.parametrize(
    ("accepted", "now", "kept"),
    [("abcdefgh", "abcdefgh", 1.0), ("abcdefgh", "", 0.0), ("abcdefgh", "abcd", 0.2), ("ab", "xaby", 1.0), ("", "", 1)],
)
def test_the_kept_share_counts_four_grams(accepted: str, now: str, kept: float) -> None:
    assert kept_share(accepted, now) == pytest.approx(kept)


@given(st.text(), st.text(), st.text())
def test_text_added_around_takes_nothing_away(before: str, accepted: str, after: str) -> None:
    assert kept_share(accepted, before + accepted + after) == 1.0


@pytest.mark.parametrize(
    ("before", "after", "now", "share"),
    [("", "foo()", "", 0.0), ("", "foo()", "foo()", 1.0), (")", "foo())", ")", 0.0), ("", "foo()", "bar(1)", 1.0)],
)
def test_going_back_to_what_was_is_a_reversal(before: str, after: str, now: str, share: float) -> None:
    assert unreverted_share(before, after, now) == share


@given(st.text(), st.text(), st.text())
def test_the_unreverted_share_is_a_share(before: str, after: str, now: str) -> None:
    assert 0.0 <= unreverted_share(before, after, now) <= 1.0
