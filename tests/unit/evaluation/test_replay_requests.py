"""Requests are the same for every arm and hold nothing that came later; examples hold all that was written."""

import random
from itertools import pairwise
from pathlib import Path

import pytest

from model.evaluation.completion_cases import Sizes
from model.evaluation.replay_history import Snapshot, days_of
from model.evaluation.replay_requests import PER_HUNK, SHORTEST, User, UserDay, cursor, evenly
from model.prompt import Layout
from model.tokens import Tokens
from tests.unit.evaluation.test_completion_cases import MILL, module

SIZES = Sizes(documents=2, document=96, tail=120, suffix=32)
FIRST = dict(MILL.files)
SECOND = {
    **FIRST,
    "mill/flour.py": FIRST["mill/flour.py"].replace("return total", "return total + grain_3(total, 1)"),
    "mill/grain.py": FIRST["mill/grain.py"].replace("total += second", "total += second * second"),
}
THIRD = {**SECOND, "mill/oven.py": module("oven", "from mill.grain import grain_3\n\n\n")}
SNAPSHOTS = [Snapshot("1", FIRST), Snapshot("2", SECOND), Snapshot("3", THIRD)]


@pytest.fixture(scope="module")
def layout(tiny_base: Path) -> Layout:
    return Layout(Tokens(tiny_base), SIZES.budget)


def replayed(layout: Layout, seed: int = 0, requests: int = 100) -> tuple[UserDay, ...]:
    days = days_of(SNAPSHOTS, hunks=20, days=4, seed=seed)
    return User("mill", seed, layout, SIZES).days(days, SNAPSHOTS[-1], requests)


def test_the_same_seed_asks_the_same_and_another_one_something_else(layout: Layout):
    assert replayed(layout) == replayed(layout)
    asked = [{ask.request for day in replayed(layout, seed) for ask in day.asks} for seed in (0, 1)]
    assert asked[0] != asked[1]


def test_a_request_and_its_truth_are_a_line_of_the_new_version(layout: Layout):
    for day, files in zip(replayed(layout), (SECOND, THIRD), strict=True):
        assert day.asks
        for ask in day.asks:
            line = ask.request.prefix.rsplit("\n", 1)[-1] + ask.truth
            assert line in files[ask.request.path].split("\n")
            assert files[ask.request.path].startswith(ask.request.prefix + ask.truth)
            assert ask.request.suffix.startswith("\n")


def test_below_the_cursor_stands_the_old_text(layout: Layout):
    asks = [ask for ask in replayed(layout)[0].asks if ask.request.path == "mill/flour.py"]
    assert asks
    for ask in asks:
        assert FIRST["mill/flour.py"].endswith(ask.request.suffix[1:])
        assert "grain_3(total, 1)" not in ask.request.suffix


def test_documents_are_other_files_as_they_were_then(layout: Layout):
    for day, (old, new) in zip(replayed(layout), ((FIRST, SECOND), (SECOND, THIRD)), strict=True):
        for ask in day.asks:
            assert ask.request.documents
            for document in ask.request.documents:
                assert document.path != ask.request.path
                assert document.text in old.get(document.path, "") or document.text in new[document.path]


def test_the_newest_edits_are_those_of_hunks_before(layout: Layout):
    first, *later = [ask for day in replayed(layout) for ask in day.asks]
    assert first.memory == ()
    like, last = later[-1].memory
    assert (like.path, last.path) == ("similar_edits.py", "recent_edits.py")
    assert last.text.split("\n", 1)[0].startswith(("# mill/", " "))
    assert last.text not in later[-1].request.prefix[-200:]
    assert all(len(layout.document(made)) <= SIZES.document for ask in later for made in ask.memory)


def test_fewer_requests_are_a_sample_and_examples_stay_whole(layout: Layout):
    many, few = replayed(layout)[0], replayed(layout, requests=3)[0]
    assert len(few.asks) == 3
    assert {ask.request.prefix.rsplit("\n", 1)[0] for ask in few.asks} <= {
        ask.request.prefix.rsplit("\n", 1)[0] for ask in many.asks
    }
    assert few.examples == many.examples


def test_no_hunk_is_asked_about_more_often_than_others(layout: Layout):
    hunks = [ask.id.rsplit(".", 1)[0] for day in replayed(layout) for ask in day.asks]
    assert max(hunks.count(hunk) for hunk in hunks) <= PER_HUNK


def test_examples_are_all_that_was_written_in_order(layout: Layout):
    days = replayed(layout)
    oven = [example for example in days[1].examples if example.path == "mill/oven.py"]
    last = oven[-1]
    assert (last.prefix + last.target).rstrip() == THIRD["mill/oven.py"].rstrip()
    for one, following in pairwise(oven):
        assert following.prefix.startswith(one.prefix + one.target)
    assert [example.goes_on for example in oven] == [True] * (len(oven) - 1) + [False]
    times = [example.at for day in days for example in day.examples]
    assert times == sorted(times)
    assert max(example.at for example in days[0].examples) < min(example.at for example in days[1].examples)
    assert all(example.target.strip() and example.documents for day in days for example in day.examples)


def test_whether_a_line_stands_in_the_last_version_is_known_for_those_before_it(layout: Layout):
    first, second = replayed(layout)
    assert all(ask.last is True for ask in first.asks)
    assert all(ask.last is None for ask in second.asks)


def test_cursors_stand_behind_the_indentation_or_behind_a_token():
    line = "        total = first(second)  "
    places = {cursor(line, random.Random(seed)) for seed in range(200)}
    assert min(places) == 8
    assert max(places) <= len(line.rstrip()) - SHORTEST
    assert all(place == 8 or line[:place].endswith(("total", " ", "=", "first", "(", "second")) for place in places)
    assert {cursor("x = 1", random.Random(seed)) for seed in range(20)} == {0, 1}


def test_a_sample_is_spread_and_in_order():
    for seed in range(20):
        chosen = evenly(range(100), 10, random.Random(seed))
        assert [number // 10 for number in chosen] == list(range(10))
    assert evenly("abc", 5, random.Random(0)) == ["a", "b", "c"]
