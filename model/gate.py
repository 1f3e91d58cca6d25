"""Show or hide: p(accept) of a suggestion against a threshold that follows from the reward.

Until enough of the user's own decisions are known, p(accept) comes from a rule that is written down here; then from a
logistic regression that is fitted on them, calibrated, and used only if it tells later decisions better than the
rule does. A display is worth what it is expected to bring: p(accept) times the characters that stay, minus the cost of
a refusal. Always: what decided, what it saw and the probability of the choice are stored with every decision, so that
any other gate can be judged on them afterwards (`feedback.offline`). Eager shows everything and explores nothing.
"""

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from feedback.rewards import IGNORED_COST, REJECTED_COST, SHOW_COST
from model.adapters import write_atomically
from model.completion import Completion

Mode = Literal["eager", "balanced", "quiet"]

FEATURES = (
    "log_odds", "mean_logprob", "first_logprob", "lowest_logprob", "characters", "tokens", "line_breaks", "left_open",
    "finished", "line_start", "line_end", "within_word", "indentation", "documents", "last_outcome", "rejected_run",
    "recent_acceptance", "python",
)  # fmt: skip
LEAST_DECISIONS = 200
ALIKE = "The decisions of one part of the time all ended alike: what decides now stays."
_LEAST_OF_EACH = 20
_KEPT = 0.7  # of accepted characters, expected to stay
_REFUSED_COST = (REJECTED_COST + IGNORED_COST) / 2
_LEAST_ODDS, _MOST_ODDS = -8.0, 2.5  # log-odds: beyond these the model's own probability tells no more
_CAUTION: dict[str, float] = {"eager": 0.0, "balanced": 1.0, "quiet": 4.0}  # times the cost of a refusal
_SHOWN_ANYWAY: dict[str, float] = {"eager": 0.0, "balanced": 0.05, "quiet": 0.02}  # at the threshold, less below it
_HIDDEN_ANYWAY: dict[str, float] = {"eager": 0.0, "balanced": 0.02, "quiet": 0.02}
_PER_REJECTION = 0.5  # a run of rejections makes each refusal dearer by so much
_LONGEST_RUN = 8
_BIAS, _PER_ODDS, _PER_LINE, _PER_OUTCOME = -0.15, 0.8, 0.35, 0.3


@dataclass(frozen=True)
class Situation:
    """What is known besides the completion. `before` and `rest` are the cursor's line; outcomes are recent ones:
    `last_outcome` is 1 for taken, -1 for refused, `recent_acceptance` a share from 0 to 1."""

    language: str = ""
    before: str = ""
    rest: str = ""
    last_outcome: float = 0.0
    rejected_run: int = 0
    recent_acceptance: float = 0.5


@dataclass(frozen=True)
class GateDecision:
    """`propensity` is the probability with which this choice was made; `features` is what was seen."""

    shown: bool
    p_accept: float
    propensity: float
    rule: str
    features: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """A decision of the past with what came of it: `taken` if the user accepted the suggestion or typed the same."""

    at: float
    features: Mapping[str, float]
    propensity: float
    taken: bool


@dataclass(frozen=True)
class FittedGate:
    """A calibrated logistic regression over FEATURES. Losses are those on later decisions, in nats."""

    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    slope: float  # of the calibration, and its shift
    shift: float
    decisions: int
    loss: float
    rule_loss: float
    until: float  # time of the last decision that was used

    def probability(self, features: Mapping[str, float]) -> float:
        score, features = self.bias, _complete(features)
        for name, mean, scale, weight in zip(FEATURES, self.means, self.scales, self.weights, strict=True):
            score += weight * (features.get(name, mean) - mean) / scale
        return _logistic(self.slope * score + self.shift)

    def save(self, file: Path) -> None:
        """Replace the file as a whole."""
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps({"features": FEATURES, **asdict(self)}).encode())

    @classmethod
    def load(cls, file: Path) -> "FittedGate | None":
        """None where there is none, or where it was fitted on other features than today's."""
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
            if tuple(values.pop("features")) != FEATURES:
                return None
            means, scales, weights = (tuple(map(float, values.pop(name))) for name in ("means", "scales", "weights"))
            return cls(means, scales, weights, **values)
        except (OSError, ValueError, KeyError, TypeError):
            return None


NO_CHOICE = ("just_rejected", "by_hand")
"""Rules that hide or show for reasons of their own: nothing was weighed, so nothing can be learned from them."""


class Gate:
    """Decides about suggestions in one of three modes, by the written rule or a fitted gate."""

    def __init__(
        self, mode: Mode = "balanced", fitted: FittedGate | None = None, chance: Callable[[], float] = random.random
    ) -> None:
        self.mode = mode
        self._fitted = fitted
        self._chance = chance

    @property
    def by(self) -> str:
        """What tells p(accept): the written rule, or a gate that was fitted."""
        return "rule" if self._fitted is None else "fitted"

    def decide(self, completion: Completion, text: str, situation: Situation | None = None) -> GateDecision:
        """Decide about `text`, which is what the filters left of the completion."""
        found = features(completion, text, situation or Situation())
        p_accept = rule_probability(found) if self._fitted is None else self._fitted.probability(found)
        p_show = show_probability(found, p_accept, self.mode)
        shown = self._chance() < p_show
        propensity = p_show if shown else 1.0 - p_show
        explored = "-explored" if propensity < 0.5 else ""
        return GateDecision(shown, p_accept, propensity, f"{self.by}-{self.mode}{explored}", found)


def features(completion: Completion, text: str, situation: Situation) -> dict[str, float]:
    """What the gate looks at, by the names in FEATURES; all of it known before anything is shown."""
    logprobs = completion.logprobs or (0.0,)
    before, rest = situation.before, situation.rest.strip()
    values = (
        _log_odds(completion.total_logprob),
        completion.mean_logprob,
        logprobs[0],
        min(logprobs),
        math.log1p(len(text)),
        math.log1p(len(completion.tokens)),
        min(text.count("\n"), 20),
        abs(sum(text.count(o) for o in "([{") - sum(text.count(c) for c in ")]}")),
        completion.stop not in ("length", "unsure"),
        not before.strip(),
        not rest,
        bool(before) and (before[-1].isalnum() or before[-1] == "_"),
        min(len(before.expandtabs(4)) - len(before.expandtabs(4).lstrip()), 40) / 4,
        min(len(completion.documents), 10),
        situation.last_outcome,
        min(situation.rejected_run, _LONGEST_RUN),
        situation.recent_acceptance,
        situation.language == "python",
    )
    return {name: float(value) for name, value in zip(FEATURES, values, strict=True)}


def _log_odds(total_logprob: float) -> float:
    """Of a text that is right with this natural-log probability, within what the model's own word is worth."""
    p = math.exp(min(total_logprob, 0.0))
    return max(_LEAST_ODDS, min(_MOST_ODDS, math.log(max(p, 1e-12) / max(1.0 - p, 1e-12))))


def rule_probability(found: Mapping[str, float]) -> float:
    """p(accept) by the written rule: logistic(-0.15 + 0.8 * the log-odds that the model gives the whole text - 0.35 *
    line breaks + 0.3 * the last outcome). Where a model is sure it promises too much; docs/benchmarks.md says more."""
    score = _BIAS + _PER_ODDS * _complete(found)["log_odds"] - _PER_LINE * found["line_breaks"]
    return _logistic(score + _PER_OUTCOME * found["last_outcome"])


def _complete(found: Mapping[str, float]) -> Mapping[str, float]:
    """With the log-odds of a decision that was kept before they were."""
    known = "log_odds" in found or not {"mean_logprob", "tokens"} <= found.keys()
    return found if known else {**found, "log_odds": _log_odds(found["mean_logprob"] * math.expm1(found["tokens"]))}


def worth(found: Mapping[str, float], p_accept: float, mode: Mode) -> float:
    """What a display is expected to bring, in characters: p * (kept * n - show cost) - (1 - p) * cost of a refusal."""
    cost, gain = _cost_and_gain(found, mode)
    return p_accept * gain - (1.0 - p_accept) * cost


def threshold(found: Mapping[str, float], mode: Mode) -> float:
    """p(accept) from which a display is expected to pay: where its `worth` is 0."""
    cost, gain = _cost_and_gain(found, mode)
    return cost / (cost + gain) if gain > 0 else float(cost > 0)


def _cost_and_gain(found: Mapping[str, float], mode: Mode) -> tuple[float, float]:
    """Of a refusal, and of an acceptance; characters."""
    run = max(found["rejected_run"] - 1, 0)
    cost = _REFUSED_COST * _CAUTION[mode] * (1 + _PER_REJECTION * run)
    return cost, _KEPT * math.expm1(found["characters"]) - SHOW_COST


def show_probability(found: Mapping[str, float], p_accept: float, mode: Mode) -> float:
    """The probability of a display. What is just below the threshold is shown now and then, what is above is hidden
    now and then: without that, nobody could ever tell whether the threshold is right."""
    limit = threshold(found, mode)
    if p_accept >= limit:
        return 1.0 - _HIDDEN_ANYWAY[mode]
    return _SHOWN_ANYWAY[mode] * p_accept / limit


def fit(seen: Sequence[Seen]) -> FittedGate | str:
    """A gate fitted on decisions that were shown, oldest first, or why there is none.

    Fitted and calibrated on the first 80% (`fit_on`), compared with the written rule on the last 20%.
    """
    ordered = sorted(seen, key=lambda one: one.at)
    cut = int(0.8 * len(ordered))
    later = ordered[cut:]
    if (why := lacking(ordered)) is not None:
        return why
    if len({one.taken for one in later}) < 2:
        return ALIKE
    gate = fit_on(ordered[:cut])
    if isinstance(gate, str):
        return gate
    loss = log_loss([(gate.probability(one.features), one.taken) for one in later])
    rule_loss = log_loss([(rule_probability(one.features), one.taken) for one in later])
    if loss >= rule_loss:
        return f"On later decisions the fitted gate's loss is {loss:.3f}, the written rule's {rule_loss:.3f}: it stays."
    return replace(gate, decisions=len(ordered), loss=loss, rule_loss=rule_loss, until=ordered[-1].at)


def lacking(seen: Sequence[Seen]) -> str | None:
    """Why these decisions are too few, or too much alike, to fit a gate on; None if they suffice."""
    taken = sum(one.taken for one in seen)
    if len(seen) >= LEAST_DECISIONS and min(taken, len(seen) - taken) >= _LEAST_OF_EACH:
        return None
    return (
        f"There are {len(seen)} decisions with an outcome, {taken} of them taken; a gate needs "
        f"{LEAST_DECISIONS}, and {_LEAST_OF_EACH} of each kind. What decides now stays."
    )


def fit_on(ordered: Sequence[Seen]) -> FittedGate | str:
    """A gate fitted on the first three quarters and calibrated (Platt) on the last; nothing is held back to judge it.

    Decisions count by the inverse of their propensity, so that what is seldom shown is not forgotten.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    first = int(0.75 * len(ordered))
    rows = [[_complete(one.features).get(name, 0.0) for name in FEATURES] for one in ordered]
    labels = [int(one.taken) for one in ordered]
    weights = [inverse_propensity(one) for one in ordered]
    if any(len(set(part)) < 2 for part in (labels[:first], labels[first:])):
        return ALIKE
    scaler = StandardScaler().fit(rows[:first])
    model = LogisticRegression(max_iter=1000).fit(scaler.transform(rows[:first]), labels[:first], weights[:first])
    scores = model.decision_function(scaler.transform(rows)).reshape(-1, 1)
    platt = LogisticRegression().fit(scores[first:], labels[first:], weights[first:])
    return FittedGate(
        means=tuple(map(float, scaler.mean_)),
        scales=tuple(map(float, scaler.scale_)),
        weights=tuple(map(float, model.coef_[0])),
        bias=float(model.intercept_[0]),
        slope=float(platt.coef_[0][0]),
        shift=float(platt.intercept_[0]),
        decisions=len(ordered),
        loss=0.0,
        rule_loss=0.0,
        until=ordered[-1].at,
    )


def inverse_propensity(seen: Seen) -> float:
    """How much a decision counts, so that what is seldom shown counts as often as it is made; at most 20."""
    return 1.0 / max(seen.propensity, 0.05)


def log_loss(pairs: Sequence[tuple[float, bool]]) -> float:
    """The mean negative log-likelihood in nats of probabilities and what happened."""
    return -sum(math.log(max(p if taken else 1.0 - p, 1e-9)) for p, taken in pairs) / len(pairs)


def _logistic(score: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, score))))
