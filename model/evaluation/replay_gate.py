"""The gate of the replay: the written rule for every arm, and, for the arm `gate`, one fitted on the days before.

Both are those of `model.gate` in its balanced mode, without exploration: an offer is shown if p(accept) reaches the
threshold that follows from its length. What always holds: a day's gate saw only offers of earlier days that were
shown, as a real one would; where those are too few, or it tells them no better, the rule decides as before.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

from model.completion import Completion
from model.evaluation.replay_user import Answer
from model.gate import FittedGate, Mode, Seen, Situation, features, fit, rule_probability, threshold

_MODE: Mode = "balanced"
_MOST = 20.0  # log-odds


def looked_at(completion: Completion, text: str, prefix: str, suffix: str) -> dict[str, float]:
    """The gate's features of an offer. The simulated user has no moods: outcomes of the moment are left neutral."""
    before, rest = prefix.rsplit("\n", 1)[-1], suffix.split("\n", 1)[0]
    return features(completion, text, Situation("python", before, rest))


def rule_margin(found: Mapping[str, float]) -> float:
    """By how many log-odds p(accept) of the written rule lies above the threshold."""
    return _margin(rule_probability(found), found)


def judged(users: Sequence[Sequence[Sequence[Answer]]]) -> list[list[list[Answer]]]:
    """Answers of the frozen model, by user and day, as a gate judges them that is fitted again every night.

    It is fitted on the earlier days of all these users, as a team's would be: one of them alone makes few decisions.
    """
    found: list[list[list[Answer]]] = [[] for _ in users]
    for number in range(max(len(days) for days in users)):
        gate = fit([seen for days in users for seen in _seen(days[:number])])
        for days, mine in zip(users, found, strict=True):
            for day in days[number : number + 1]:
                mine.append([_judged(answer, gate) if isinstance(gate, FittedGate) else answer for answer in day])
    return found


def _seen(days: Sequence[Sequence[Answer]]) -> Iterator[Seen]:
    """The decisions of these days that a gate may learn from. The days of several users run side by side."""
    for number, day in enumerate(days):
        for place, answer in enumerate(day):
            if answer.shown:
                yield Seen(number + place / len(day), answer.features, 1.0, answer.accepted)


def _judged(answer: Answer, gate: FittedGate) -> Answer:
    if not answer.features:  # nothing was offered
        return answer
    return answer.judged(_margin(gate.probability(answer.features), answer.features))


def _margin(p_accept: float, found: Mapping[str, float]) -> float:
    return _log_odds(p_accept) - _log_odds(threshold(found, _MODE))


def _log_odds(probability: float) -> float:
    if probability <= 0.0 or probability >= 1.0:
        return math.copysign(_MOST, probability - 0.5)
    return max(-_MOST, min(_MOST, math.log(probability / (1.0 - probability))))
