"""The gate: surer suggestions are likelier shown, quieter modes show fewer, and every choice says how it came about."""

import math
import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.completion import Completion, Cost
from model.gate import (
    FEATURES,
    FittedGate,
    Gate,
    Mode,
    Seen,
    Situation,
    features,
    fit,
    rule_probability,
    show_probability,
    threshold,
)

MODES: tuple[Mode, ...] = ("eager", "balanced", "quiet")
TEXTS = st.text(alphabet="ab()\n ", min_size=1, max_size=60)


def completion(logprob: float, text: str = "x = 1") -> Completion:
    return Completion(text, (1,), (logprob,), "line", "base", None, Cost(0, 1, 1, 0.0, 0.0))


def seen(logprob: float, text: str = "x = 1", **situation: object) -> dict[str, float]:
    return features(completion(logprob, text), text, Situation(**situation))  # type: ignore[arg-type]


@given(st.floats(-20, 0), st.floats(-20, 0), TEXTS)
def test_a_surer_suggestion_is_never_less_likely(one: float, other: float, text: str):
    assert rule_probability(seen(max(one, other), text)) >= rule_probability(seen(min(one, other), text))


def test_more_lines_are_less_likely():
    assert rule_probability(seen(-0.5, "a\nb\nc")) < rule_probability(seen(-0.5, "abc"))


@given(st.floats(-20, 0), TEXTS, st.integers(0, 9))
def test_each_mode_shows_no_more_than_the_louder_one(logprob: float, text: str, run: int):
    found = seen(logprob, text, rejected_run=run)
    p_accept = rule_probability(found)
    assert show_probability(found, p_accept, "eager") == 1.0
    balanced, quiet = (threshold(found, mode) for mode in MODES[1:])
    assert 0.0 < balanced <= quiet <= 1.0


def test_the_threshold_is_where_a_display_pays():
    found = seen(-0.5, "x" * 30)
    limit = threshold(found, "balanced")
    assert limit * (0.7 * 30 - 0.5) == pytest.approx((1 - limit) * 3.0)


def test_a_longer_text_pays_at_a_lower_probability():
    limits = [threshold(seen(-0.5, "x" * length), "balanced") for length in (2, 5, 20, 80)]
    assert all(one > two for one, two in pairwise(limits))


def test_a_run_of_rejections_makes_it_quieter_and_one_does_not():
    limits = [threshold(seen(-0.5, rejected_run=run), "balanced") for run in range(5)]
    assert limits[0] == limits[1] < limits[2] < limits[3] < limits[4]


def test_what_decided_is_named_and_what_it_saw_is_kept():
    decision = Gate("quiet").decide(completion(-0.01, "x" * 40), "x" * 40)
    assert decision.rule.removesuffix("-explored") == "rule-quiet"
    assert tuple(decision.features) == FEATURES


@given(st.floats(-8, 0), st.sampled_from(MODES), st.floats(0, 1, exclude_max=True), TEXTS)
def test_the_propensity_is_the_probability_of_the_choice(logprob: float, mode: Mode, draw: float, text: str):
    decision = Gate(mode, chance=lambda: draw).decide(completion(logprob, text), text)
    p_show = show_probability(decision.features, decision.p_accept, mode)
    assert decision.shown == (draw < p_show)
    assert decision.propensity == (p_show if decision.shown else 1 - p_show)
    assert 0 < decision.propensity <= 1


def test_exploration_happens_as_often_as_it_says():
    chance = random.Random(1)
    gate = Gate("balanced", chance=chance.random)
    sure = [gate.decide(completion(-0.05, "x" * 30), "x" * 30) for _ in range(5000)]
    hidden = [decision for decision in sure if not decision.shown]
    assert len(hidden) / len(sure) == pytest.approx(0.02, abs=0.006)
    assert {one.rule for one in hidden} == {"rule-balanced-explored"}
    assert [one.propensity for one in hidden] == pytest.approx([0.02] * len(hidden))


def user(count: int, seed: int = 1) -> list[Seen]:
    """A user who takes long suggestions at the start of a line, however sure the model is."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        start = chance.random() < 0.5
        found = seen(-chance.random() * 2, "x" * chance.randint(1, 60), before="" if start else "x = ")
        p = 1 / (1 + math.exp(-(4 * start - 3 + found["characters"] * 0.5)))
        made.append(Seen(float(number), found, 0.98, chance.random() < p))
    return made


def test_too_few_decisions_leave_the_written_rule():
    why = fit(user(150))
    assert isinstance(why, str)
    assert "needs 200" in why


def test_a_fitted_gate_learns_the_user_and_is_calibrated():
    gate = fit(user(3000))
    assert isinstance(gate, FittedGate)
    assert gate.loss < gate.rule_loss
    later = user(4000, seed=2)
    promised = [(gate.probability(one.features), one.taken) for one in later]
    for low in (0.0, 0.25, 0.5, 0.75):
        held = [(p, taken) for p, taken in promised if low <= p < low + 0.25]
        if len(held) > 200:
            assert sum(p for p, _ in held) / len(held) == pytest.approx(sum(t for _, t in held) / len(held), abs=0.06)


def test_a_gate_that_is_no_better_than_the_rule_is_refused():
    chance = random.Random(3)
    made = []
    for number in range(600):
        found = seen(-chance.random() * 4)
        made.append(Seen(float(number), found, 1.0, chance.random() < rule_probability(found)))
    found = fit(made)
    assert isinstance(found, str) or found.loss < found.rule_loss


def test_a_fitted_gate_comes_back_from_disk_the_same(tmp_path: Path):
    gate = fit(user(1000))
    assert isinstance(gate, FittedGate)
    gate.save(tmp_path / "gate.json")
    assert FittedGate.load(tmp_path / "gate.json") == gate
    decision = Gate("balanced", gate).decide(completion(-0.5), "x = 1")
    assert decision.rule.startswith("fitted-balanced")
    assert decision.p_accept == gate.probability(decision.features)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"features": ["other"]}', "not json"])
def test_a_file_that_is_no_gate_leaves_the_written_rule(tmp_path: Path, text: str):
    (tmp_path / "gate.json").write_text(text)
    assert FittedGate.load(tmp_path / "gate.json") is None
    assert FittedGate.load(tmp_path / "missing.json") is None
