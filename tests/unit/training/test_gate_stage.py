"""A gate is fitted on earlier decisions and installed only if it tells later ones better, at no cost in reward."""

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest

from feedback.decisions import Decided
from feedback.records import Decision
from feedback.rewards import REJECTED_COST
from model.completion import Completion, Cost
from model.gate import FittedGate, Gate, Situation
from model.training.gate import RECORD_FILE, GateOptions, renew_gate

USER = 4.0  # log-odds by which this user prefers the start of a line


def use(count: int, seed: int = 1, *, preference: float = USER, gate: Gate | None = None) -> list[Decided]:
    """Decisions of a gate that explores, and what a user made of them who takes what stands at the start of a line."""
    chance = random.Random(seed)
    gate = gate or Gate("balanced", chance=chance.random)
    found = []
    for number in range(count):
        start = chance.random() < 0.5
        text = "x" * chance.randint(10, 40)
        made = Completion(text, (1, 2), (-0.4 * chance.random(),) * 2, "line", "b", None, Cost(0, 1, 1, 0.0, 0.0))
        choice = gate.decide(made, text, Situation("python", "" if start else "x = "))
        decision = Decision(
            str(number), float(number), choice.shown, choice.p_accept, choice.propensity, choice.rule, choice.features
        )
        taken = chance.random() < 1 / (1 + math.exp(-(preference if start else -preference)))
        reward = float(len(text)) if taken else -REJECTED_COST
        if not choice.shown:
            found.append(Decided(decision, None))
        else:
            found.append(Decided(decision, "accepted" if taken else "rejected", reward))
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gate.json"


def test_a_gate_that_knows_the_user_is_installed_with_its_figures(file: Path) -> None:
    verdict = renew_gate(use(1000), file)
    assert verdict.status == "installed", verdict.reason
    gate = FittedGate.load(file)
    assert gate is not None
    figures = verdict.figures
    assert (figures["against"], figures["later"]) == ("written rule", pytest.approx(0.4 * figures["outcomes"], abs=1))
    assert 0 < figures["gain_lower"] < figures["gain"] < figures["gain_upper"]
    assert figures["loss"] == gate.loss < figures["serving_loss"]
    assert figures["calibration_error"] < figures["serving_calibration_error"]
    assert figures["reward"] > figures["serving_reward"]
    assert figures["show_rate"] < figures["serving_show_rate"]
    assert json.loads((file.with_name(RECORD_FILE)).read_text()) == verdict.plain


def test_too_little_and_one_class_are_said_and_nothing_is_written(file: Path) -> None:
    few = renew_gate(use(150), file)
    assert few.status == "skipped"
    assert "needs 200" in few.reason
    alike = [replace(one, outcome="accepted") for one in use(600) if one.decision.shown]
    one_class = renew_gate(alike, file)
    assert one_class.status == "skipped"
    assert "20 of each kind" in one_class.reason
    assert list(file.parent.iterdir()) == []


def test_a_user_as_the_rule_has_it_keeps_the_rule(file: Path) -> None:
    chance = random.Random(3)
    decisions = [
        replace(one, outcome="accepted" if chance.random() < (one.decision.p_accept or 0) else "rejected")
        for one in use(1500)
        if one.decision.shown
    ]
    verdict = renew_gate(decisions, file)
    assert verdict.status == "refused"
    assert "lower bound of its gain" in verdict.reason
    assert not file.exists()


def test_shuffled_outcomes_teach_nothing_that_is_installed(file: Path) -> None:
    """The placebo of this stage."""
    for seed in range(5):
        shown = [one for one in use(900, seed) if one.decision.shown]
        others = random.Random(seed).sample(shown, len(shown))
        later = int(0.6 * len(shown))
        placebo = [replace(one, outcome=other.outcome, reward=other.reward) for one, other in
                   zip(shown[:later], others[:later], strict=True)]  # fmt: skip
        assert renew_gate([*placebo, *shown[later:]], file).status != "installed", seed


def test_a_small_effective_sample_is_no_ground_to_install(file: Path) -> None:
    """Almost nothing of what the new gate would show was ever shown by the old one."""
    decisions = []
    for one in use(1000):
        rare = one.decision.features["line_start"] == 1.0
        propensity = 0.01 if rare and one.decision.shown else one.decision.propensity
        decisions.append(replace(one, decision=replace(one.decision, propensity=propensity)))
    few = [one for number, one in enumerate(decisions) if one.decision.propensity > 0.02 or number % 25 == 0]
    verdict = renew_gate(few, file)
    assert verdict.status == "refused", verdict
    assert "decisions are worth" in verdict.reason
    assert verdict.figures["effective"] < 100


def test_a_gate_that_earns_less_is_refused_although_it_tells_better(file: Path) -> None:
    """What it would hide was worth most."""
    decisions = [
        replace(one, reward=50.0 if one.outcome == "rejected" else 1.0) if one.decision.shown else one
        for one in use(1000)
    ]
    verdict = renew_gate(decisions, file)
    assert verdict.status == "refused"
    assert "would earn more" in verdict.reason
    assert verdict.figures["gain_lower"] > 0


def test_the_next_gate_is_judged_against_the_one_that_serves_on_what_that_did_not_see(file: Path) -> None:
    before = use(1000)
    assert renew_gate(before, file).status == "installed"
    again = renew_gate(before, file)
    assert again.status == "skipped"
    assert "newer than the gate that serves" in again.reason
    chance = random.Random(9)
    served = Gate("balanced", FittedGate.load(file), chance.random)
    newer = [
        replace(one, decision=replace(one.decision, at=one.decision.at + 1000))
        for one in use(1200, 5, preference=-USER, gate=served)
    ]
    changed = renew_gate([*before, *newer], file, GateOptions())
    assert changed.figures["against"] == "fitted"
    assert changed.status in ("installed", "refused")
    same = [
        replace(one, decision=replace(one.decision, at=one.decision.at + 1000)) for one in use(1000, 6, gate=served)
    ]
    assert renew_gate([*before, *same], file).status != "installed"


def test_what_was_hidden_because_it_was_just_rejected_is_no_choice(file: Path) -> None:
    decisions = use(400)
    hidden = [
        replace(one, decision=replace(one.decision, rule="just_rejected", shown=False, propensity=1.0), outcome=None)
        for one in decisions
    ]
    assert renew_gate(hidden, file).figures["decisions"] == 0


def test_a_dry_run_installs_nothing(file: Path) -> None:
    assert renew_gate(use(1000), file, dry_run=True).status == "planned"
    assert list(file.parent.iterdir()) == []
