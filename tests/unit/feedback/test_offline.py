"""Another gate is judged on logged decisions: right where they tell enough, and not at all where they do not."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.offline import LEAST_EFFECTIVE, Estimate, Logged, compare, evaluate


def world(count: int, seed: int, other: float, logged: float = 0.8) -> list[Logged]:
    """Displays earn 2 characters in half of the cases and cost 1 in the others; the gate shows at random."""
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        good = chance.random() < 0.5
        shown = chance.random() < logged
        reward = (2.0 if good else -1.0) if shown else 0.0
        made.append(Logged(shown, logged if shown else 1 - logged, reward, other))
    return made


def test_the_estimate_is_near_the_truth() -> None:
    found = evaluate(world(20_000, 1, other=0.4))
    assert found.ips == pytest.approx(0.4 * 0.5, abs=0.03)
    assert found.snips == pytest.approx(0.4 * 0.5, abs=0.03)
    assert found.logged == pytest.approx(0.8 * 0.5, abs=0.03)
    assert found.verdict == "worse"


def test_a_better_gate_is_told() -> None:
    assert evaluate(world(20_000, 2, other=1.0)).verdict == "better"


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """The difference of showing all to showing 80% is 0.1 characters per decision."""
    found = [evaluate(world(1500, seed, other=1.0)) for seed in range(200)]
    assert sum(one.low <= 0.1 <= one.high for one in found) >= 185


def test_the_same_gate_has_full_weight_and_no_verdict() -> None:
    found = evaluate(world(500, 3, other=0.8))
    assert found.effective == pytest.approx(500)
    assert (found.ips, found.low, found.high) == (pytest.approx(found.logged), pytest.approx(0), pytest.approx(0))
    assert found.verdict == "none"


def test_too_few_effective_decisions_are_no_verdict() -> None:
    """Of a gate that nearly always hid, little can be learned about one that always shows."""
    found = evaluate(world(1000, 4, other=1.0, logged=0.02))
    assert found.effective < LEAST_EFFECTIVE
    assert found.verdict == "none"
    assert "needed" in found.why


def test_nothing_is_no_verdict() -> None:
    assert evaluate([]) == Estimate(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, "none", "There are no decisions to judge on.")


@given(st.lists(st.builds(Logged, st.booleans(), st.floats(0, 1), st.floats(-50, 50), st.floats(0, 1)), max_size=40))
def test_the_effective_size_is_never_above_the_number_of_decisions(decisions: list[Logged]) -> None:
    found = evaluate(decisions)
    assert 0 <= found.effective <= found.decisions + 1e-6
    assert found.low <= found.high


def test_two_gates_that_did_not_decide_are_compared_by_what_they_would_do_otherwise() -> None:
    decisions = world(5000, 6, other=0.9)
    same = compare(decisions, [0.9] * len(decisions))
    assert (same.low, same.high, same.ips) == (0.0, 0.0, same.logged)
    less = compare(decisions, [0.3] * len(decisions))
    assert less.low <= 0.6 * 0.5 <= less.high
    assert less.verdict == "better"
