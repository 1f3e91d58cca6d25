"""The gate stage: is a gate that is fitted on earlier decisions better than what decides now, on later ones?

It gets decisions with their outcomes and rewards as plain values, and installs a file; what reads that file is the
server's business. What always holds: nothing is installed unless the lower 95% bounds say that it tells later
decisions better than what decides now, and than that recalibrated, and that it earns more; what the serving gate was
fitted on is not used to judge it; what is installed is exactly what was measured.
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from feedback.decisions import Decided, binned, calibration_error
from feedback.offline import LEAST_EFFECTIVE, Logged, compare, effective_displays
from model.adapters import write_atomically
from model.evaluation.comparison import improvement
from model.gate import (
    NO_CHOICE,
    FittedGate,
    Mode,
    Seen,
    fit_on,
    inverse_propensity,
    lacking,
    log_loss,
    rule_probability,
    show_probability,
)

Probability = Callable[[Mapping[str, float]], float]  # of an acceptance, by the gate's features
RECORD_FILE = "gate-record.json"  # beside the gate


@dataclass(frozen=True)
class GateOptions:
    """`mode` is the one that is judged. `calibration_bound`: by how much the calibration error may rise."""

    mode: Mode = "balanced"
    later_share: float = 0.4
    calibration_bound: float = 0.05
    seed: int = 0


@dataclass(frozen=True)
class GateVerdict:
    """The end of the stage; `reason` is a sentence for people, `figures` are plain JSON values for the record."""

    status: Literal["installed", "refused", "skipped", "planned"]
    reason: str
    figures: Mapping[str, Any]

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {"status": self.status, "reason": self.reason, **self.figures}


def renew_gate(
    decisions: Sequence[Decided], file: Path, options: GateOptions | None = None, *, dry_run: bool = False
) -> GateVerdict:
    """Fit a gate, judge it against the one in `file` (without one: the written rule), and replace that if it is better.

    The verdict is also written beside the file, as RECORD_FILE. With `dry_run` nothing is written.
    """
    verdict, gate = _judged(decisions, FittedGate.load(file), options or GateOptions())
    if dry_run:
        return replace(verdict, status="planned") if gate is not None else verdict
    if gate is not None:
        gate.save(file)
    if verdict.status != "skipped":
        write_atomically(file.with_name(RECORD_FILE), (json.dumps(verdict.plain, indent=2) + "\n").encode())
    return verdict


def _judged(
    decisions: Sequence[Decided], serving: FittedGate | None, options: GateOptions
) -> tuple[GateVerdict, FittedGate | None]:
    chosen = sorted(
        (one for one in decisions if one.decision.features and one.decision.rule not in NO_CHOICE),
        key=lambda one: one.decision.at,
    )
    told = [_seen(one) for one in chosen if one.decision.shown and one.taken is not None]
    counts: dict[str, Any] = {"decisions": len(chosen), "outcomes": len(told)}
    if (why := lacking(told)) is not None:
        return GateVerdict("skipped", why, counts), None
    moment = told[int(len(told) * (1 - options.later_share))].at
    # A gate may have been fitted while the clock was ahead.
    known_until = min(serving.until, time.time()) if serving is not None else -np.inf
    earlier = [one for one in told if one.at < moment]
    later = [one for one in chosen if one.decision.at >= moment and one.decision.at > known_until]
    answered = [one for one in later if one.decision.shown and one.taken is not None]
    measured, groups = [_seen(one) for one in answered], [one.group or one.decision.suggestion for one in answered]
    counts |= {"earlier": len(earlier), "later": len(measured), "against": "fitted" if serving else "written rule"}
    if serving is not None and len(measured) < LEAST_EFFECTIVE:
        new = f"Only {len(measured)} decisions are newer than the gate that serves; {LEAST_EFFECTIVE:.0f} are needed"
        return GateVerdict("skipped", f"{new} to judge another one.", counts), None
    gate = fit_on(earlier)
    if isinstance(gate, str):
        return GateVerdict("skipped", gate, counts), None
    now = serving.probability if serving is not None else rule_probability
    figures = {**counts, **_figures(gate, now, _recalibrated(now, earlier), later, measured, groups, options)}
    broken = _broken(figures, options)
    told_losses = (
        f"on {len(measured)} later decisions its loss is {figures['loss']:.3f} against {figures['serving_loss']:.3f} "
        f"(gain {figures['gain_lower']:.3f} to {figures['gain_upper']:.3f}), its calibration error "
        f"{figures['calibration_error']:.3f} against {figures['serving_calibration_error']:.3f}, and it would have "
        f"earned {figures['reward_low']:+.2f} to {figures['reward_high']:+.2f} characters more per decision"
    )
    if broken is not None:
        return GateVerdict("refused", f"The gate stays: {broken}; {told_losses}.", {**figures, "guard": broken}), None
    gate = replace(
        gate,
        loss=figures["loss"],
        rule_loss=log_loss([(rule_probability(one.features), one.taken) for one in measured]),
        until=later[-1].decision.at,
    )
    return GateVerdict("installed", f"A gate fitted on {len(earlier)} decisions serves: {told_losses}.", figures), gate


def _seen(one: Decided) -> Seen:
    return Seen(one.decision.at, one.decision.features, one.decision.propensity, bool(one.taken))


def _recalibrated(now: Probability, earlier: Sequence[Seen]) -> Probability:
    """What decides now, with slope and shift fitted on the earlier decisions: whoever only learned how often this user
    accepts does not beat it."""
    from sklearn.linear_model import LogisticRegression

    scores = [[_log_odds(now(one.features))] for one in earlier]
    labels = [int(one.taken) for one in earlier]
    platt = LogisticRegression().fit(scores, labels, [inverse_propensity(one) for one in earlier])

    def probability(found: Mapping[str, float]) -> float:
        return float(platt.predict_proba([[_log_odds(now(found))]])[0, 1])

    return probability


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(bounded / (1 - bounded))


def _figures(
    gate: FittedGate,
    now: Probability,
    recalibrated: Probability,
    later: Sequence[Decided],
    measured: Sequence[Seen],
    groups: Sequence[str],
    options: GateOptions,
) -> dict[str, Any]:
    """Both on the later decisions: losses by inverse propensity, calibration, and what they would have earned."""
    ours = [(gate.probability(one.features), one.taken) for one in measured]
    theirs = [(now(one.features), one.taken) for one in measured]
    weights = np.array([inverse_propensity(one) for one in measured])
    weights /= weights.mean()
    known = [(recalibrated(one.features), one.taken) for one in measured]
    losses, before, shifted = (
        np.array([log_loss([pair]) for pair in pairs]) * weights for pairs in (ours, theirs, known)
    )
    gain = improvement(before, losses, groups, seed=options.seed)
    beyond = improvement(shifted, losses, groups, seed=options.seed)
    rewarded = [one for one in later if not one.decision.shown or one.reward is not None]
    showing, serving = (
        [show_probability(one.decision.features, p(one.decision.features), options.mode) for one in rewarded]
        for p in (gate.probability, now)
    )
    logged = [
        Logged(one.decision.shown, one.decision.propensity, one.reward or 0.0, other)
        for one, other in zip(rewarded, showing, strict=True)
    ]
    estimate = compare(logged, serving)
    return {
        "loss": gain.after,
        "serving_loss": gain.before,
        "gain": gain.mean,
        "gain_lower": gain.lower,
        "gain_upper": gain.upper,
        "recalibrated_loss": beyond.before,
        "beyond_recalibration": beyond.mean,
        "beyond_recalibration_lower": beyond.lower,
        "calibration_error": calibration_error(binned(ours)),
        "serving_calibration_error": calibration_error(binned(theirs)),
        "calibration": [asdict(one) for one in binned(ours)],
        "reward": estimate.ips,
        "serving_reward": estimate.logged,
        "reward_low": estimate.low,
        "reward_high": estimate.high,
        "effective": effective_displays(logged),
        "show_rate": float(np.mean(showing)),
        "serving_show_rate": float(np.mean(serving)),
        "mode": options.mode,
    }


def _broken(figures: Mapping[str, Any], options: GateOptions) -> str | None:
    """What forbids to install it, or None."""
    if figures["effective"] < LEAST_EFFECTIVE:
        return (
            f"the later decisions are worth {figures['effective']:.0f} of its own displays, {LEAST_EFFECTIVE:.0f} are "
            "needed to know what it would earn"
        )
    if not figures["gain_lower"] > 0:
        return "the lower bound of its gain in loss is not above zero"
    if not figures["beyond_recalibration_lower"] > 0:
        return "what decides now, recalibrated, would tell them as well"
    if figures["calibration_error"] > figures["serving_calibration_error"] + options.calibration_bound:
        return f"its calibration error is more than {options.calibration_bound:g} higher"
    if not figures["reward_low"] > 0:
        return "the lower bound of what it would earn more is not above zero"
    return None
