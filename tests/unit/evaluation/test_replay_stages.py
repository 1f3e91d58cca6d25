"""What single stages read: offers put where the user was asked, and files committed when they are done."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, pairwise

import pytest

from feedback.changes import Change
from feedback.examples import Example
from model.completion import CompletionRequest
from model.evaluation.replay_history import Day, days_of
from model.evaluation.replay_requests import Ask, UserDay, settled_at
from model.evaluation.replay_stages import commits, with_offers
from model.evaluation.replay_user import Answer
from model.training.curriculum import difficulty_of
from model.training.section_tasks import sections_of
from tests.unit.evaluation.test_replay_requests import FIRST, SECOND, SNAPSHOTS, THIRD

ABOVE = "def total():\n"
LINES = ("    first = one(1)", "    second = two(2)")


def day(cursor: int = 4) -> UserDay:
    """Two lines, both asked for behind their indentation; learned from at one cursor in the first of them."""
    text = "\n".join(LINES)
    example = Example(
        "shop 0 0.0.0", 0.0, "shop", "a.py", "python", ABOVE + text[:cursor], "\n", text[cursor:], "", "ignored", 0.0
    )
    places = ((0, ABOVE), (1, f"{ABOVE}{LINES[0]}\n"))
    asks = tuple(
        Ask(f"shop 0 0.0.{line}", CompletionRequest("a.py", "python", f"{above}    ", "\n"), LINES[line].strip())
        for line, above in places
    )
    return UserDay("1 to 2", asks, (example,))


def offering(*offers: str, margin: float = 1.0) -> list[Answer]:
    return [
        Answer(f"shop 0 0.0.{line}", "a.py", offer, LINES[line].strip(), margin, {}, 1.0, 3)
        for line, offer in enumerate(offers)
    ]


def test_an_example_gets_the_text_that_would_stand_there_had_every_offer_been_taken():
    (found,) = with_offers(day(), offering("first = zero()", "second = two(2)"))
    assert found == replace(*day().examples, offered="first = zero()\n    second = two(2)", outcome="rejected")
    assert difficulty_of(found) == "near"


def test_offers_that_the_user_accepts_make_an_accepted_example():
    (found,) = with_offers(day(), offering("first = one(1)", "second = two(2)"))
    assert (found.offered, found.outcome) == (found.target, "accepted")


@pytest.mark.parametrize("answers", [offering("", ""), offering("first = zero()", "second = 2", margin=-1.0), []])
def test_what_was_not_shown_is_no_offer(answers: Sequence[Answer]):
    assert with_offers(day(), answers) == list(day().examples)


def test_an_offer_from_before_the_cursor_counts_if_the_user_could_type_through_it():
    cursor = len("    first = ")
    (through,) = with_offers(day(cursor), offering("first = zero()"))
    assert (through.offered, through.outcome) == ("zero()\n    second = two(2)", "rejected")
    assert with_offers(day(cursor), offering("last = one(1)")) == list(day(cursor).examples)
    assert with_offers(day(cursor), offering("first =")) == list(day(cursor).examples)


def history(hunks: int = 20) -> tuple[Day, ...]:
    return days_of(SNAPSHOTS, hunks=hunks, days=8, seed=0)


def test_a_file_is_committed_when_its_last_hunk_of_the_day_is_written():
    found = list(commits("mill", history()))
    assert {change.path: (change.before, change.after) for change in found} == {
        "mill/flour.py": (FIRST["mill/flour.py"], SECOND["mill/flour.py"]),
        "mill/grain.py": (FIRST["mill/grain.py"], SECOND["mill/grain.py"]),
        "mill/oven.py": ("", THIRD["mill/oven.py"]),
    }
    last = {
        hunk.path: settled_at(number, place)
        for number, day in enumerate(history())
        for place, hunk in enumerate(day.hunks)
    }
    assert [(change.path, change.at) for change in found] == list(last.items())


def test_a_file_that_takes_several_days_is_committed_on_each_of_them():
    several = list(commits("mill", history(hunks=3)))
    assert len(several) > 3
    for _, parts in groupby(sorted(several, key=path), key=path):
        assert all(following.before == one.after for one, following in pairwise(parts))


def path(change: Change) -> str:
    return change.path


def test_commits_from_before_what_is_measured_on_become_sections():
    first, *_ = found = list(commits("mill", history()))
    sections = sections_of([], found, until=first.at + 0.5, measured=[])
    assert {section.commit for section in sections.usable} == {first.commit}
    assert {section.request.repository for section in sections.usable} == {"mill"}
    assert sections.dropped["newer"] == len(found) - 1
