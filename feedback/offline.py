"""What another gate would have earned, judged on the decisions of the one that decided (off-policy evaluation).

Pure. Each decision counts with w = P(choice | other gate) / P(choice | logged gate). IPS is the mean of w * reward,
SNIPS divides by the sum of the weights instead (Swaminathan and Joachims, 2015). Always: there is no verdict where the
effective sample size (sum w)^2 / sum w^2 is below LEAST_EFFECTIVE or the 95% interval of the paired difference
includes zero; a hidden suggestion earns nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

LEAST_EFFECTIVE = 100.0
_MOST_WEIGHT = 50.0  # clipped above: a little bias against a variance without bounds
_Z95 = 1.96


@dataclass(frozen=True)
class Logged:
    """A decision that was made, and with which probability; `other` is the other gate's probability of a display."""

    shown: bool
    propensity: float
    reward: float
    other: float


@dataclass(frozen=True)
class Estimate:
    """Rewards in characters per decision. `low` and `high` bound the difference to what was logged (95%)."""

    decisions: int
    logged: float
    ips: float
    snips: float
    low: float
    high: float
    effective: float
    verdict: Literal["better", "worse", "none"]
    why: str


def evaluate(decisions: Sequence[Logged]) -> Estimate:
    """The other gate against the logged one. Decisions whose propensity is not known (0) are left out."""
    return compare(decisions, None)


def compare(decisions: Sequence[Logged], serving: Sequence[float] | None) -> Estimate:
    """The other gate against one that may not have decided either: `serving` are its probabilities of a display, one
    per decision; None for the gate that was logged. What both would have done alike adds nothing to the interval."""
    rivals: Sequence[float | None] = serving if serving is not None else [None] * len(decisions)
    pairs = [(one, rival) for one, rival in zip(decisions, rivals, strict=True) if 0.0 < one.propensity <= 1.0]
    if len(pairs) < 2:
        return Estimate(len(pairs), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, "none", "There are no decisions to judge on.")
    weights = [_weight(one, one.other) for one, _ in pairs]
    against = [1.0 if rival is None else _weight(one, rival) for one, rival in pairs]
    rewards = [one.reward if one.shown else 0.0 for one, _ in pairs]
    total = sum(weights)
    earned = [weight * reward for weight, reward in zip(weights, rewards, strict=True)]
    known = [weight * reward for weight, reward in zip(against, rewards, strict=True)]
    differences = [ours - theirs for ours, theirs in zip(earned, known, strict=True)]
    middle, spread = fmean(differences), _Z95 * stdev(differences) / math.sqrt(len(pairs))
    effective = _effective(weights)
    verdict, why = _verdict(effective, middle - spread, middle + spread)
    return Estimate(
        decisions=len(pairs),
        logged=fmean(known),
        ips=fmean(earned),
        snips=sum(earned) / total if total else 0.0,
        low=middle - spread,
        high=middle + spread,
        effective=effective,
        verdict=verdict,
        why=why,
    )


def effective_displays(decisions: Sequence[Logged]) -> float:
    """How many of the other gate's own displays the logged ones are worth. What it would hide earns nothing for
    certain, so where only gains are compared, displays are all that has to be known."""
    weights = [_weight(one, one.other) for one in decisions if one.shown and 0.0 < one.propensity <= 1.0]
    return _effective(weights)


def _effective(weights: Sequence[float]) -> float:
    """Kish's effective sample size; 0 where all weights are as good as nothing."""
    squares = sum(weight**2 for weight in weights)
    return float(sum(weights) ** 2 / squares) if squares else 0.0


def _weight(one: Logged, other: float) -> float:
    """How much likelier another gate would have made this choice, clipped."""
    return min((other if one.shown else 1.0 - other) / one.propensity, _MOST_WEIGHT)


def _verdict(effective: float, low: float, high: float) -> tuple[Literal["better", "worse", "none"], str]:
    if effective < LEAST_EFFECTIVE:
        return "none", (
            f"No verdict: the decisions are worth {effective:.0f} of the other gate's own, {LEAST_EFFECTIVE:.0f} are "
            "needed. More exploration or more time would tell."
        )
    if low > 0:
        return "better", f"It would have earned {low:+.2f} to {high:+.2f} characters more per decision."
    if high < 0:
        return "worse", f"It would have earned {-high:.2f} to {-low:.2f} characters less per decision."
    return "none", f"No verdict: the difference lies between {low:+.2f} and {high:+.2f} characters per decision."
