"""The simulated user's rule, case by case, and who is shown at equal show-rate."""

import pytest

from model.evaluation.replay_user import Answer, accepts, best


def answer(id: str, offer: str, truth: str = "return total", margin: float = 1.0) -> Answer:
    return Answer(id, "a.py", offer, truth, margin, {}, 4.0, 2)


@pytest.mark.parametrize(
    ("offer", "truth", "accepted", "kept"),
    [
        ("return total", "return total", True, 12),
        ("return total  ", "return total", True, 12),
        ("return tota", "return total", True, 11),
        ("return total1", "return total", True, 12),  # 12 of 13 characters
        ("return torn off", "return total", False, 0),  # 9 of 15
        ("x", "x", True, 1),  # short, but all of it
        ("x", "xy", False, 0),
        ("xy", "xyz", False, 0),
        ("xyz", "xyzzy", True, 3),
        ("", "", False, 0),
        ("  ", "  ", False, 0),
        ("total", "return total", False, 0),
    ],
)
def test_an_offer_is_accepted_for_what_it_spares(offer: str, truth: str, accepted: bool, kept: int):
    assert accepts(offer, truth) is accepted
    assert answer("a", offer, truth).kept == kept


def test_what_the_filters_refused_is_never_shown():
    assert not answer("a", "", margin=5.0).shown
    assert not answer("a", "x = 1", margin=-0.1).shown
    assert answer("a", "x = 1", margin=0.0).shown


def test_the_best_offers_are_shown_however_low_they_are():
    answers = [answer("a", "x", margin=-3.0), answer("b", "", margin=9.0), answer("c", "x", margin=-1.0)]
    assert best(answers, 1) == {"c"}
    assert best(answers, 3) == {"a", "c"}


def test_equal_margins_are_told_apart_the_same_way_every_time():
    answers = [answer(id, "x") for id in "cab"]
    assert best(answers, 2) == {"a", "b"}
