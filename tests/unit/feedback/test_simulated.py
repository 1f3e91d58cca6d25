"""On traces whose truth is known, the outcome machine is right in at least 99.5% of cases."""

import random

import pytest

from tests.unit.feedback import habits
from tests.unit.feedback.simulated_user import HABITS, misjudged, perform, simulate

assert habits
SOMETIMES_UNKNOWABLE = "takes_the_next_word_from_the_list_unbegun"


def test_at_least_995_of_1000_are_told_right() -> None:
    traces = [simulate(seed) for seed in range(1500)]
    wrong = misjudged(traces)
    assert sum(wrong.values()) <= 0.005 * len(traces), wrong


@pytest.mark.parametrize("name", sorted(set(HABITS) - {SOMETIMES_UNKNOWABLE}))
def test_every_habit_is_told_right(name: str) -> None:
    traces = [perform(name, random.Random(seed)) for seed in range(30)]
    assert misjudged(traces) == {}
