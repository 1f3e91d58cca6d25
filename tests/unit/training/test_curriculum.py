"""The newest examples, some old ones again, rare languages more often; nothing silently."""

from collections import Counter
from dataclasses import replace

import pytest

from model.training.curriculum import balanced, difficulty_of, windowed
from tests.unit.training.tiny_language import HABITS, written


def test_all_are_taken_while_they_fit() -> None:
    examples = written(HABITS, 20)
    assert windowed(examples[::-1], 20, 0.1, 0) == examples


def test_beyond_the_window_some_old_ones_are_read_again() -> None:
    examples = written(HABITS, 200)
    chosen = windowed(examples, 100, 0.1, seed=3)
    assert len(chosen) == 100
    assert chosen[-90:] == examples[-90:]
    assert all(example in examples[:110] for example in chosen[:10])
    assert chosen == sorted(chosen, key=lambda example: example.at)
    assert windowed(examples, 100, 0.1, seed=3) == chosen != windowed(examples, 100, 0.1, seed=4)


def test_a_rare_language_is_read_more_than_once_and_the_common_one_loses_nothing() -> None:
    languages = ["python"] * 95 + ["typescript"] * 5
    items = list(range(100))
    found, repeats = balanced(items, languages)
    assert found[:100] == items
    assert repeats == {"typescript": 7}  # 95 * (5 / 95) ** 0.7 is 12
    assert Counter(found[100:]).most_common(1)[0][1] <= 2


def test_none_is_read_more_than_three_times() -> None:
    found, repeats = balanced(list(range(1001)), ["python"] * 1000 + ["lua"])
    assert found.count(1000) == 3
    assert repeats == {"lua": 2}


def test_one_language_alone_is_left_as_it_is() -> None:
    assert balanced([1, 2], ["python", "python"]) == ([1, 2], {})
    assert balanced([], []) == ([], {})


@pytest.mark.parametrize(
    ("offered", "difficulty"),
    [
        ("", "not offered"),
        ("return total", "right"),  # the user typed on behind it
        ("return total * price  ", "right"),
        ("return total + price", "near"),
        ("zzzzzzzzzzzzzzzzzzzzz", "far"),
        ("pass", "near"),  # too short to be far from anything
    ],
)
def test_how_near_an_offer_was(offered: str, difficulty: str) -> None:
    example = replace(written(HABITS, 1)[0], offered=offered, target="return total * price")
    assert difficulty_of(example) == difficulty
