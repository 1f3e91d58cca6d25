"""The gate: surer and shorter suggestions are likelier shown, and quieter modes show fewer."""

from hypothesis import given
from hypothesis import strategies as st

from model.completion import Completion, Cost
from model.gate import Gate, probability


def completion(logprob: float, text: str = "x = 1") -> Completion:
    return Completion(text, (1,), (logprob,), "line", "base", None, Cost(0, 1, 1, 0.0, 0.0))


@given(st.floats(-20, 0), st.floats(-20, 0), st.integers(0, 12))
def test_a_surer_suggestion_is_never_less_likely(one: float, other: float, lines: int):
    assert probability(max(one, other), lines) >= probability(min(one, other), lines)


def test_a_longer_suggestion_is_less_likely():
    assert probability(-0.5, 4) < probability(-0.5, 0)


def test_each_mode_shows_no_more_than_the_louder_one():
    for logprob in (-0.05, -0.6, -1.5, -4.0):
        shown = [Gate(mode).decide(completion(logprob), "x = 1").shown for mode in ("eager", "balanced", "quiet")]
        assert shown == sorted(shown, reverse=True)


def test_the_rule_that_decided_is_named():
    assert Gate("quiet").decide(completion(-0.1), "x").rule == "confidence-quiet"
