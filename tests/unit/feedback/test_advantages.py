"""An advantage is the reward above the context's baseline, and a suggestion is not its own baseline."""

import pytest

from feedback.advantages import SHRINKAGE, Advantage, advantages, explain
from feedback.reading import Entry
from feedback.records import Outcome


def entry(id: str, length: int, language: str = "python", prefix: str = "x = ", suffix: str = "") -> Entry:
    outcome = Outcome(id, 1.0, "accepted", length, "client", 1.0)
    return Entry(
        id,
        1.0,
        "/w",
        "a.py",
        language,
        1,
        0,
        0,
        length,
        "b",
        None,
        0.1,
        (),
        False,
        prefix,
        suffix,
        "x",
        outcome=outcome,
    )


def test_a_lone_suggestion_is_compared_with_nothing() -> None:
    (found,) = advantages([entry("a", 8)]).values()
    assert (found.others, found.baseline) == (0, 0.0)
    assert found.value == 7.5


def test_equal_rewards_in_a_full_context_are_no_advantage() -> None:
    found = advantages([entry(str(number), 10) for number in range(2000)])
    assert all(one.value == pytest.approx(0.0, abs=0.1) for one in found.values())


def test_a_context_is_drawn_to_its_language_the_more_the_smaller_it_is() -> None:
    many = [entry(str(number), 20) for number in range(500)]
    lone = entry("lone", 5, prefix="", suffix="")
    found = advantages([*many, lone])
    assert found["lone"].context == "python, at the start of a line"
    assert found["lone"].others == 0
    assert found["lone"].baseline == pytest.approx(19.5, abs=0.5)
    assert found["lone"].value == pytest.approx(-15, abs=0.5)


def test_what_has_no_reward_has_no_advantage() -> None:
    undecided = Entry("u", 1.0, "/w", "a.py", "python", 1, 0, 0, 3, "b", None, 0.1, (), False)
    assert advantages([undecided]) == {}


def test_it_is_told_line_by_line() -> None:
    assert SHRINKAGE > 0
    assert explain(Advantage(1.5, 2.0, "python, within a line", 12)) == [
        "baseline: +2.00 characters (12 others: python, within a line)",
        "advantage: +1.50 characters",
    ]
