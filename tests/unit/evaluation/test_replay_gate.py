"""The gate is fitted on earlier days alone, on what was shown, and only where that is enough."""

import random

from model.completion import Completion, Cost
from model.evaluation.replay_gate import judged, looked_at, rule_margin
from model.evaluation.replay_user import Answer
from model.gate import LEAST_DECISIONS, rule_probability, threshold

COST = Cost(0, 0, 0, 0.0, 0.0)


def answer(number: int, good: bool, sure: bool, shown: bool = True) -> Answer:
    """One whose first token tells whether it is good, which the written rule does not look at."""
    logprobs = (-0.1, -0.8) if sure else (-0.8, -0.1)
    made = Completion("return total", (1, 2), logprobs, "line", "tiny", None, COST)
    found = looked_at(made, made.text, "def total():\n    ", "\n")
    truth = "return total" if good else "raise ValueError"
    margin = rule_margin(found) if shown else -1.0
    return Answer(f"{number:04}", "a.py", made.text, truth, margin, found, 1.0, 1)


def day(count: int, seed: int, shown: bool = True) -> list[Answer]:
    draw = random.Random(seed)
    made = []
    for number in range(count):
        sure = draw.random() < 0.5
        made.append(answer(number, good=draw.random() < (0.9 if sure else 0.1), sure=sure, shown=shown))
    return made


def test_the_margin_is_above_zero_where_the_rule_shows():
    found = answer(0, good=True, sure=True).features
    assert (rule_margin(found) >= 0) == (rule_probability(found) >= threshold(found, "balanced"))
    unsure = {**found, "log_odds": -8.0}
    assert rule_margin(unsure) < 0


def test_few_decisions_change_nothing():
    days = [day(LEAST_DECISIONS // 2, 1), day(20, 2)]
    assert judged([days]) == [days]


def test_a_gate_that_was_fitted_tells_good_offers_from_bad_ones():
    days = [day(2 * LEAST_DECISIONS, 1), day(50, 2)]
    ((first, second),) = judged([days])
    assert first == days[0]
    sure = [one.margin for one in second if one.features["first_logprob"] > -0.5]
    unsure = [one.margin for one in second if one.features["first_logprob"] < -0.5]
    assert min(sure) > max(unsure)
    assert {one.margin for one in days[1]} == {days[1][0].margin}


def test_a_team_learns_together_but_never_from_the_same_day():
    few = LEAST_DECISIONS // 2 + 20
    one, other = [day(few, 1), day(50, 2), day(9, 5)], [day(few, 3), day(50, 4)]
    (first, second, third), _ = judged([one, other])
    assert first == one[0]
    assert second != one[1]
    assert third != one[2]


def test_what_was_hidden_taught_nothing():
    days = [day(2 * LEAST_DECISIONS, 1, shown=False), day(50, 2)]
    assert judged([days]) == [days]
