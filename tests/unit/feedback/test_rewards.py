"""A reward is a sum of named parts that anybody can check."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.records import Outcome, OutcomeKind, Survival
from feedback.rewards import IGNORED_COST, LIKENESS_WEIGHT, REJECTED_COST, explain, reward
from feedback.survival import kept_share


def outcome(kind: OutcomeKind, length: int = 0) -> Outcome:
    return Outcome("s", 1.0, kind, length, "rule", 1.0)


def test_accepted_text_counts_as_far_as_it_survived() -> None:
    survival = [Survival("s", 6, 5, 1.0), Survival("s", 31, 30, 0.5)]
    assert reward(outcome("accepted", 10), "x" * 10, "y", survival).total == 5.0


def test_a_part_counts_as_a_part() -> None:
    assert reward(outcome("partial", 3), "x" * 10).total == 3.0


@pytest.mark.parametrize(("kind", "cost"), [("rejected", REJECTED_COST), ("ignored", IGNORED_COST)])
def test_a_refused_display_costs_and_a_hidden_one_does_not(kind: OutcomeKind, cost: float) -> None:
    assert reward(outcome(kind), "abc", "xyz").total == -cost
    assert reward(outcome(kind), "abc", "xyz", shown=False).total == 0.0


def test_a_near_miss_is_worth_more_than_a_far_one() -> None:
    near = reward(outcome("rejected"), "foo(bar)", "foo(baz)").total
    assert near > reward(outcome("rejected"), "foo(bar)", "while 1:").total


@given(st.text(), st.text())
def test_a_rejected_display_never_pays(offered: str, settled: str) -> None:
    assert reward(outcome("rejected"), offered, settled).total < 0


def test_the_explanation_adds_up() -> None:
    value = reward(outcome("rejected"), "abcd", "abcd")
    assert sum(part.value for part in value.components) == value.total == LIKENESS_WEIGHT - REJECTED_COST
    assert explain(value) == [
        "retained characters: +0.00 characters (rejected: nothing was taken over)",
        "show cost: -5.00 characters (rejected display)",
        "likeness: +4.00 characters (100% like the settled text)",
        "reward (version 1): -1.00 characters",
    ]


@pytest.mark.parametrize(
    ("accepted", "now", "kept"),
    [("abcdefgh", "abcdefgh", 1.0), ("abcdefgh", "", 0.0), ("abcdefgh", "abcd", 0.2), ("ab", "xaby", 1.0), ("", "", 1)],
)
def test_the_kept_share_counts_four_grams(accepted: str, now: str, kept: float) -> None:
    assert kept_share(accepted, now) == pytest.approx(kept)


@given(st.text(), st.text(), st.text())
def test_text_added_around_takes_nothing_away(before: str, accepted: str, after: str) -> None:
    assert kept_share(accepted, before + accepted + after) == 1.0
